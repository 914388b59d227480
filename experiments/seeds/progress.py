"""Progress of many networks: a bar per model on a terminal, plain lines elsewhere."""

from collections.abc import Sequence

import numpy as np
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

from experiments.kit.progress import Display
from experiments.seeds.results import ModelSeeds, SeedEpoch


class SeedsProgress(Display):
    """A bar per model, which counts epochs of single networks."""

    def __init__(self, models: Sequence[ModelSeeds]) -> None:
        super().__init__(
            TextColumn("{task.description:<12}"),
            BarColumn(),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
        )
        self._tasks = {
            model.name: self._bars.add_task(
                model.name,
                total=len(model.seeds) * model.recipe.num_epochs,
                start=False,
                state=f"{len(model.seeds)} networks, waiting",
            )
            for model in models
        }

    def begin(self, model: ModelSeeds, seeds: Sequence[int]) -> None:
        """Some of a model's networks start together."""
        self._bars.start_task(self._tasks[model.name])
        self._bars.update(
            self._tasks[model.name], state=f"{seeds_text(seeds)}, compiling"
        )

    def alone(self, model: ModelSeeds) -> None:
        """A network is trained alone, for the clock."""
        self._bars.start_task(self._tasks[model.name])
        self._bars.update(self._tasks[model.name], state="one alone, for the clock")

    def epoch(
        self, model: ModelSeeds, seeds: Sequence[int], epochs: Sequence[SeedEpoch]
    ) -> None:
        """An epoch of these networks has ended."""
        accuracy = np.mean([epoch.test_accuracy for epoch in epochs])
        number = epochs[0].number
        self._bars.update(
            self._tasks[model.name],
            advance=len(seeds),
            state=f"{seeds_text(seeds)}, epoch {number}/{model.recipe.num_epochs}, "
            f"test accuracy {accuracy:.2%}",
        )

    def end(self, model: ModelSeeds, seeds: Sequence[int]) -> None:
        """These networks are trained."""
        last = [model.epochs[seed][-1].test_accuracy for seed in seeds]
        done = len(model.finished)
        accuracy = f"{last[0]:.2%}"
        if len(last) > 1:
            accuracy = f"{min(last):.2%} to {max(last):.2%}, mean {np.mean(last):.2%}"
        self._bars.console.print(
            f"{model.name:<12} {seeds_text(seeds)}: test accuracy {accuracy}  "
            f"({done} of {len(model.seeds)} networks)"
        )


def seeds_text(seeds: Sequence[int]) -> str:
    """Consecutive seeds in words."""
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    return f"seeds {seeds[0]} to {seeds[-1]}"
