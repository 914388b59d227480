"""Run every experiment, one after the other, and gather their pages.

    python experiments/all.py            # about an hour on two cores
    python experiments/all.py --quick    # small settings, to see that all of it works

Each runs as its own command, in a process of its own, and leaves its own folder; what
it prints is shown. At the end index.html links all the pages. An experiment that fails
is named there and does not stop the others; the exit code is then 1. The lessons
(sigmoid_mse.py, relu_softmax.py, row_rnn.py, keras_vs_flax.py) leave no folder and are
not among them.
"""

import ast
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from experiments.kit import command as runtime
from experiments.kit import folder, index
from experiments.kit.folder import RunFolder
from experiments.kit.progress import console
from jaxnets import models as recipes
from jaxnets.errors import InputError, ProcessFailed

HERE = Path(__file__).resolve().parent
# In the order of the write-up. What each is run with, beside the data's options:
FULL: dict[str, tuple[str, ...]] = {
    "neurons": (),
    "compare": ("--models", *recipes.RECIPES),  # row_rnn too
    "seeds": (),
    "bugs": (),
    "parity": (),
    "benchmark": (),
    "scaling": (),
    "control": (),
}
QUICK: dict[str, tuple[str, ...]] = {  # and what makes it a matter of seconds
    "neurons": (
        *("--bits", "2", "--max-passes", "10", "--sigmoid-passes", "1"),
        *("--seeds", "0", "--epochs", "1", "--steps", "50", "--examples", "1000"),
    ),
    "compare": ("--epochs", "1", "--examples", "1000"),
    "seeds": (
        *("--seeds", "3", "--keras-seeds", "0", "--epochs", "1", "--alone", "1"),
        *("--examples", "1000"),
    ),
    "bugs": (
        *("--seeds", "2", "--healthy-seeds", "2", "--keras-seeds", "1"),
        *("--epochs", "1", "--untrained", "10", "--examples", "1000"),
    ),
    "parity": ("--seeds", "2", "--epochs", "1", "--examples", "1000"),
    "benchmark": (
        *("--examples", "1000", "--rounds", "1"),
        *("--contenders", "numpy_batched_1", "jaxnets_all"),
    ),
    "scaling": (
        *("--widths", "16", "--examples-list", "500", "--batch-sizes", "64"),
        *("--width", "32", "--num-examples", "1000", "--rounds", "1"),
        *("--contenders", "from_scratch", "numpy_1"),
    ),
    "control": (
        *("--rounds", "1", "--epochs", "1", "--descent-steps", "10"),
        *("--sharpness-images", "200", "--gradient-images", "50"),
        *("--rate-images", "500", "--examples", "1000"),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """What to run, and on which data."""

    experiments: tuple[str, ...] = tuple(FULL)
    """Which experiments to run, in this order."""
    quick: bool = False
    """Small settings: the files are real, the figures mean nothing."""
    dataset: str | None = None
    """mnist, fashion_mnist, kmnist or digits. Left out: MNIST, or digits without it."""
    mnist_dir: Path | None = None
    """Folder with the dataset's four original .gz files [env: JAXNETS_MNIST_DIR]."""
    data_dir: Path | None = None
    """Where tensorflow-datasets keeps its data [env: TFDS_DATA_DIR]."""
    output: Path | None = None
    """Folder for the results; left out: runs/<time>-all."""
    overwrite: bool = False
    """Replace the output folder if it holds an earlier run."""


class Done(NamedTuple):
    """How one experiment ended."""

    name: str
    question: str
    command: str  # as a user would type it
    exit_code: int
    seconds: float
    notice: str | None  # set where it ran on other data than was asked for


def main(config: Config) -> dict[str, Any]:
    """Run them all; return the content of results.json."""
    unknown = [name for name in config.experiments if name not in FULL]
    if unknown or not config.experiments:
        known = ", ".join(FULL)
        raise InputError(f"experiments {config.experiments} must be of: {known}")
    output = config.output or folder.default_path("all")
    written = RunFolder(output, asdict(config), overwrite=config.overwrite)
    done: list[Done] = []
    try:
        for name in config.experiments:
            done.append(_run(name, config, output / name))
            if done[-1].exit_code == runtime.INTERRUPTED:
                raise KeyboardInterrupt
    finally:
        results = _write(written, done)
    failed = [entry.name for entry in done if entry.exit_code]
    if failed:
        raise ProcessFailed(f"failed: {', '.join(failed)}; see what they printed above")
    return results


def _run(name: str, config: Config, output: Path) -> Done:
    """One experiment in a process of its own, its output shown as it comes."""
    script = HERE / f"{name}.py"
    options = [*FULL[name], *(QUICK[name] if config.quick else ())]
    for option in ("dataset", "mnist_dir", "data_dir"):
        value = getattr(config, option)
        if value is not None:
            options += [f"--{option.replace('_', '-')}", str(value)]
    console.rule(name, style="bold")
    began = time.perf_counter()
    command = [sys.executable, str(script), *options, "--output", str(output)]
    with subprocess.Popen(command) as process:
        try:
            exit_code = process.wait()
        except KeyboardInterrupt:  # the terminal sent it to the experiment too
            exit_code = process.wait() or runtime.INTERRUPTED
    seconds = time.perf_counter() - began
    typed = " ".join(["python", f"experiments/{name}.py", *options])
    return Done(name, _question(script), typed, exit_code, seconds, _notice(output))


def _notice(output: Path) -> str | None:
    """What the experiment's results say of its data, if it left any."""
    file = output / "results.json"
    return json.loads(file.read_bytes()).get("notice") if file.is_file() else None


def _question(script: Path) -> str:
    """The first line of a script's docstring."""
    docstring = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0]


def _write(written: RunFolder, done: list[Done]) -> dict[str, Any]:
    """`index.html` with a link to every page, and results.json."""
    results = {"experiments": [entry._asdict() for entry in done]}
    written.write_text("index.html", index.render(written.path, done))
    written.write_json("results.json", results)
    console.print(f"\nThe pages are gathered in {written.path / 'index.html'}.")
    return results


if __name__ == "__main__":
    runtime.run(main, Config)
