"""Neural networks as pure functions in JAX, beside a framework.

Read in this order: `types`, `relu_softmax`, `losses`, `training`, and then
`experiments/compare.py`. Submodules load when they are first used, so that
`import jaxnets` costs nothing and pulls in neither TensorFlow nor matplotlib.
"""

import importlib
import pkgutil
from types import ModuleType

__version__ = "0.1.0"

_SUBMODULES = tuple(module.name for module in pkgutil.iter_modules(__path__))
__all__ = ["__version__", *_SUBMODULES]  # noqa: PLE0604


def __getattr__(name: str) -> ModuleType:
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
