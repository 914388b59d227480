"""Neural networks as pure functions in JAX, beside a framework.

Read in this order: `types`, `relu_softmax`, `losses`, `training`, and then
`experiments/compare`. `load` gives back what a run trained. Submodules load when they
are first used, so that `import jaxnets` costs nothing and pulls in neither JAX nor
TensorFlow.
"""

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxnets.trained import load as load

__version__ = "0.2.0.dev0"

__all__ = [
    module.name
    for module in pkgutil.iter_modules(__path__)
    if not module.name.startswith("_")
]
__all__ += ["load"]


def __getattr__(name: str) -> Any:
    if name == "load":
        return importlib.import_module(f"{__name__}.trained").load
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
