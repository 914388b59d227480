"""The same task in small programs: how long they are, and how long they take.

The task: load the data, train 784-128-10 with ReLU, softmax cross-entropy and Adam at
0.001 for one epoch in batches of 32, and print the accuracy on the test set. Each
program runs as a user runs it, and is timed to the line that it prints.
"""

import ast
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from experiments.control import line_counts
from experiments.kit.run import Row
from jaxnets.errors import ProcessFailed

FOLDER = Path(__file__).parent / "ease"
TASK = "784-128-10, Adam 0.001, batches of 32, one epoch"
PROGRAMS = {  # file in the folder: what it is
    "keras_fit": "tf.keras",
    "flax_library": "jaxnets, one call (Flax)",
    "jaxnets_functions": "jaxnets, its functions",
    "flax_nnx": "Flax NNX alone",
    "jax_from_scratch": "JAX from scratch",
    "numpy_from_scratch": "NumPy from scratch",
}
LOAD = "import sys\nfrom jaxnets import data\ndata.load(*sys.argv[1:])\nprint()"
# A cache of compiled programs would make the first result a second one.
CACHE_VARIABLE = "JAX_COMPILATION_CACHE_DIR"
NUM_LAST_LINES = 20  # of a failed program's errors


def count_lines(names: Sequence[str]) -> Iterator[Row]:
    """A row a program, before any of them runs."""
    for name in names:
        lines = line_counts.count((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
        yield {
            "part": "program",
            "program": name,
            "label": PROGRAMS[name],
            **lines._asdict(),
        }


def time_programs(
    names: Sequence[str],
    num_rounds: int,
    dataset: str,
    variables: Mapping[str, str],
) -> Iterator[Row]:
    """Run every program in turn, `num_rounds` times.

    Each is also timed with its imports alone, and so is loading the data, which
    all have in common and which imports JAX.

    Raises:
      ProcessFailed: a program fails.
    """
    for number in range(1, num_rounds + 1):
        _, seconds = run_program(["-c", LOAD, dataset], variables)
        yield {"part": "loading", "round": number, "seconds": seconds}
        for name in names:
            path = FOLDER / f"{name}.py"
            imports = f"{imports_of(path)}\nprint()"
            _, import_seconds = run_program(["-c", imports], variables)
            line, seconds = run_program([str(path), dataset], variables)
            yield {
                "part": "ease",
                "round": number,
                "program": name,
                "accuracy": accuracy_in(line, name),
                "seconds": seconds,
                "import_seconds": import_seconds,
            }


def run_program(
    arguments: Sequence[str], variables: Mapping[str, str]
) -> tuple[str, float]:
    """Run Python with these arguments.

    Returns:
      The first line that it prints, and the seconds from its start to that line.

    Raises:
      ProcessFailed: it ended with an error.
    """
    environment = {k: v for k, v in os.environ.items() if k != CACHE_VARIABLE}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    environment |= {"PYTHONUNBUFFERED": "1", **variables}
    with tempfile.TemporaryFile("w+") as errors:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *arguments],
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            text=True,
            start_new_session=True,  # Ctrl-C is for the caller, who then ends it
        )
        assert process.stdout
        try:
            line = process.stdout.readline()  # what comes later is not waited for
            seconds = time.perf_counter() - began
            code = process.wait()
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        if code:
            errors.seek(0)
            last_lines = "".join(errors.readlines()[-NUM_LAST_LINES:])
            name = "python -c" if arguments[0] == "-c" else Path(arguments[0]).name
            raise ProcessFailed(f"{name} ended with exit code {code}:\n{last_lines}")
    return line, seconds


def accuracy_in(line: str, name: str) -> float:
    """The number in `test accuracy 0.9876`.

    Raises:
      ProcessFailed: the program of that name printed something else.
    """
    match = re.fullmatch(r"test accuracy (\d\.\d+)\s*", line)
    if match is None:
        raise ProcessFailed(f"{name} printed {line!r}, not `test accuracy 0.9876`")
    return float(match[1])


def imports_of(path: Path) -> str:
    """The import statements of a file's top level, as source text."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.Import, ast.ImportFrom)
    return "\n".join(ast.unparse(node) for node in tree.body if isinstance(node, kinds))
