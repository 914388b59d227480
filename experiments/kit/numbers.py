"""Numbers as JSON takes them, which has none for NaN and infinity."""

from typing import Any

import numpy as np


def finite(value: Any) -> float | None:
    """The number, or None where it is unknown, infinite or not a number."""
    return float(value) if value is not None and np.isfinite(value) else None


def finites(values: Any) -> list[float | None]:
    """`finite` of each of an array."""
    return [finite(value) for value in np.asarray(values, float).tolist()]


def text(value: Any, form: str) -> str:
    """A number as `format` writes it, a pair as "low to high", None as "-"."""
    if value is None:
        return "-"
    if isinstance(value, list | tuple):
        return " to ".join(text(end, form) for end in value)
    return format(value, form)


def percent(value: Any, sign: str = "") -> str:
    """A share, or a pair of them, in per cent without the sign %; None as "-"."""
    if isinstance(value, list | tuple):
        return " to ".join(percent(end, sign) for end in value)
    return text(None if value is None else 100 * value, f"{sign}.2f")
