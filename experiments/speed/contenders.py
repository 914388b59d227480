"""Who takes part, and in what. A new contender is an entry here and a program.

At a point every contender trains the same network with the same optimizer, batch size
and data. Where one is missing from a model there is a reason:

- `numpy_per_example` is the book's program, and the book's network is Model 1.
- `numpy_batched` leaves Model 3 to scikit-learn, which is batched NumPy with Adam.
- `scikit_learn` offers no quadratic cost of sigmoid outputs, so no Model 1.
- tf.keras and Keras on JAX train Model 3, the network that is Keras's here.

The scaling varies Model 3's kind of network; `from_scratch` and `flax` are jaxnets
with the functions of `relu_softmax` and of `flax_dense`.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from types import MappingProxyType
from typing import NamedTuple

from experiments.speed.worker import SCALING
from jaxnets.devices import cpu_count

MODELS = ("sigmoid_mse", "relu_softmax", "flax_dense")  # Models 1, 2 and 3


class Contender(NamedTuple):
    """One way to train."""

    family: str  # those of one family differ in threads; the best one counts
    program: str  # in `experiments.speed.programs`
    needs: tuple[str, ...]  # packages without which it is left out
    kinds: tuple[str, ...]  # of points at which it is timed
    threads: Mapping[str, str] = MappingProxyType({})  # variables that limit them
    backend: str = ""  # of Keras
    network: str = ""  # the jaxnets model whose functions it takes; "": the point's
    compiles_in_first_epoch: bool = False  # and does not tell how long that takes
    bytes_per_pixel: int = 5  # of the images, held at once: uint8, and a float32 copy
    color: str = "#8DA0B3"
    marker: str = "o-"


def _threads(number: int) -> dict[str, str]:
    """How many threads linear algebra uses, whichever library does it."""
    libraries = ("OPENBLAS", "MKL", "OMP", "VECLIB_MAXIMUM")
    return {f"{library}_NUM_THREADS": str(number) for library in libraries}


NUMPY = Contender(
    family="NumPy, batched, float32",
    program="numpy_batched",
    needs=("numpy",),
    kinds=("sigmoid_mse", "relu_softmax", SCALING),
    color="#E69F00",  # Okabe and Ito's palette
    marker="^-",
)
PYTORCH = Contender("PyTorch, eager", "pytorch", ("torch",), MODELS)
TF_KERAS = Contender(
    family="tf.keras",
    program="keras_fit",
    needs=("tensorflow", "keras"),
    kinds=("flax_dense", SCALING),
    backend="tensorflow",
    compiles_in_first_epoch=True,
    bytes_per_pixel=13,  # and two copies of TensorFlow's
    color="#CC79A7",
    marker="D-",
)
JAXNETS = Contender(
    family="jaxnets",
    program="jaxnets_scan",
    needs=("jaxnets",),
    kinds=MODELS,
    bytes_per_pixel=2,  # uint8, the host's and the device's
    color="#009E73",
)
ON_SCALING = JAXNETS._replace(kinds=(SCALING,))
CONTENDERS = {
    # Products of a matrix and one column are too small for a second thread.
    "numpy_per_example": Contender(
        family="NumPy, per example, float64",
        program="numpy_per_example",
        needs=("numpy",),
        kinds=("sigmoid_mse",),
        threads=_threads(1),
    ),
    "numpy_batched_1": NUMPY._replace(threads=_threads(1)),
    "numpy_batched_all": NUMPY._replace(threads=_threads(cpu_count())),
    "pytorch_1": PYTORCH._replace(threads=_threads(1)),
    "pytorch_all": PYTORCH._replace(threads=_threads(cpu_count())),
    "scikit_learn": Contender("scikit-learn", "sklearn_mlp", ("sklearn",), MODELS[1:]),
    "tf_keras": TF_KERAS,
    "keras_on_jax": TF_KERAS._replace(
        family="Keras on JAX",
        needs=("keras", "jax"),
        backend="jax",
        bytes_per_pixel=5,
        color="#0072B2",
        marker="v-",
    ),
    # XLA takes the number of its threads from NPROC; small steps wait for a second one.
    "jaxnets_1": JAXNETS._replace(threads={"NPROC": "1"}),
    "jaxnets_all": JAXNETS,
    "from_scratch": ON_SCALING._replace(
        family="from scratch", network="relu_softmax", color="#D55E00"
    ),
    "flax": ON_SCALING._replace(
        family="Flax", needs=("flax",), network="flax_dense", marker="s:"
    ),
}
# The family that the others are compared with, by kind of point.
REFERENCE = {**dict.fromkeys(MODELS, "jaxnets"), SCALING: "from scratch"}


def label(name: str) -> str:
    """The contender's name for tables and figures."""
    threads = {"1": ", 1 thread", "all": ", all cores"}
    return CONTENDERS[name].family + threads.get(name.rpartition("_")[-1], "")


def missing_packages(name: str) -> list[str]:
    """What a contender needs and is not installed."""
    return [need for need in CONTENDERS[name].needs if not find_spec(need)]


def present(names: tuple[str, ...], kind: str) -> list[str]:
    """Those that are installed and train points of a kind."""
    able = [name for name in names if kind in CONTENDERS[name].kinds]
    return [name for name in able if not missing_packages(name)]


def environment(name: str, device: str, precision: str) -> dict[str, str]:
    """The variables of a contender's process, read where libraries are loaded.

    The device "default" leaves JAX its choice, for those that are JAX alone; everything
    else is on the processor. The precision is that of JAX's matrix products.
    """
    contender = CONTENDERS[name]
    variables = {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "JAX_DEFAULT_MATMUL_PRECISION": precision,
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # all are alive at once
        **contender.threads,
    }
    if contender.backend:
        variables["KERAS_BACKEND"] = contender.backend
    if device == "cpu" or contender.program != JAXNETS.program:
        variables |= {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "-1"}
    return variables
