"""TensorBoard: a run's rows as scalars too. The rows stay the truth."""

import shutil
from collections.abc import Generator, Iterable
from importlib.util import find_spec
from numbers import Real
from typing import TYPE_CHECKING

from jaxnets.errors import InputError

if TYPE_CHECKING:
    from tensorboardX import SummaryWriter

    from experiments.kit.run import Row, Run

FOLDER = "tensorboard"  # in the run's


def require_writer() -> None:
    """Raise InputError where tensorboardX is not installed."""
    if find_spec("tensorboardX") is None:
        raise InputError(
            "--tensorboard needs tensorboardX, which is not installed; install it by "
            "pip install 'jaxnets[tensorboard]', or leave the option out"
        )


def mirrored(run: "Run", rows: Iterable["Row"]) -> Generator["Row", None, None]:
    """The same rows; the numbers of each stand in the run's folder as scalars.

    A row is of an `epoch`, which is TensorBoard's step, and of a `model`, which is the
    first part of a scalar's name: `relu_softmax/train_loss`. Those of a run that is
    resumed are written again, from its rows.
    """
    from tensorboardX import SummaryWriter

    shutil.rmtree(run.path / FOLDER, ignore_errors=True)
    writer = SummaryWriter(str(run.path / FOLDER), flush_secs=5)
    try:
        for row in run.rows:
            add(writer, row)
        for row in rows:
            add(writer, row)
            yield row
    finally:
        if isinstance(rows, Generator):
            rows.close()
        writer.close()


def add(writer: "SummaryWriter", row: "Row") -> None:
    """The numbers of a row as scalars."""
    for name, value in row.items():
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        if is_number and name != "epoch":
            writer.add_scalar(f"{row['model']}/{name}", value, row["epoch"])
