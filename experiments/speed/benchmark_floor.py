"""What to say of the machine's floor, where a contender is timed beside it."""

from collections.abc import Iterable
from typing import Any

NOTE = (
    "The floor is the longer of two: the step's flops at the best rate of a matrix "
    "product, and Adam's state read and written at the best rate of an update in place."
)


def below(where: str, entries: Iterable[dict[str, Any]]) -> list[str]:
    """A sentence where contenders are faster than the floor that was measured.

    Args:
      where: the model or the point, in words.
      entries: of its contenders, with `label` and `times_floor`.
    """
    found = [
        f"{entry['label']} ({entry['times_floor']:.2f} times)"
        for entry in entries
        if entry["times_floor"] < 1
    ]
    if not found:
        return []
    return [
        f"Below the floor at {where}: {', '.join(found)}. So the machine can do more "
        "than was measured of it, and the true floor there is lower."
    ]
