"""Paths as users write them, and files that a reader never meets half-written."""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from jaxnets.errors import InputError


def absolute(path: str | os.PathLike[str]) -> Path:
    """The path with `~` expanded, from the root; InputError where that cannot be.

    Every path from outside (an option, a variable, a Python string) passes here
    once, so that all later code and all messages name the same place, whatever the
    working folder is by then.
    """
    try:
        return Path(path).expanduser().absolute()
    except (RuntimeError, FileNotFoundError) as error:
        lacking = "home" if isinstance(error, RuntimeError) else "working"
        raise InputError(
            f"there is no {lacking} folder for {os.fspath(path)!r}; give the path "
            "from the root"
        ) from error


@contextlib.contextmanager
def write_atomically(
    path: Path, *, previous: Path | None = None
) -> Iterator[IO[bytes]]:
    """A binary file that appears under its name when it is complete, or never.

    What had the name before is kept under the name `previous`, if that is given. An
    OSError has the path as its `filename`.
    """
    with _naming(path):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            umask = os.umask(0)  # there is no other way to read it
            os.umask(umask)
            os.chmod(name, 0o666 & ~umask)
            _replace(Path(name), path, previous)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def is_unfinished(name: str) -> bool:
    """Whether `write_atomically` gives this name to a file that is not complete."""
    return re.fullmatch(r"\..+\.[a-z0-9_]{8}(\.previous)?", name) is not None


def _replace(new: Path, path: Path, previous: Path | None) -> None:
    """Rename so that at every moment a complete file has one of the two names.

    That of `previous` is given up only when the new file has its own.
    """
    if previous is not None and path.exists():
        second_name = Path(f"{new}.previous")
        try:
            os.link(path, second_name)
        except OSError:  # the file system has no hard links
            os.replace(path, previous)
        else:
            os.replace(new, path)
            os.replace(second_name, previous)
            return
    os.replace(new, path)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with write_atomically(path) as stream:
        stream.write(text.encode())


def append_line(path: Path, line: str) -> None:
    """Add a line of UTF-8 text; where that fails, none of it stays."""
    with _naming(path), open(path, "ab", buffering=0) as stream:
        length = stream.tell()
        content = f"{line}\n".encode()
        try:
            # A disk that fills up takes the first part and refuses the next.
            while content:
                content = content[stream.write(content) :]
        except OSError:
            stream.truncate(length)
            raise


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Give an error of the disk the name of the file that it is about."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
