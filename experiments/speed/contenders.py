"""Who takes part, and in what. A new contender is an entry here and a program.

At a point every contender trains the same network with the same optimizer, batch size
and data. Before the rounds a short search (`tune.py`) chooses for each between one
thread and one per core, and for Keras, tuned, between its own settings too.
Where one is missing from a model there is a reason:

- `numpy_per_example` is the book's program, and the book's network is Model 1.
- `numpy_batched` leaves Model 3 to scikit-learn, which is batched NumPy with Adam.
- `scikit_learn` offers no quadratic cost of sigmoid outputs, so no Model 1.
- `keras_on_jax_logits`: Model 1 has no logits.

`keras_scan` and `tf_keras_loop` have Keras's layers, loss and optimizer, and in place
of `fit` one compiled loop, a `scan` of JAX's and a `tf.function`.

`from_scratch` is the program of 45 lines in `experiments.control`, as it stands there
for Model 3; Models 1 and 2 take SGD's step, and Model 1 its layers and cost, in place
of what it writes out. In the scaling all take one thread per core, Keras is tuned for
each network and batch size, and `jaxnets_relu_softmax` is jaxnets with the functions
of `relu_softmax`.
"""

import os
import shutil
from collections.abc import Mapping
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any, NamedTuple

from experiments.speed.worker import SCALING
from jaxnets import process, processor
from jaxnets.devices import CPU_OPTIONS, cpu_count

MODELS = ("sigmoid_mse", "relu_softmax", "flax_dense")  # Models 1, 2 and 3
REFERENCE = "jaxnets"  # that the others are compared with
NOISE = "jaxnets_again"  # the same program once more: what ratios are worth
COMPILER = "a C++ compiler"
# Options of Keras to choose from; with one step an execution it is `tf_keras`. On JAX
# it always compiles, and tf.data would load TensorFlow. More steps than an epoch has
# are all of them.
STEPS_PER_EXECUTION = {"steps_per_execution": (64, 16, 256, 1024, 2**20)}
BYTES = {"of_bytes": (False, True)}
SWITCHES = {
    "jit_compile": (True, False),
    "tf_data": (False, "prefetch_1", True),
    **BYTES,
}


class Contender(NamedTuple):
    """One way to train."""

    label: str
    program: str  # in `experiments.speed.programs`
    needs: tuple[str, ...]  # without which it is left out
    kinds: tuple[str, ...]  # of points at which it is timed
    options: Mapping[str, Any] = MappingProxyType({})  # of its program
    threads: tuple[str, ...] = ("1", "all")  # to choose from
    grid: Mapping[str, tuple[Any, ...]] = MappingProxyType({})  # likewise, Keras's
    settings_of: str = ""  # the contender whose choice it takes over; "": its own
    backend: str = ""  # of Keras
    network: str = ""  # the jaxnets model whose functions it takes; "": the point's
    is_whole: bool = False  # its epochs are timed in parts in the scaling at most
    compiles_in_first_turn: bool = False  # and does not tell how long that takes
    bytes_per_pixel: int = 5  # of the images, held at once: uint8, and a float32 copy
    color: str = "#8DA0B3"
    marker: str = "o"


NUMPY = Contender(
    label="NumPy, batched, float32",
    program="numpy_batched",
    needs=("numpy",),
    kinds=("sigmoid_mse", "relu_softmax", SCALING),
    color="#000000",
    marker="^",
)
PYTORCH = Contender("PyTorch, eager", "pytorch", ("torch",), MODELS, color="#E69F00")
TF_KERAS = Contender(
    label="tf.keras, defaults",
    program="keras_fit",
    needs=("tensorflow", "keras"),
    kinds=(*MODELS, SCALING),
    backend="tensorflow",
    is_whole=True,  # `fit` begins each part anew, which is to count once an epoch
    compiles_in_first_turn=True,
    bytes_per_pixel=13,  # and two copies of TensorFlow's
    color="#CC79A7",
    marker="D",
)
KERAS_ON_JAX = TF_KERAS._replace(
    label="Keras on JAX, tuned",
    needs=("keras", "jax"),
    options={"metric": False},
    grid={**STEPS_PER_EXECUTION, **BYTES},
    backend="jax",
    bytes_per_pixel=5,
    color="#0072B2",
    marker="v",
)
JAXNETS = Contender(
    label="jaxnets",
    program="jaxnets_scan",
    needs=("jaxnets",),
    kinds=(*MODELS, SCALING),
    is_whole=True,
    bytes_per_pixel=2,  # uint8, the host's and the device's
    color="#009E73",
)
CONTENDERS = {
    "numpy_per_example": Contender(
        label="NumPy, per example, float64",
        program="numpy_per_example",
        needs=("numpy",),
        kinds=("sigmoid_mse",),
        threads=("1",),  # products of a matrix and one column are too small for two
    ),
    "numpy_batched": NUMPY,
    "scikit_learn": Contender(
        "scikit-learn", "sklearn_mlp", ("sklearn",), MODELS[1:], color="#999999"
    ),
    "pytorch": PYTORCH,
    "pytorch_compiled": PYTORCH._replace(
        label="PyTorch, torch.compile",
        needs=("torch", COMPILER),
        options={"compiled": True},
        compiles_in_first_turn=True,
        color="#8C6D1F",
        marker="s",
    ),
    "tf_keras": TF_KERAS,
    "tf_keras_tuned": TF_KERAS._replace(
        label="tf.keras, tuned",
        options={"metric": False},
        grid={**STEPS_PER_EXECUTION, **SWITCHES},
        color="#882255",
        marker="s",
    ),
    "tf_keras_loop": TF_KERAS._replace(
        label="tf.keras, in one compiled loop",
        program="keras_loop",
        options={"logits": True, "of_bytes": True},
        bytes_per_pixel=2,
        color="#DDA0C4",
        marker="s",
    ),
    "keras_on_jax": KERAS_ON_JAX,
    "keras_on_jax_logits": KERAS_ON_JAX._replace(
        label="Keras on JAX, tuned, from logits",
        kinds=MODELS[1:],
        options={**KERAS_ON_JAX.options, "logits": True},
        settings_of="keras_on_jax",
        color="#56B4E9",
    ),
    "keras_scan": KERAS_ON_JAX._replace(
        label="Keras on JAX, in one scan",
        program="keras_scan",
        options={"logits": True, "of_bytes": True},
        grid={},
        compiles_in_first_turn=False,
        bytes_per_pixel=2,
        color="#332288",
    ),
    "from_scratch": Contender(
        label="JAX from scratch, 45 lines",
        program="from_scratch",
        needs=("jax",),
        kinds=(*MODELS, SCALING),
        compiles_in_first_turn=True,
        bytes_per_pixel=1,
        color="#D55E00",
        marker="s",
    ),
    "jaxnets": JAXNETS,
    "jaxnets_plain": JAXNETS._replace(
        label="jaxnets without its processor's tricks",
        kinds=MODELS,
        options={"plain": True},
        color="#66C2A5",
        marker="v",
    ),
    "jaxnets_fused": JAXNETS._replace(
        label="jaxnets, Adam in one loop",
        kinds=("flax_dense",),
        options={"fused": True},
        color="#117733",
        marker="v",
    ),
    NOISE: JAXNETS._replace(
        label="jaxnets against itself",
        kinds=MODELS,
        settings_of="jaxnets",
        color="#B3B3B3",
    ),
    "jaxnets_relu_softmax": JAXNETS._replace(
        label="jaxnets, relu_softmax functions",
        kinds=(SCALING,),
        network="relu_softmax",
        color="#66C2A5",
        marker="v",
    ),
}


def missing(name: str) -> list[str]:
    """What a contender needs and is not installed."""
    needs = CONTENDERS[name].needs
    has_compiler = shutil.which(os.environ.get("CXX", "g++")) or shutil.which("clang++")
    return [
        need
        for need in needs
        if not (has_compiler if need == COMPILER else find_spec(need))
    ]


def present(names: tuple[str, ...], kind: str) -> list[str]:
    """Those that are installed and train points of a kind, in `CONTENDERS`' order.

    So one that takes over another's settings comes after it.
    """
    able = [n for n, entry in CONTENDERS.items() if n in names and kind in entry.kinds]
    return [name for name in able if not missing(name)]


def without(name: str) -> tuple[str, ...]:
    """The packages that Keras imports where they are, and does not need."""
    return process.KERAS_DOES_WITHOUT if CONTENDERS[name].backend else ()


def environment(name: str, threads: str, device: str, precision: str) -> dict[str, str]:
    """The variables of a contender's process, read where libraries are loaded.

    The device "default" leaves JAX and PyTorch their choice; all else is on the
    processor. The precision is that of matrix products, which PyTorch reads here too.
    XLA takes the number of its threads from NPROC, and in both of Keras's backends and
    the program from scratch the options that jaxnets compiles with from XLA_FLAGS.
    """
    contender = CONTENDERS[name]
    number = 1 if threads == "1" else cpu_count()
    libraries = ["OPENBLAS_NUM", "MKL_NUM", "OMP_NUM", "VECLIB_MAXIMUM"]
    libraries += ["TF_NUM_INTRAOP", "TF_NUM_INTEROP"]
    variables = {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "JAX_DEFAULT_MATMUL_PRECISION": precision,
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # all are alive at once
        **{f"{library}_THREADS": str(number) for library in libraries},
    }
    if threads == "1":
        variables["NPROC"] = "1"
    if contender.backend:
        variables["KERAS_BACKEND"] = contender.backend
    if contender.backend or contender.program == "from_scratch":
        flags = [f"--{option}={value}" for option, value in CPU_OPTIONS.items()]
        variables["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *flags])
    if contender.options.get("fused"):
        flag = f"--xla_backend_extra_options={processor.FUSION}"
        variables["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}"
    may_choose = {"jax", "jaxnets", "torch"}.intersection(contender.needs)
    if device == "cpu" or not may_choose:
        variables |= {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "-1"}
    return variables


def in_words(settings: Mapping[str, Any]) -> str:
    """Settings of a contender for tables: `1 thread, steps_per_execution 64`."""
    threads = {"1": "1 thread", "all": "all cores"}[settings["threads"]]
    others = [
        name if value is True else f"{name} {value}"
        for name, value in settings.items()
        if name != "threads" and (value is True or value not in (False, 1))
    ]
    return ", ".join([threads, *others])
