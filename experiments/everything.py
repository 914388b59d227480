"""Run every experiment, one after the other, and gather their pages.

    python -m experiments.everything            # by estimate five hours, two cores
    python -m experiments.everything --quick    # small settings, to see that all work

Each runs as its own command, in a process of its own, and leaves its own folder; what
it prints is shown. At the end index.html links all the pages. An experiment that fails
is named there and does not stop the others; the exit code is then 1.
"""

import ast
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from experiments.kit import folder
from experiments.kit.command import LAUNCHED, PartFailed, run_command, uninterrupted
from experiments.kit.options import DataOptions, require_names
from experiments.kit.page import render
from experiments.kit.progress import console
from jaxnets.models import MODELS
from jaxnets.process import exit_in_words

FULL = {  # the options that each is run with, beside the data's
    "compare": f"--models {' '.join(MODELS)}",  # row_rnn too
    "neurons": "",
    "seeds": "",
    "choices": "",
    "bugs": "",
    "parity": "",
    "speed": "--points models scaling",
    "control": "",
    "pictures": "",
    "durability": "--kills 100 --keras-kills 10",
    "scale": "",
    "sweep": "",
    "speedrun": "",
    "ladder": "",
    "accelerator": "--dry-run",
}
QUICK = {  # and what makes it a matter of seconds, beside QUICK_DATA
    "compare": "--epochs 1",
    "neurons": "--bits 2 --max-passes 10 --sigmoid-passes 1 --seeds 0 --epochs 1 "
    "--steps 50",
    "seeds": "--seeds 3 --keras-seeds 0 --epochs 1 --alone 1 --processes 0",
    "choices": "--seeds 3 --tune-seeds 1 --grid 0.1 0.001 --patience 3 "
    "--rate-epochs 10 --scale-epochs 2 --start-epochs 2",
    "bugs": "--seeds 2 --healthy-seeds 2 --keras-seeds 1 --epochs 1 --untrained 10 "
    "--judged-seeds 0",
    "parity": "--seeds 2 --epochs 1",
    "speed": "--quick --rounds 1 --widths 16 --examples-list 500 --batch-sizes 64 "
    "--width 32 --num-examples 1000 "
    "--contenders numpy_batched jaxnets from_scratch",
    "control": "--rounds 1 --epochs 1 --descent-steps 10 --sharpness-images 200 "
    "--gradient-images 50 --rate-images 500",
    "pictures": "--models sigmoid_mse --epochs 1 --pictures 10 --sheets 1",
    "durability": "--kills 3 --keras-kills 0 --epochs 2",
    "scale": "--models sigmoid_mse --batch-sizes 64 --device-counts 1",
    "sweep": "--rates 0.1 3 1000 --seeds 2 --epochs 2",
    "speedrun": "--seeds 3 --keras-epochs 1 --num-epochs 1 --hidden 32",
    "ladder": "--seeds 2 --ensemble 2 --epochs 1",
    "accelerator": "--models sigmoid_mse --unroll 1 --chunks 2",
}
QUICK_DATA = "--examples 1000"


@dataclass(frozen=True, kw_only=True)
class Config(DataOptions):
    """What to run, and on which data."""

    experiments: tuple[str, ...] = tuple(FULL)
    """Which experiments to run, in this order."""
    quick: bool = False
    """Small settings: the files are real, the figures mean nothing."""
    output: Path | None = None
    """Folder for the results; left out: runs/<time>-everything."""
    overwrite: bool = False
    """Replace the output folder if it holds an earlier run."""


class Entry(NamedTuple):
    """How one experiment ended."""

    name: str  # of the experiment, and of its folder
    question: str
    command: str  # as a user would type it
    exit_code: int  # 0: well
    ending: str  # the exit code in words
    seconds: float


def main(config: Config) -> dict[str, Any]:
    """Run them all; return the content of results.json."""
    require_names(config, "experiments", FULL)
    path = config.output or folder.claim(folder.default_path("everything"))
    lock = folder.make(path, asdict(config), overwrite=config.overwrite)
    entries: list[Entry] = []
    try:
        for name in config.experiments:
            console().rule(name, style="bold")
            run_one(name, config, path / name, entries)
    finally:
        results = {"experiments": [entry._asdict() for entry in entries]}
        folder.write_json(path / "results.json", results)
        folder.write_text(path / "index.html", index(path, entries))
        lock.release()
        console().print(f"\nThe pages are gathered in {path / 'index.html'}.")
    failed = [entry.name for entry in entries if entry.exit_code]
    if failed:
        raise PartFailed(f"failed: {', '.join(failed)}; see what they printed above")
    return results


def run_one(name: str, config: Config, path: Path, entries: list[Entry]) -> None:
    """One experiment in a process of its own; how it ended is added to the entries.

    A signal to stop is passed on, and raised when the experiment has ended.
    """
    quick = f"{QUICK[name]} {QUICK_DATA}" if config.quick else ""
    command = ["python", "-m", f"experiments.{name}", *f"{FULL[name]} {quick}".split()]
    for option in ("dataset", "mnist_dir", "data_dir", "dataset_dir", "classes"):
        if (value := getattr(config, option)) is not None:
            command += [f"--{option.replace('_', '-')}", str(value)]
    if config.transpose:
        command.append("--transpose")
    here = [sys.executable, *command[1:], "--output", str(path)]
    stopped, began = None, time.perf_counter()
    # A session of its own: what the terminal sends reaches it once, from here. Its
    # standard input ends with this program, and it with that.
    with subprocess.Popen(
        here,
        stdin=subprocess.PIPE,
        env={**os.environ, LAUNCHED: "1"},
        start_new_session=True,
    ) as process:
        try:
            exit_code = process.wait()
        except KeyboardInterrupt as error:  # `Stopped` too
            stopped = error
            with uninterrupted():  # until it has written what it reached
                process.send_signal(getattr(error, "number", signal.SIGINT))
                exit_code = process.wait()
    ending, seconds = exit_in_words(exit_code), time.perf_counter() - began
    said = (question(name), " ".join(command))
    entries.append(Entry(name, *said, exit_code, ending, seconds))
    if stopped:
        raise stopped


def question(name: str) -> str:
    """The first line of an experiment's docstring."""
    source = (Path(__file__).parent / name / "__main__.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]


def index(path: Path, entries: Sequence[Entry]) -> str:
    """The page that links all pages, as HTML text.

    Args:
      path: holds a folder for each experiment, under its name.
      entries: in the order of the page.
    """
    cards = []
    for entry in entries:
        results = folder.read_object(path / entry.name / "results.json")
        has_page = (path / entry.name / "report.html").is_file()
        # Experiments draw first what matters most.
        pictures = (path / entry.name).glob("*.png")
        first = min(pictures, key=lambda png: png.stat().st_mtime_ns, default=None)
        card = {
            **entry._asdict(),
            **{key: results.get(key) for key in ("finding", "notice", "dataset")},
            "page": f"{entry.name}/report.html" if has_page else None,
            "picture": f"{entry.name}/{first.name}" if first else None,
        }
        cards.append(card)
    date = f"{datetime.now():%Y-%m-%d}"
    return render("index.html", entries=cards, date=date)


if __name__ == "__main__":
    run_command(main, Config)
