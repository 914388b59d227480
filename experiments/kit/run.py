"""One run of an experiment: data in, rows as they come, results and a page out."""

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from experiments.kit import folder, page, provenance, resume
from experiments.kit.command import EXPECTED, PartFailed, uninterrupted
from experiments.kit.folder import RESULTS
from experiments.kit.options import Options, Resumable, from_json
from experiments.kit.page import Link
from experiments.kit.progress import console
from experiments.kit.publish import (
    TRACEBACK,
    Parts,
    Sections,
    keep_traceback,
    prepare_to_draw,
)
from jaxnets import checkpoint, data, devices, weights
from jaxnets.errors import InputError
from jaxnets.types import Params

Config = TypeVar("Config", bound=Options)
State = TypeVar("State")
Settings = Callable[[data.Dataset], Mapping[str, Any]]
Row = Mapping[str, Any]  # numbers, text and lists of them, by name
FOLDERS = ("mnist_dir", "data_dir")  # each host may have its own
SHOWN = ("model", "step", "seeds", "seed", "epoch")  # of a position, on the screen


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
        self._error: BaseException | None = None  # what ended the recording
        self._preparation: threading.Thread | None = None  # of drawing
        self._origin: resume.Origin | None = None  # what a resumed run goes on from
        self._changes: list[str] = []  # since then
        self._unsaved: tuple[Any, Row] | None = None  # a checkpoint that is not written
        self._saved = time.monotonic()  # when the last one was
        # The folder's lock, and signals that wait from the last row on.
        self._until_published = contextlib.ExitStack()

    @classmethod
    def open(
        cls,
        name: str,
        config: Config,
        *,
        settings: Settings = lambda _: {},
    ) -> Self:
        """Check the output folder and load the data; nothing is written.

        With `config.redraw` the run is that of an earlier folder, with its rows and
        its config but for `redraw`, and `record` does nothing. With `config.resume` it
        is an earlier run up to its last checkpoint, and `restore` gives its state.

        Args:
          name: of the experiment.
          config: its options.
          settings: what `config.json` holds beside them, once the data is known.

        Raises:
          InputError: the folder is taken or cannot be made, it is not that of a run
            to redraw or to resume, what decides the numbers has changed since, a data
            option is wrong, or there is no device.
          DatasetUnavailable: a named dataset is nowhere to be found.
          RunFinished: there is nothing left to resume.
        """
        if isinstance(config, Resumable) and config.resume is not None:
            return cls._resume(name, config, settings)
        if config.redraw is not None:
            return cls._reopen(name, config)
        output = config.output or folder.default_path(name)
        folder.require_free(output, overwrite=config.overwrite)
        run = cls._begun(name, config, settings)
        run.path = output
        return run

    @classmethod
    def _begun(cls, name: str, config: Config, settings: Settings) -> Self:
        device = provenance.device_name()
        dataset = config.load()
        if config.examples is not None:
            trial = (
                f"Trained on the first {config.examples:,} images only: a try-out, "
                "whose figures mean little."
            )
            notice = " ".join(filter(None, (dataset.notice, trial)))
            dataset = dataset._replace(notice=notice)
        head = {
            "experiment": name,
            "dataset": dataset.name,
            "notice": dataset.notice,
            "train_examples": len(dataset.train.label),
            "validation_examples": len(dataset.validation.label),
            "test_examples": len(dataset.test.label),
            "versions": provenance.versions(),
            "device": device,
            "cpu_count": devices.cpu_count(),
        }
        if isinstance(config, Resumable):
            head |= resume.circumstances(dataset)
        run = cls(name, config, dataset, head)
        run._settings = settings(dataset)
        return run

    @classmethod
    def _resume(cls, name: str, config: Any, settings: Settings) -> Self:
        path = config.resume
        stored = resume.require_run(path, name)
        for option in ("output", "overwrite", "redraw"):
            if getattr(config, option):
                raise InputError(f"--resume goes on in {path}; leave out --{option}")
        resume.require_unfinished(path)
        if not os.access(path, os.W_OK):
            raise InputError(f"{path} is read-only; make it writable, or resume a copy")
        with contextlib.ExitStack() as until_open:
            lock = folder.lock(path)
            until_open.callback(lock.release)
            origin = resume.find_origin(path, stored)
            run = cls._begun(name, config, settings)
            run.path, run._origin = path, origin
            run._changes = resume.changes(origin.config, run._content())
            notice = stored["head"].get("notice")
            if run._changes:
                notice = resume.require_allowed(run._changes, config, path, notice)
            run.data = run.data._replace(notice=notice)
            run.head["notice"] = notice
            run.rows = [*folder.read_rows(path)[: origin.num_rows]]
            if len(run.rows) < origin.num_rows:
                raise InputError(
                    f"{path / folder.ROWS} has {len(run.rows)} rows, but the "
                    f"checkpoint comes after {origin.num_rows}; begin anew"
                )
            run._until_published.push(until_open.pop_all())
        return run

    @classmethod
    def _reopen(cls, name: str, config: Config) -> Self:
        assert config.redraw is not None
        path = config.redraw
        stored = resume.require_run(path, name)
        with contextlib.ExitStack() as until_open:
            until_open.callback(folder.lock(path).release)
            here = {
                name: getattr(config, name)
                for name in ("mnist_dir", "data_dir", "dataset_dir")
            }
            given = {key: value for key, value in here.items() if value is not None}
            config = from_json(type(config), {**stored, **given, "redraw": path})
            head = stored["head"]
            dataset = config.load()._replace(notice=head["notice"])
            run = cls(name, config, dataset, head)
            run.path = path
            run.rows = list(folder.read_rows(path))
            written = folder.read_object(path / RESULTS)
            run.status = written.get("status", "interrupted")
            run._until_published.push(until_open.pop_all())
        return run

    def record(self, rows: Iterable[Row]) -> None:
        """Make the folder, then keep each row in `metrics.jsonl` as it comes.

        Ctrl-C, a signal that ends the program, or an error ends the recording and not
        the report: `publish` writes what was reached, and then raises it. A signal
        that comes later waits until all is published.

        Raises:
          InputError: the folder has been taken in the meantime.
        """
        if self.config.redraw is not None:
            return
        self._begin()
        self._preparation = threading.Thread(target=prepare_to_draw, daemon=True)
        self._preparation.start()
        try:
            self._keep(rows)
        except KeyboardInterrupt as error:  # `Stopped` too
            self.status, self._error = "interrupted", error
        except Exception as error:
            self.status, self._error = "failed", error
            if not isinstance(error, EXPECTED):
                keep_traceback(self.path, error)

    def _keep(self, rows: Iterable[Row]) -> None:
        try:
            for row in rows:
                self.rows.append(row)
                folder.append_row(self.path, row)
        finally:
            self._until_published.enter_context(uninterrupted())
            if isinstance(rows, Generator):
                rows.close()
            self._save()

    @property
    def writes_scalars(self) -> bool:
        """Whether rows are also written for TensorBoard."""
        asked = getattr(self.config, "tensorboard", False)
        return asked and self.config.redraw is None

    def shared_content(self) -> dict[str, Any]:
        """What must be the same in all processes of the run."""
        own = ("coordinator", "process_id", "output", "overwrite", "notice", *FOLDERS)
        content = {k: v for k, v in self._content().items() if k not in own}
        others = ("device", "cpu_count", "notice")
        head = {k: v for k, v in self.head.items() if k not in others}
        rows = self._origin.num_rows if self._origin else 0
        return {**content, "head": head, "checkpoint": {"rows": rows, **self.position}}

    def _content(self) -> dict[str, Any]:
        """What `config.json` holds."""
        config = asdict(self.config)  # type: ignore[call-overload]
        if isinstance(self.config, Resumable):  # what is asked once
            config |= {"resume": None, "allow_changes": False}
        about = {"dataset": self.data.name, "notice": self.data.notice}
        return {**config, **about, **self._settings, "head": self.head}

    def _begin(self) -> None:
        if self._origin is not None:
            self._go_on(self._origin)
            return
        if self.config.output is None:
            self.path = folder.claim(self.path)
        content = self._content()
        lock = folder.make(self.path, content, overwrite=self.config.overwrite)
        self._until_published.callback(lock.release)
        self._print_notice()

    def _go_on(self, origin: resume.Origin) -> None:
        """Make the folder what it was at the last checkpoint."""
        if self._changes:
            folder.write_config(self.path, self._content())
        folder.remove_unfinished(self.path)
        folder.keep_rows(self.path, origin.num_rows)
        (self.path / TRACEBACK).unlink(missing_ok=True)
        self._print_notice()
        known = [f"{k} {v}" for k, v in origin.position.items() if k in SHOWN]
        where = f"after {', '.join(known)}" if known else "from the beginning"
        console().print(f"Going on in {self.path}, {where}.", soft_wrap=True)

    def checkpoint(self, state: Any, **position: Any) -> None:
        """Keep a state, to go on from after all rows so far if the run is broken off.

        It is written at once; or, with `checkpoint_seconds`, when so much time has
        passed since the last one, and at the end of the recording in any case.

        Args:
          state: a pytree of arrays, as in `jaxnets.checkpoint.save`.
          position: what the state is of, for `restore`; of JSON's types.
        """
        self._unsaved = state, {"rows": len(self.rows), "position": position}
        seconds = getattr(self.config, "checkpoint_seconds", 0.0)
        if time.monotonic() - self._saved >= seconds:
            self._save()

    def _save(self) -> None:
        if self._unsaved is not None:
            state, about = self._unsaved
            content = json.loads(json.dumps(self._content(), default=str))
            folder.sync_rows(self.path)
            file = self.path / resume.CHECKPOINT
            checkpoint.save(file, state, {**about, "config": content})
            self._unsaved, self._saved = None, time.monotonic()

    @property
    def position(self) -> Mapping[str, Any]:
        """That of the checkpoint that a resumed run goes on from; of others empty."""
        return self._origin.position if self._origin else {}

    def restore(self, like: State, **position: Any) -> State | None:
        """The state to go on from, if it is of this position; else None.

        Args:
          like: its structure, shapes and dtypes, as in `jaxnets.checkpoint.restore`.
          position: some of what `checkpoint` was given.

        Raises InputError where the state is not like that.
        """
        return self._origin and self._origin.state(like, position)

    def publish(
        self,
        results: Mapping[str, Any],
        *,
        title: str,
        lead: Callable[[], str],
        sections: Callable[[], Sections] = tuple,
        facts: Mapping[str, str] | None = None,
        links: Sequence[Link] = (),
    ) -> dict[str, Any]:
        """Write and print what was reached; `results.json` first, then what is drawn.

        Args:
          results: the content of `results.json` beside `head` and the status.
          title: the page's heading.
          lead: gives its first sentence, the finding.
          sections: gives tables and pictures in the order of the page; none: no page.
            Both are called when `results.json` is written.
          facts: what to add to those at the end of the page.
          links: other pages to write.

        Returns:
          The content of `results.json`.

        Raises:
          PartFailed: a figure or page could not be made; all else is there.
          BaseException: what ended the recording.
        """
        with self._until_published:
            content = {**self.head, "status": self.status, "finding": None, **results}
            folder.write_json(self.path / RESULTS, content)
            if self._preparation:  # Matplotlib draws in one thread at a time
                self._preparation.join()
            parts = Parts(self.path)
            shown = parts.show(sections, self.data.name)
            written: list[Link] = []
            for link in links:
                with parts.part(link.file):
                    link.write()
                    written.append(link)
            content["finding"] = ""
            with parts.part("finding"):
                content["finding"] = lead()
            if shown:
                html = page.render(
                    "page.html",
                    title=title,
                    lead=content["finding"],
                    notice=self.data.notice,
                    facts={**self._facts(), **(facts or {})},
                    sections=shown,
                    links=written,
                )
                folder.write_text(self.path / "report.html", html)
            folder.write_json(self.path / RESULTS, content)  # the run is finished
            self._print_notice()
            file = self.path / ("report.html" if shown else RESULTS)
            console().print(
                f"\nThe run is {self.status}. Its files are in {self.path}; see "
                f"{file}.",
                soft_wrap=True,  # a path stays in one piece
            )
        if self._error is not None:
            for failure in parts.failures:
                console().print(failure)
            raise self._error
        if parts.failures:
            raise PartFailed("; ".join(parts.failures))
        return content

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
        folder.write_json(self.path / f"{name}.json", value)

    def kept(self, name: str) -> Any:
        """What `keep` wrote; None where it did not, or the file is damaged."""
        return folder.read_json(self.path / f"{name}.json")

    def write_weights(self, name: str, params: Params) -> None:
        """Write `weights/<name>.npz`."""
        file = self.path / "weights" / f"{name}.npz"
        file.parent.mkdir(exist_ok=True)
        weights.write(file, params, dataset=self.data.name)

    def read_weights(self, name: str, like: Params) -> Params | None:
        """The parameters in `weights/<name>.npz`; None where there are none."""
        file = self.path / "weights" / f"{name}.npz"
        return weights.read(file, like) if file.exists() else None

    def write_csv(
        self, name: str, header: Sequence[str], rows: Iterable[Sequence[object]]
    ) -> None:
        """Write a table with a header line."""
        folder.write_csv(self.path / name, header, rows)
