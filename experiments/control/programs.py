"""Lines and seconds: of the same task in small programs, and of functions.

The task: read the arrays, train 784-128-10 with ReLU, softmax cross-entropy and Adam at
0.001 for one epoch in batches of 32, and print the accuracy on the test set. Each
program runs as a user runs it, and is timed to the line that it prints.

Lines are counted by Python's own tokenizer, without blanks, comments and docstrings.
All that is compared is formatted by the same program, at 88 columns.
"""

import ast
import contextlib
import inspect
import io
import os
import re
import subprocess
import sys
import tempfile
import time
import tokenize
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental.compilation_cache import compilation_cache

from experiments.kit.run import Row, Run
from jaxnets import process
from jaxnets.errors import ProcessFailed

FOLDER = Path(__file__).parent / "ease"
IMAGE_SHAPE = (28, 28)  # that the programs are written for
TASK = "784-128-10, Adam 0.001, batches of 32, one epoch"
PROGRAMS = {  # file in the folder: what it is, and what it leaves to the reader
    "keras_fit": ("tf.keras", "layers, activations; names of loss and optimizer"),
    "flax_library": ("jaxnets, one call (Flax)", "sizes: a preset of this network"),
    "jaxnets_functions": ("jaxnets, its functions", "sizes, optimizer, batch size"),
    "flax_nnx": ("Flax NNX alone", "layers, loss, update, batches"),
    "jax_from_scratch": ("JAX from scratch", "layers, loss, Adam, batches"),
    "numpy_from_scratch": ("NumPy from scratch", "all, the gradient by hand"),
}
# Packages that a program loads where they are installed, and does not need: TensorFlow
# brings none of them, so that its user does not wait for them either.
WITHOUT = {"keras_fit": (*process.KERAS_DOES_WITHOUT, "IPython", "PIL", "jax", "scipy")}
# Of these it is said whether a program's imports have loaded them.
PACKAGES = "numpy scipy sklearn matplotlib jax optax flax tensorflow keras"
LOADED = f"import sys\nprint(*[p for p in {PACKAGES.split()} if sys.modules.get(p)])"
LAYOUT = (tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT)


def measure(run: Run[Any]) -> Iterator[Row]:
    """Count each program's lines, then run all in turn, round after round.

    Each is also timed with its imports alone. All read the run's images from one file
    by NumPy, so that none loads what it does not use.
    """
    paths = {name: FOLDER / f"{name}.py" for name in run.config.programs}
    for name, path in paths.items():
        label, left = PROGRAMS[name]
        about = {"part": "program", "program": name, "label": label, "left": left}
        yield {**about, **count(path.read_text(encoding="utf-8"))}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "data.npz"
        names = ("images", "labels", "test_images", "test_labels")
        arrays = (*run.data.train, *run.data.test)
        np.savez(file, allow_pickle=False, **dict(zip(names, arrays, strict=True)))
        for number in range(1, run.config.rounds + 1):
            for name, path in paths.items():
                imports = f"{hiding(name)}{imports_of(path)}\n{LOADED}"
                packages, import_seconds = run_program("-c", imports)
                line, seconds = run_program(*start_of(name), str(file))
                yield {
                    "part": "ease",
                    "round": number,
                    "program": name,
                    "accuracy": accuracy_in(line, name),
                    "seconds": seconds,
                    "import_seconds": import_seconds,
                    "packages": packages.split(),
                }


def hiding(name: str) -> str:
    """Source text after which the packages `WITHOUT` a program count as missing."""
    if name not in WITHOUT:
        return ""
    return f"import sys\nsys.modules.update(dict.fromkeys({WITHOUT[name]}))\n"


def start_of(name: str) -> list[str]:
    """Python's arguments that start a program of the folder."""
    path = str(FOLDER / f"{name}.py")
    if name not in WITHOUT:
        return [path]
    start = f"import runpy\nrunpy.run_path({path!r}, run_name='__main__')"
    return ["-c", f"{hiding(name)}{start}"]


def run_program(*arguments: str) -> tuple[str, float]:
    """Run Python: the first line that it prints, and the seconds from its start to it.

    Raises:
      ProcessFailed: it ended with an error.
    """
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    # A cache of compiled programs would make the first result a second one.
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    began = time.perf_counter()
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            [sys.executable, *arguments],
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            text=True,
            start_new_session=True,  # Ctrl-C is for the caller, who then ends it
        ) as process,
    ):
        assert process.stdout
        try:
            line = process.stdout.readline()  # what comes later is not waited for
            seconds = time.perf_counter() - began
            code = process.wait()
        finally:
            process.kill()
        if code:
            errors.seek(0)
            last_lines = "".join(errors.readlines()[-20:])
            name = "python -c" if arguments[0] == "-c" else Path(arguments[0]).name
            raise ProcessFailed(f"{name} ended with exit code {code}:\n{last_lines}")
    return line, seconds


def accuracy_in(line: str, name: str) -> float:
    """The number in `test accuracy 0.9876`, which the program of that name printed."""
    match = re.fullmatch(r"test accuracy (\d\.\d+)\s*", line)
    if match is None:
        raise ProcessFailed(f"{name} printed {line!r}, not `test accuracy 0.9876`")
    return float(match[1])


def imports_of(path: Path) -> str:
    """The import statements of a file's top level, as source text."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.Import, ast.ImportFrom)
    return "\n".join(ast.unparse(node) for node in tree.body if isinstance(node, kinds))


def count(source: str) -> dict[str, int]:
    """Lines on the screen that hold code, and the language's logical lines.

    A logical line that is a text alone is a docstring.
    """
    lines: set[int] = set()
    logical_lines = 0
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    code = (token for token in tokens if token.type not in LAYOUT and token.string)
    for is_end, group in groupby(code, lambda token: token.type == tokenize.NEWLINE):
        statement = list(group)
        if not is_end and [token.type for token in statement] != [tokenize.STRING]:
            logical_lines += 1
            for token in statement:
                lines.update(range(token.start[0], token.end[0] + 1))
    return {"lines": len(lines), "logical_lines": logical_lines}


def count_definitions(*definitions: Any) -> dict[str, int]:
    """Lines of functions and classes, decorators included."""
    return count("".join(map(inspect.getsource, definitions)))


def clocked(function: Callable[[], Any], repeats: int = 1) -> tuple[Any, float]:
    """What a function returns, and the seconds of each of so many calls in a row."""
    began = time.perf_counter()
    for _ in range(repeats):
        value = function()
    return value, (time.perf_counter() - began) / repeats


def first_call(
    function: Callable[[], Any], definitions: Sequence[Any]
) -> tuple[Any, float, dict[str, int]]:
    """What a function returns, its seconds, and the lines of what does the work."""
    return *clocked(function), count_definitions(*definitions)


@contextlib.contextmanager
def without_cache() -> Iterator[None]:
    """Programs compiled inside are compiled indeed, not read from earlier runs."""
    folder = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    jax.config.update("jax_compilation_cache_dir", None)
    compilation_cache.reset_cache()  # so that the setting counts
    try:
        yield
    finally:
        jax.config.update("jax_compilation_cache_dir", folder)
        compilation_cache.reset_cache()
