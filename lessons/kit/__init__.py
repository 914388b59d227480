"""What the lessons share: data, figures, a clock, and the check of an exercise."""

from lessons.kit.checks import check
from lessons.kit.data import load
from lessons.kit.figures import COLORS, new_figure, show
from lessons.kit.timing import seconds

__all__ = ["COLORS", "check", "load", "new_figure", "seconds", "show"]
