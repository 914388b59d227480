"""Figures without a window: made by Matplotlib's own classes, never by pyplot."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

from jaxnets.models import MODELS

COLORS = {name: model.color for name, model in MODELS.items()}


def new_figure(
    rows: int = 1, columns: int = 1, size: tuple[float, float] = (11, 4.2)
) -> tuple[Figure, np.ndarray]:
    """An empty figure with `rows` times `columns` axes.

    Returns:
      The figure, of `size` in inches, and its axes as an array [rows, columns].
    """
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def whole_epochs(axes: Axes) -> None:
    """Label the x axis "epoch", with whole numbers on it.

    Where there is one epoch only, the axis goes from half an epoch before it on.
    """
    axes.set_xlabel("epoch")
    first, last = axes.get_xlim()
    if last - first < 1:
        axes.set_xlim(first - 0.5, last + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def plain_numbers(axis: Axis, form: str = "{x:g}") -> None:
    """Label a logarithmic axis at 1, 2 and 5 of each decade, without powers of ten."""
    axis.set_minor_locator(LogLocator(subs=(2, 5)))
    axis.set_major_formatter(form)
    axis.set_minor_formatter(form)
