"""Small programs, each run as a user runs it, and timed to the line it prints."""

import ast
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxnets.errors import ProcessFailed

_RESULT = re.compile(r"^test accuracy (\d\.\d+)$", re.MULTILINE)
_LAST_LINES = 20  # of a failed program's errors
# A cache of compiled programs would make the first result a second one.
_CACHES = ("JAX_COMPILATION_CACHE_DIR",)


class Finished(NamedTuple):
    """What a program printed, and how long it took from its start."""

    accuracy: float | None  # None where it is not asked for one
    seconds: float


def run(
    program: Path | str,
    arguments: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
) -> Finished:
    """Run a Python file, or source text, in a process of its own.

    Args:
      program: a file prints `test accuracy 0.9876`; text need print nothing.
      arguments: its command line.
      variables: added to the environment.

    Raises:
      ProcessFailed: it ended with an error, or printed no accuracy.
    """
    is_file = isinstance(program, Path)
    name = Path(program).name if is_file else "the program"
    command = [sys.executable, *([] if is_file else ["-c"]), str(program)]
    environment = {k: v for k, v in os.environ.items() if k not in _CACHES}
    environment |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    environment |= {"PYTHONUNBUFFERED": "1", **(variables or {})}
    with tempfile.TemporaryFile("w+") as errors:
        began = time.perf_counter()
        process = subprocess.Popen(
            [*command, *arguments],
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            text=True,
            start_new_session=True,  # Ctrl-C is for the caller, who then ends it
        )
        assert process.stdout
        try:
            first_line = process.stdout.readline()  # what comes later is not waited for
            seconds = time.perf_counter() - began
            code = process.wait()
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        found = _RESULT.search(first_line)
        if code or (is_file and not found):
            errors.seek(0)
            lines = [f"printed {first_line!r}", *errors.read().splitlines()]
            raise ProcessFailed(
                f"{name} ended with exit code {code}:\n"
                + "\n".join(lines[-_LAST_LINES:])
            )
    return Finished(float(found[1]) if found else None, seconds)


def imports_of(path: Path) -> str:
    """The import statements of a file's top level, as source text."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    statements = (ast.Import, ast.ImportFrom)
    found = [ast.unparse(node) for node in tree.body if isinstance(node, statements)]
    return "\n".join(found)
