"""A run as the processes other than the first see it: they train along."""

from collections.abc import Iterable, Sequence
from typing import Any, Self, TypeVar

from experiments.kit import folder, resume
from experiments.kit.options import Options
from experiments.kit.run import Row, Run, Settings

Config = TypeVar("Config", bound=Options)


class Follower(Run[Config]):
    """A run of which nothing is printed and nothing is written.

    It goes on from the checkpoint in the run's folder, as process 0 does, which must
    be one that all processes can read.
    """

    writes_scalars = False

    @classmethod
    def open(
        cls, name: str, config: Config, *, settings: Settings = lambda _: {}
    ) -> Self:
        """Load the data, and the checkpoint where there is one to go on from.

        Raises as `Run.open`, but for what is process 0's: the folder's state.
        """
        path = getattr(config, "resume", None)
        run = cls._begun(name, config, settings)
        if path is None:
            run.path = folder.default_path(name)  # nothing is there
            return run
        resume.require_unfinished(path)
        origin = resume.find_origin(path, resume.require_run(path, name))
        run.path, run._origin = path, origin
        run.rows = [*folder.read_rows(path)[: origin.num_rows]]
        return run

    def record(self, rows: Iterable[Row]) -> None:
        """Train along; raises what ends the training."""
        if self.config.redraw is None:
            for row in rows:
                self.rows.append(row)

    def checkpoint(self, state: Any, **position: Any) -> None:
        """Process 0 keeps it."""

    def keep(self, name: str, value: Any) -> None:
        """Process 0 keeps it."""

    def write_weights(self, name: str, params: Any) -> None:
        """Process 0 writes them."""

    def write_csv(
        self, name: str, header: Sequence[str], rows: Iterable[Sequence[object]]
    ) -> None:
        """Process 0 writes it."""
