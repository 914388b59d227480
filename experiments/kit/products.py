"""How matrices are multiplied where an accelerator has a choice."""

from dataclasses import dataclass
from typing import Literal

import jax

from jaxnets import keras_dense

FLOAT32 = "highest"  # JAX's name for it


@dataclass(frozen=True, kw_only=True)
class ProductOptions:
    """How to multiply."""

    precision: Literal["default", "high", "highest"] = "highest"
    """Of matrix products on an accelerator. highest: float32, so that its figures
    compare with a processor's, which knows nothing else. default: what JAX takes by
    itself, TF32 on a GPU and bfloat16 on a TPU; high: TF32, or three bfloat16."""


def tell_tensorflow() -> None:
    """Let tf.keras, which takes TF32 by itself on a GPU, multiply as JAX does now."""
    keras_dense.load_keras()
    import tensorflow as tf

    precision = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
    tf.config.experimental.enable_tensor_float_32_execution(precision != FLOAT32)
