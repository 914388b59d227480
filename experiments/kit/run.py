"""What every experiment does: options, data in, a run folder and a page out."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from experiments.compare.results import device, versions
from experiments.kit import command as runtime
from experiments.kit import folder
from experiments.kit.folder import RunFolder
from experiments.kit.progress import console
from jaxnets import data
from jaxnets.data import Dataset


@dataclass(frozen=True, kw_only=True)
class Options:
    """The command line that the experiments share."""

    dataset: str | None = None
    """mnist, fashion_mnist, kmnist or digits. Left out: MNIST, or digits without it."""
    mnist_dir: Path | None = None
    """Folder with the dataset's four original .gz files [env: JAXNETS_MNIST_DIR]."""
    data_dir: Path | None = None
    """Where tensorflow-datasets keeps its data [env: TFDS_DATA_DIR]."""
    examples: int | None = None
    """Train on the first so many images only; left out: all."""
    validation_examples: int | None = None
    """How many of the last training records validate; left out: a sixth; 0 allowed."""
    output: Path | None = None
    """Folder for the results; left out: runs/<time>-<experiment>."""
    overwrite: bool = False
    """Replace the output folder if it holds an earlier run."""


@dataclass
class Experiment:
    """One run of an experiment, from its options to its files."""

    name: str
    options: Options
    dataset: Dataset
    output: Path
    written: RunFolder = field(init=False)  # from `begin` on

    def begin(self, settings: dict[str, Any] | None = None) -> RunFolder:
        """Make the run folder; call it when everything that can be refused is checked.

        Args:
          settings: for config.json; left out: the options. The dataset's name and
            notice are those of what was loaded.
        """
        if settings is None:
            settings = asdict(self.options)
        loaded = {"dataset": self.dataset.name, "notice": self.dataset.notice}
        settings = {**settings, **loaded}
        if self.options.output is None:
            self.output = folder.claim(self.output)
        overwrite = self.options.overwrite
        self.written = RunFolder(self.output, settings, overwrite=overwrite)
        self._say_notice()
        return self.written

    def head(self, status: str) -> dict[str, Any]:
        """The part of results.json that says where the numbers come from."""
        return {
            "experiment": self.name,
            "status": status,
            "dataset": self.dataset.name,
            "notice": self.dataset.notice,
            "train_examples": len(self.dataset.train.label),
            "validation_examples": len(self.dataset.validation.label),
            "test_examples": len(self.dataset.test.label),
            "versions": versions(),
            "device": device(),
            "cpu_count": runtime.cpu_count(),
        }

    def carry_out(
        self, work: Callable[[], None], finish: Callable[[str], dict[str, Any]]
    ) -> dict[str, Any]:
        """Do the work; then print and write what was reached, whatever ended it.

        `finish` takes "complete", "interrupted" or "failed", and returns the content
        of results.json, which is written last: where it is, all other files are.
        Ctrl-C and failures go on to the caller afterwards.
        """
        try:
            work()
        except BaseException as error:
            interrupted = isinstance(error, KeyboardInterrupt)
            try:
                self._finish(finish, "interrupted" if interrupted else "failed")
            except Exception as second:  # say why the work ended, not this
                error.add_note(f"what was reached could not be written: {second}")
            raise
        return self._finish(finish, "complete")

    def _finish(
        self, finish: Callable[[str], dict[str, Any]], status: str
    ) -> dict[str, Any]:
        with runtime.uninterrupted():
            content = finish(status)
            self.written.write_json("results.json", content)
            self._say_notice()
            path = self.written.path
            page = path / "report.html"
            shown = page if page.exists() else path / "results.json"
            console.print(f"\nThe run is {status}.", end=" ")
            console.print(f"Its files are in {path}; see {shown}.")
        return content

    def _say_notice(self) -> None:
        if self.dataset.notice:
            console.print(f"NOTICE: {self.dataset.notice}", style="bold red")

    def write_page(
        self,
        head: dict[str, Any],
        sections: Sequence[Any],
        *,
        title: str,
        lead: str,
        facts: dict[str, Any] | None = None,
    ) -> None:
        """Every picture as a PNG file, and `report.html` with all of it inside.

        Args:
          head: results.json, or at least `head` of it.
          sections: `page.Table` and `page.Picture`, in the order of the page.
          title, lead: the page's heading and first sentence.
          facts: what to add to those of the head at the end of the page.
        """
        from experiments.kit import page

        for section in sections:
            if isinstance(section, page.Picture):
                self.written.write_bytes(f"{section.name}.png", section.png)
        html = page.render(
            title=title,
            lead=lead,
            notice=head["notice"],
            facts={**_facts(head), **(facts or {})},
            sections=sections,
        )
        self.written.write_text("report.html", html)


def prepare(name: str, options: Options) -> Experiment:
    """Check the output folder and load the data; nothing is written.

    Raises:
      InputError: the folder is taken or cannot be made, or a data option is wrong.
      DatasetUnavailable: a named dataset is nowhere to be found.
    """
    output = options.output or folder.default_path(name)
    folder.check(output, overwrite=options.overwrite)
    dataset = data.load(
        options.dataset,
        folder=options.mnist_dir,
        data_dir=options.data_dir,
        validation_examples=options.validation_examples,
    )
    if options.examples is not None:
        dataset = data.first_examples(dataset, options.examples)
    return Experiment(name, options, dataset, output)


def _facts(head: dict[str, Any]) -> dict[str, Any]:
    counts = (head[f"{part}_examples"] for part in ("train", "validation", "test"))
    found = head["versions"]
    return {
        "dataset": head["dataset"],
        "training / validation / test images": " / ".join(f"{n:,}" for n in counts),
        **({"seed": head["seed"]} if "seed" in head else {}),
        "device": f"{head['device']}, {head['cpu_count']} cores",
        "versions": ", ".join(f"{name} {number}" for name, number in found.items()),
        "status": head["status"],
    }
