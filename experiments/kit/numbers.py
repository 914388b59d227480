"""Numbers as JSON takes them, which has none for NaN and infinity."""

from typing import Any

import numpy as np


def finite(value: Any) -> float | None:
    """The number, or None where it is unknown, infinite or not a number."""
    return float(value) if value is not None and np.isfinite(value) else None


def finites(values: Any) -> list[float | None]:
    """`finite` of each of an array."""
    return [finite(value) for value in np.asarray(values, float).tolist()]


def text(value: float | None, form: str) -> str:
    """The number in a table, `format`ted; "-" where there is none."""
    return "-" if value is None else format(value, form)
