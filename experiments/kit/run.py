"""One run of an experiment: data in, rows as they come, results and a page out."""

import contextlib
import json
import platform
import threading
import traceback
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

import jaxnets
from experiments.kit import folder, page
from experiments.kit.command import EXPECTED, uninterrupted
from experiments.kit.options import Options, from_json
from experiments.kit.page import Drawn, Picture, Table
from experiments.kit.progress import console, print_table
from jaxnets import data, devices
from jaxnets.errors import InputError
from jaxnets.types import Params

Config = TypeVar("Config", bound=Options)
Row = Mapping[str, Any]  # numbers, text and lists of them, by name
PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "tensorflow", "keras")
RESULTS = "results.json"
TRACEBACK = "traceback.txt"


class DrawingFailed(RuntimeError):
    """Figures could not be drawn; everything else is written."""


class Run(Generic[Config]):
    """From the options to the files. Read an experiment's `main` to see it used."""

    def __init__(
        self, name: str, config: Config, dataset: data.Dataset, head: dict[str, Any]
    ) -> None:
        self.name = name
        self.config = config
        self.data = dataset
        self.head = head  # the part of results.json that says where numbers come from
        self.rows: list[Row] = []
        self.path = Path()  # from `record` on
        self.status = "complete"
        self._settings: Mapping[str, Any] = {}
        self._is_redrawn = False
        self._error: BaseException | None = None
        self._lock: Any = None

    @classmethod
    def open(
        cls, name: str, config: Config, *, settings: Mapping[str, Any] | None = None
    ) -> Self:
        """Check the output folder and load the data; nothing is written.

        With `config.redraw` the run is that of an earlier folder, with its config and
        its rows, and `record` does nothing.

        Args:
          name: of the experiment.
          config: its options.
          settings: what `config.json` holds beside them.

        Raises:
          InputError: the folder is taken or cannot be made, it is not that of a run
            to redraw, a data option is wrong, or there is no device.
          DatasetUnavailable: a named dataset is nowhere to be found.
        """
        if config.redraw is not None:
            return cls._reopen(name, config)
        output = config.output or folder.default_path(name)
        folder.require_free(output, overwrite=config.overwrite)
        device = _device_name()
        dataset = _load(config)
        head = {
            "experiment": name,
            "dataset": dataset.name,
            "notice": dataset.notice,
            "train_examples": len(dataset.train.label),
            "validation_examples": len(dataset.validation.label),
            "test_examples": len(dataset.test.label),
            "versions": versions(),
            "device": device,
            "cpu_count": devices.cpu_count(),
        }
        run = cls(name, config, dataset, head)
        run.path = output
        run._settings = settings or {}
        return run

    @classmethod
    def _reopen(cls, name: str, config: Config) -> Self:
        assert config.redraw is not None
        path = config.redraw
        stored = folder.read_config(path)
        if stored is None or stored.get("head", {}).get("experiment") != name:
            raise InputError(f"{path} is not the folder of a run of {name}")
        lock = folder.lock(path)
        here = {"mnist_dir": config.mnist_dir, "data_dir": config.data_dir}
        given = {key: value for key, value in here.items() if value is not None}
        config = from_json(type(config), {**stored, **given})
        run = cls(name, config, _load(config), stored["head"])
        run.path, run._lock, run._is_redrawn = path, lock, True
        run.rows = list(folder.read_rows(path))
        run.status = "interrupted"
        if (path / RESULTS).exists():
            run.status = json.loads((path / RESULTS).read_bytes())["status"]
        return run

    def record(self, rows: Iterable[Row]) -> None:
        """Make the folder, then keep each row in `metrics.jsonl` as it comes.

        Ctrl-C, a signal that ends the program, or an error ends the recording and not
        the report: `publish` writes what was reached, and then raises it.

        Raises:
          InputError: the folder has been taken in the meantime.
        """
        if self._is_redrawn:
            return
        self._begin()
        _load_what_draws()
        try:
            for row in rows:
                self.rows.append(row)
                folder.append_row(self.path, row)
        except KeyboardInterrupt as error:  # `Stopped` too
            self.status, self._error = "interrupted", error
        except Exception as error:
            self.status, self._error = "failed", error
            self._keep_traceback(error)
        finally:
            if isinstance(rows, Generator):
                rows.close()

    def _begin(self) -> None:
        if self.config.output is None:
            self.path = folder.claim(self.path)
        config = {
            **asdict(self.config),
            "dataset": self.data.name,
            "notice": self.data.notice,
            **self._settings,
            "head": self.head,
        }
        overwrite = self.config.overwrite
        self._lock = folder.make(self.path, config, overwrite=overwrite)
        self._print_notice()

    def _keep_traceback(self, error: Exception) -> None:
        """Of an error that nobody expected, in a file of its own."""
        if isinstance(error, EXPECTED):
            return
        lines = traceback.format_exception(error)
        with contextlib.suppress(OSError):
            self.write_text(TRACEBACK, "".join(lines))
            error.add_note(f"The traceback is in {self.path / TRACEBACK}.")

    def publish(
        self,
        results: Mapping[str, Any],
        *,
        title: str,
        lead: str,
        sections: Sequence[Table | Picture] = (),
        facts: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Write and print what was reached; `results.json` first, then what is drawn.

        Args:
          results: the content of `results.json` beside `head` and the status.
          title, lead: the page's heading and first sentence.
          sections: tables and pictures in the order of the page; none: no page.
          facts: what to add to those at the end of the page.

        Returns:
          The content of `results.json`.

        Raises:
          DrawingFailed: a figure could not be drawn; all else is there.
          BaseException: what ended the recording.
        """
        with uninterrupted():
            content = {**self.head, "status": self.status, **results}
            self.write_json(RESULTS, content)
            for section in sections:
                if isinstance(section, Table) and section.on_screen:
                    print_table(section)
            failures = self._write_page(title, lead, sections, facts or {})
            self._print_notice()
            shown = self.path / ("report.html" if sections else RESULTS)
            console().print(
                f"\nThe run is {self.status}. Its files are in {self.path}; see "
                f"{shown}."
            )
            self._lock.release()
        if self._error is not None:
            raise self._error
        if failures:
            raise DrawingFailed("; ".join(failures))
        return content

    def _write_page(
        self,
        title: str,
        lead: str,
        sections: Sequence[Table | Picture],
        facts: Mapping[str, str],
    ) -> list[str]:
        """Every picture as a PNG file, and a page with all inside; says what failed."""
        if not sections:
            return []
        drawn: list[Table | Drawn] = []
        failures = []
        for section in sections:
            if isinstance(section, Table):
                drawn.append(section)
                continue
            try:
                picture = page.draw(section, self.data.name)
            except Exception as error:  # a drawing may fail; the results are written
                lines = traceback.format_exception(error)
                self.write_text(f"{section.name}.{TRACEBACK}", "".join(lines))
                reason = f"{type(error).__name__}: {error}".splitlines()[0]
                failures.append(f"{section.name}.png could not be drawn ({reason})")
            else:
                self.write_bytes(f"{picture.name}.png", picture.png)
                drawn.append(picture)
        html = page.render(
            title=title,
            lead=lead,
            notice=self.data.notice,
            facts={**self._facts(), **facts},
            sections=drawn,
        )
        self.write_text("report.html", html)
        return failures

    def _facts(self) -> dict[str, str]:
        parts = ("train", "validation", "test")
        counts = (self.head[f"{part}_examples"] for part in parts)
        pairs = self.head["versions"].items()
        seed = getattr(self.config, "seed", None)
        return {
            "dataset": self.data.name,
            "training / validation / test images": " / ".join(f"{n:,}" for n in counts),
            **({} if seed is None else {"seed": str(seed)}),
            "device": f"{self.head['device']}, {self.head['cpu_count']} cores",
            "versions": ", ".join(f"{name} {number}" for name, number in pairs),
            "status": self.status,
        }

    def _print_notice(self) -> None:
        if self.data.notice:
            console().print(f"NOTICE: {self.data.notice}", style="bold red")

    def keep(self, name: str, value: Any) -> None:
        """Write a single fact as `<name>.json`."""
        self.write_json(f"{name}.json", value)

    def kept(self, name: str) -> Any:
        """What `keep` wrote; None where it did not."""
        file = self.path / f"{name}.json"
        return json.loads(file.read_bytes()) if file.exists() else None

    def write_weights(self, name: str, params: Params) -> None:
        """Write `weights/<name>.npz`."""
        file = self.path / "weights" / f"{name}.npz"
        folder.write_weights(file, params, dataset=self.data.name)

    def read_weights(self, name: str, like: Params) -> Params | None:
        """The parameters in `weights/<name>.npz`; None where there are none."""
        file = self.path / "weights" / f"{name}.npz"
        return folder.read_weights(file, like) if file.exists() else None

    def write_json(self, name: str, content: Any) -> None:
        """Write strict JSON; NaN is refused."""
        folder.write_json(self.path / name, content)

    def write_text(self, name: str, text: str) -> None:
        """Write UTF-8 text."""
        folder.write_text(self.path / name, text)

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write a binary file."""
        folder.write_bytes(self.path / name, content)

    def write_csv(
        self, name: str, header: Sequence[str], rows: Iterable[Sequence[object]]
    ) -> None:
        """Write a table with a header line."""
        folder.write_csv(self.path / name, header, rows)


def _load(config: Options) -> data.Dataset:
    dataset = data.load(
        config.dataset,
        folder=config.mnist_dir,
        data_dir=config.data_dir,
        validation_examples=config.validation_examples,
    )
    if config.examples is not None:
        dataset = data.first_examples(dataset, config.examples)
    return dataset


def _load_what_draws() -> None:
    """Load Matplotlib while the networks train."""
    threading.Thread(
        target=import_module, args=("experiments.kit.figures",), daemon=True
    ).start()


def versions() -> dict[str, str]:
    """Versions of what decides the numbers, as installed."""
    numbers = {"python": platform.python_version(), "jaxnets": jaxnets.__version__}
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            numbers[package] = metadata.version(package)
    return numbers


def processor_name() -> str:
    """The processor's name where the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [line.split(":")[1] for line in lines if "model name" in line]
    except OSError:
        names = []
    return names[0].strip() if names else platform.processor() or platform.machine()


def _device_name() -> str:
    """The device that JAX trains on, by kind and name; InputError without one."""
    first = devices.require_device()
    return processor_name() if first.platform == "cpu" else first.device_kind
