"""One run of the scaling: points one after the other, figures as they come."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.kit.command import cpu_count
from experiments.kit.folder import RunFolder
from experiments.kit.progress import console
from experiments.speed.contenders import SCALING, is_installed, label
from experiments.speed.contenders.floor import num_params
from experiments.speed.contenders.points import (
    Plan,
    Point,
    floor_of,
    make_plan,
    make_task,
)
from experiments.speed.contenders.rates import Rates, adam_rate, best_of, product_rates
from experiments.speed.contenders.rounds import measure
from experiments.speed.contenders.scaling_summary import epoch_seconds, point_result
from experiments.speed.contenders.task import Report, write_data
from jaxnets.data import Dataset

TEST_IMAGES = 1000  # enough to see that a contender learns


class ScalingSession:
    """Collects what the contenders report, so that any part can be written."""

    def __init__(
        self,
        dataset: Dataset,
        scratch: Path,
        written: RunFolder,
        *,
        rounds: int,
        part_seconds: float,
        seed: int,
    ) -> None:
        self._scratch = scratch
        self._written = written
        self._rounds = rounds
        self._part_seconds = part_seconds
        self._seed = seed
        self._num_pixels = dataset.train.image[0].size
        self._reports: dict[Point, dict[str, list[Report]]] = {}
        self._plans: dict[Point, Plan] = {}
        self._rates: Rates = {}
        self._adam_rates: dict[int, float] = {}
        self.left_out: dict[str, str] = {}
        self.errors: dict[str, str] = {}  # tracebacks, by point and contender
        test = type(dataset.test)(*(array[:TEST_IMAGES] for array in dataset.test))
        write_data(scratch, dataset.train, test)

    def _measure_machine(self, width: int) -> None:
        """The machine's rates; of several measurements the best ones count."""
        cores = cpu_count()
        self._rates = best_of(product_rates(cores), self._rates)
        rate = adam_rate(cores, num_params((self._num_pixels, width, 10)))
        self._adam_rates[width] = max(rate, self._adam_rates.get(width, 0.0))

    def rates(self) -> dict[str, Any]:
        """The machine's best rates; for Adam by hidden width."""
        adam = {str(width): rate for width, rate in self._adam_rates.items()}
        found = {**self._rates, "bytes_per_second_adam": adam}
        return {**found, "num_cores": cpu_count()}

    def _floor(self, point: Point) -> dict[str, Any]:
        adam = self._adam_rates[point.width]
        rates = {**self._rates, "bytes_per_second_adam": adam}
        return floor_of(point, self._num_pixels, rates)

    def run(self, point: Point, names: Sequence[str], place: str) -> None:
        """Time the named contenders at a point, each in a fresh process.

        Args:
          place: the point's among all, for the screen.
        """
        self._measure_machine(point.width)
        floor = self._floor(point)["seconds"]
        plan = make_plan(point, floor, self._part_seconds, self._rounds)
        task = make_task(
            point,
            self._num_pixels,
            plan,
            rounds=self._rounds,
            seed=self._seed,
            folder=self._scratch,
        )
        self._plans[point] = plan
        console.print(f"{place}  {_words(point)}: {plan.words(point)}")
        reports = self._reports[point] = {name: [] for name in names}

        def note(name: str, turn: int, report: Report) -> None:
            reports[name].append(report)
            self._note(point, name, turn, report)

        contenders = {name: SCALING[name] for name in names}
        failed: dict[str, str] = {}
        for round_failed in measure(contenders, task, self._rounds, 0, note):
            failed.update(round_failed)
        self._measure_machine(point.width)  # again: others may have been at work
        for name, error in failed.items():
            self.errors[f"{_words(point)}, {name}"] = error
            last_line = error.strip().splitlines()[-1]
            _say(f"{label(name, SCALING)} failed at {_words(point)}: {last_line}")
        self._show(point)

    def _note(self, point: Point, name: str, turn: int, report: Report) -> None:
        seconds = epoch_seconds(report, point, self._plans[point])
        found = {"contender": name, "turn": turn, "epoch_seconds": seconds}
        line = {**point._asdict(), **found, **report._asdict()}
        self._written.append_line("metrics.jsonl", line)

    def _show(self, point: Point) -> None:
        """Plain lines after a point: a live display would slow the contenders."""
        for entry in self._entry(point)["contenders"].values():
            seconds = entry["epoch_seconds"]
            console.print(
                f"    {entry['label']:<18}{seconds['median']:9.3f} s per epoch "
                f"({seconds['min']:.3f} to {seconds['max']:.3f})"
            )

    def _entry(self, point: Point) -> dict[str, Any]:
        plan, floor = self._plans[point], self._floor(point)
        return point_result(point, plan, self._reports[point], floor, self._rounds)

    def present(self, names: Sequence[str]) -> list[str]:
        """Those of the contenders that are installed; the others are said."""
        for name in names:
            if not is_installed(name, SCALING):
                reason = f"{SCALING[name].needs} is not installed"
                self.left_out[name] = f"{label(name, SCALING)}: {reason}"
                _say(f"left out: {self.left_out[name]}")
        return [name for name in names if name not in self.left_out]

    def points(self) -> dict[Point, dict[str, Any]]:
        """The entries of all points where anybody was timed."""
        entries = {point: self._entry(point) for point in self._reports}
        return {point: entry for point, entry in entries.items() if entry["contenders"]}


def _words(point: Point) -> str:
    return f"width {point.width}, {point.examples:,} images, batch {point.batch_size}"


def _say(text: str) -> None:
    console.print(text, style="bold red", markup=False)
