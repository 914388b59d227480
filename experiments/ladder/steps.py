"""The steps, each a change on top of those before, and what others have published."""

from dataclasses import replace
from typing import Any, NamedTuple

from experiments.speedrun.settings import Settings
from jaxnets.augment import Distortion

FIRST = "784-800-10, constant rate"
LAST = "ensemble"

_SHIFT: dict[str, Any] = {"shift": 1.0}
_AFFINE = _SHIFT | {"rotation": 7.5, "scale": 0.075, "shear": 0.1}
_ELASTIC = _AFFINE | {"elastic": 24.0}
CHANGES: dict[str, dict[str, Any]] = {
    FIRST: {},
    "one-cycle rate": {"one_cycle": True, "peak_rate": 4e-3},
    "width: 784-1024-1024-10": {"hidden": (1024, 1024), "peak_rate": 2e-3},
    "dropout 0.2": {"dropout": 0.2},
    "max-norm 3": {"max_norm": 3.0},  # Srivastava (2014), section 5.1
    "label smoothing 0.05": {"smoothing": 0.05},
    "averaged weights": {"average": 0.998},
    "shift": {"distortion": Distortion(**_SHIFT)},
    "affine": {"distortion": Distortion(**_AFFINE)},
    "elastic": {"distortion": Distortion(**_ELASTIC)},
}


def steps(num_epochs: int, batch_size: int) -> dict[str, Settings]:
    """The settings of each step but the ensemble, which has those of the last."""
    settings = Settings(
        hidden=(800,),  # Simard (2003)
        peak_rate=1e-3,  # Adam's default, in Keras as in its paper
        batch_size=batch_size,
        num_epochs=num_epochs,
        one_cycle=False,
    )
    by_name = {}
    for name, changes in CHANGES.items():
        settings = by_name[name] = replace(settings, **changes)
    return by_name


class Published(NamedTuple):
    """A result of others: fully connected networks, 60,000 images to train on."""

    source: str
    what: str
    accuracy: float


PUBLISHED = (
    Published("Simard 2003", "784-800-10", 0.984),
    Published("Simard 2003", "784-800-10, affine distortions", 0.989),
    Published("Simard 2003", "784-800-10, elastic distortions", 0.993),
    Published("Srivastava 2014", "3 layers of 1024, dropout, max-norm", 0.9894),
    Published("Srivastava 2014", "2 layers of 8192, dropout, max-norm", 0.9905),
    Published("Goodfellow 2015", "maxout, dropout, adversarial images", 0.9922),
    Published("Ciresan 2010", "2500-2000-1500-1000-500, affine and elastic", 0.9965),
)
