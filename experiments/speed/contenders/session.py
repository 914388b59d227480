"""One run of the benchmark: models one after the other, figures as they come."""

from importlib import metadata
from pathlib import Path
from typing import Any

from experiments.compare.results import processor, versions
from experiments.kit.command import cpu_count
from experiments.kit.folder import RunFolder
from experiments.kit.progress import console
from experiments.speed import benchmark_report as benchmark_report
from experiments.speed.contenders import CONTENDERS, label
from experiments.speed.contenders.floor import epoch_floor, num_params
from experiments.speed.contenders.rates import Rates, adam_rate, best_of, product_rates
from experiments.speed.contenders.rounds import measure
from experiments.speed.contenders.summary import model_result
from experiments.speed.contenders.task import Data, Report, Task, write_data
from jaxnets import models as recipes
from jaxnets.data import Dataset

_RIVALS = ("torch", "scikit-learn")


class Session:
    """Collects what the contenders report, so that any part can be written."""

    def __init__(
        self, dataset: Dataset, scratch: Path, num_rounds: int, seed: int
    ) -> None:
        self._dataset = dataset
        self._scratch = scratch
        self._num_rounds = num_rounds
        self._seed = seed
        self._reports: dict[str, dict[str, list[Report]]] = {}
        self._left_out: dict[str, str] = {}
        self._errors: dict[str, str] = {}
        write_data(scratch, Data(*dataset.train), Data(*dataset.test))
        if dataset.notice:
            console.print(f"NOTICE: {dataset.notice}", style="bold red")
        self._rates: Rates = {}
        self._measure_machine()

    def _measure_machine(self) -> None:
        """Again after each model, for others may be at work: the best rates count."""
        console.print("Measuring the machine's best rates ...")
        cores = cpu_count()
        adam = adam_rate(cores, num_params(recipes.FLAX_DENSE.layer_sizes))
        found = {**product_rates(cores), "bytes_per_second_adam": adam}
        self._rates = best_of(found, self._rates)

    def leave_out(self, name: str, reason: str) -> None:
        """Note and say that a contender does not take part, or no longer."""
        self._left_out[name] = reason
        console.print(f"left out: {reason}", style="bold red", markup=False)

    def _task(self, model: str) -> Task:
        recipe = recipes.RECIPES[model]
        return Task(
            model=model,
            layer_sizes=recipe.layer_sizes,
            optimizer=recipe.optimizer,
            learning_rate=recipe.learning_rate,
            batch_size=recipe.batch_size,
            num_epochs=max(recipe.num_epochs, self._num_rounds + 1),
            seed=self._seed,
            folder=self._scratch,
        )

    def run(self, model: str, names: list[str]) -> None:
        """Time one model's contenders."""
        reports = self._reports.setdefault(model, {name: [] for name in names})
        max_epochs = recipes.RECIPES[model].num_epochs

        def note(name: str, epoch: int, report: Report) -> None:
            reports[name].append(report)
            kind = "warm-up" if epoch == 1 else f"epoch {epoch}"
            # Plain lines: a live display would take time from the contenders.
            console.print(
                f"{model:<12} {kind:<8} {label(name):<36} {report.seconds:8.3f} s  "
                f"test accuracy {report.correct / report.seen:.2%}"
            )

        task = self._task(model)
        contenders = {name: CONTENDERS[name] for name in names}
        for failed in measure(contenders, task, self._num_rounds, max_epochs, note):
            for name in failed.keys() - self._left_out.keys():
                self._errors[name] = failed[name]
                last_line = failed[name].strip().splitlines()[-1]
                self.leave_out(name, f"{label(name)} failed in {model}: {last_line}")
        self._measure_machine()

    def results(self, status: str) -> dict[str, Any]:
        """Everything in `results.json`."""
        found = versions()
        for package in _RIVALS:
            try:
                found[package] = metadata.version(package)
            except metadata.PackageNotFoundError:
                continue
        return {
            "status": status,
            "dataset": self._dataset.name,
            "notice": self._dataset.notice,
            "train_examples": len(self._dataset.train.label),
            "test_examples": len(self._dataset.test.label),
            "rounds": self._num_rounds,
            "seed": self._seed,
            "versions": found,
            "device": processor(),
            "machine": {**self._rates, "num_cores": cpu_count()},
            "left_out": self._left_out,
            "errors": self._errors,  # tracebacks of those that failed
            "models": {model: self._model(model) for model in self._reports},
        }

    def _model(self, model: str) -> dict[str, Any]:
        recipe = recipes.RECIPES[model]
        num_examples = len(self._dataset.train.label)
        floor = epoch_floor(self._task(model), num_examples, self._rates)
        reports = self._reports[model]
        entry = model_result(reports, self._num_rounds, recipe.num_epochs, floor)
        absent = [name for name in CONTENDERS if name not in reports]
        sizes = list(recipe.layer_sizes)
        return {"layer_sizes": sizes, **entry, "not_contending": absent}

    def finish(self, written: RunFolder, status: str) -> dict[str, Any]:
        """Write and print what was measured."""
        content = self.results(status)
        written.write_json("results.json", content)
        benchmark_report.print_tables(content)
        if any(model["contenders"] for model in content["models"].values()):
            benchmark_report.write_page(written, content)
        console.print(f"\nThe run is {status}. Its files are in {written.path}.")
        return content
