"""Who takes part in `experiments/benchmark.py` and `scaling.py`, and in what.

In the benchmark every contender trains the same network with the same optimizer,
batch size and data, on the processor. Where one is missing from a model there is a
reason:

- `numpy_per_example` is the book's program, and the book's network is Model 1.
- `numpy_batched` leaves Model 3 to scikit-learn, which is batched NumPy with Adam.
- `scikit_learn` offers no quadratic cost of sigmoid outputs, so no Model 1.
- tf.keras and Keras on JAX train Model 3, the network that is Keras's here.

In the scaling all train networks of Model 3's kind, of any width; `SCALING` says who.

A spawned worker imports this module: it must load nothing that a contender does
not need, or that contender's start would look slow.
"""

import importlib.util
from collections.abc import Mapping
from typing import NamedTuple

from experiments.kit.command import cpu_count

MODELS = ("sigmoid_mse", "relu_softmax", "flax_dense")  # Models 1, 2 and 3
REFERENCE = "jaxnets"  # the family that the others are compared with


class Contender(NamedTuple):
    """One way to train, as it is run: a module here, and its surroundings."""

    family: str  # those with the same family differ in threads; the best one counts
    module: str  # in this package; its `run` trains
    needs: str  # the package without which it is left out
    models: tuple[str, ...]
    environment: dict[str, str]  # set before its process starts
    compiles: str  # "apart", "first epoch" (told from later ones) or "never"


def _blas(threads: int) -> dict[str, str]:
    """How many threads NumPy's linear algebra uses, whichever library that is."""
    libraries = ("OPENBLAS", "MKL", "OMP", "VECLIB_MAXIMUM")
    return {f"{library}_NUM_THREADS": str(threads) for library in libraries}


_ON_CPU = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
_JAX_ON_CPU = {"JAX_PLATFORMS": "cpu", **_ON_CPU}
_CORES = cpu_count()
_FIRST_TWO = MODELS[:2]
_LAST_TWO = MODELS[1:]
_LAST = MODELS[2:]

CONTENDERS = {
    # Products of a matrix and one column are too small for a second thread.
    "numpy_per_example": Contender(
        "NumPy, per example, float64",
        "numpy_per_example",
        "numpy",
        MODELS[:1],
        _blas(1),
        "never",
    ),
    "numpy_batched_1": Contender(
        "NumPy, batched, float32",
        "numpy_batched",
        "numpy",
        _FIRST_TWO,
        _blas(1),
        "never",
    ),
    "numpy_batched_all": Contender(
        "NumPy, batched, float32",
        "numpy_batched",
        "numpy",
        _FIRST_TWO,
        _blas(_CORES),
        "never",
    ),
    "pytorch_1": Contender(
        "PyTorch, eager",
        "pytorch",
        "torch",
        MODELS,
        {"OMP_NUM_THREADS": "1", **_ON_CPU},
        "never",
    ),
    "pytorch_all": Contender(
        "PyTorch, eager",
        "pytorch",
        "torch",
        MODELS,
        {"OMP_NUM_THREADS": str(_CORES), **_ON_CPU},
        "never",
    ),
    "scikit_learn": Contender(
        "scikit-learn",
        "sklearn_mlp",
        "sklearn",
        _LAST_TWO,
        {},
        "never",
    ),
    "tf_keras": Contender(
        "tf.keras fit",
        "keras_fit",
        "tensorflow",
        _LAST,
        {"KERAS_BACKEND": "tensorflow", **_ON_CPU},
        "first epoch",
    ),
    "keras_on_jax": Contender(
        "Keras on JAX, fit",
        "keras_fit",
        "keras",
        _LAST,
        {"KERAS_BACKEND": "jax", **_JAX_ON_CPU},
        "first epoch",
    ),
    # XLA takes the number of its threads from NPROC; small steps wait for a second one.
    "jaxnets_1": Contender(
        REFERENCE,
        "jaxnets_scan",
        "jaxnets",
        MODELS,
        {"NPROC": "1", **_JAX_ON_CPU},
        "apart",
    ),
    "jaxnets_all": Contender(
        REFERENCE, "jaxnets_scan", "jaxnets", MODELS, _JAX_ON_CPU, "apart"
    ),
}


_NUMPY = CONTENDERS["numpy_batched_1"]._replace(family="NumPy")
SCALING = {
    "from_scratch": CONTENDERS["jaxnets_all"]._replace(
        family="from scratch", module="from_scratch"
    ),
    "flax": CONTENDERS["jaxnets_all"]._replace(family="Flax"),
    "tf_keras": CONTENDERS["tf_keras"]._replace(family="tf.keras"),
    "keras_on_jax": CONTENDERS["keras_on_jax"]._replace(family="Keras on JAX"),
    "numpy_1": _NUMPY,
    "numpy_all": _NUMPY._replace(environment={}),
}


def label(name: str, known: Mapping[str, Contender] = CONTENDERS) -> str:
    """The contender's name for tables and figures."""
    threads = {"1": ", 1 thread", "all": ", all cores"}
    return known[name].family + threads.get(name.rpartition("_")[-1], "")


def is_installed(name: str, known: Mapping[str, Contender] = CONTENDERS) -> bool:
    """Whether the package that a contender needs can be found."""
    return importlib.util.find_spec(known[name].needs) is not None
