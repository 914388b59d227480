"""The end of a run: tables on the screen, pictures, a page; each for itself."""

import contextlib
import errno
import traceback
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path

from experiments.kit import folder, page
from experiments.kit.command import TRACEBACK_NOTE
from experiments.kit.page import Drawn, Picture, Table
from experiments.kit.progress import print_table
from jaxnets.files import write_atomically

Sections = Iterable[Table | Picture]
TRACEBACK = "traceback.txt"
FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


class Parts:
    """What is written at the end of a run; a part that fails costs itself alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.failures: list[str] = []  # a sentence for each part that failed

    @contextlib.contextmanager
    def part(self, file: str) -> Iterator[None]:
        """Let a failure of the work inside cost this file alone; keep its traceback.

        But a full disk costs the rest as well, and is said once.
        """
        try:
            yield
        except Exception as error:
            if isinstance(error, OSError) and error.errno in FULL_DISK:
                raise
            _write_traceback(self.path / f"{file}.{TRACEBACK}", error)
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            self.failures.append(f"{file} could not be made ({reason})")

    def show(
        self, sections: Callable[[], Sections], dataset: str
    ) -> list[Table | Drawn]:
        """Print tables and draw pictures; what there is of both, for the page."""
        shown: list[Table | Drawn] = []
        with self.part("report.html"):
            for section in sections():
                if isinstance(section, Table):
                    shown.append(section)
                    if section.on_screen:
                        print_table(section)
                    continue
                file = f"{section.name}.png"
                with self.part(file):
                    picture = page.draw(section, dataset)
                    with write_atomically(self.path / file) as stream:
                        stream.write(picture.png)
                    shown.append(picture)
        return shown


def keep_traceback(path: Path, error: Exception) -> None:
    """In a file of this folder, which a note of the error names."""
    file = path / TRACEBACK
    with contextlib.suppress(OSError):
        _write_traceback(file, error)
        error.add_note(f"{TRACEBACK_NOTE} {file}.")


def _write_traceback(file: Path, error: Exception) -> None:
    folder.write_text(file, "".join(traceback.format_exception(error)))


def prepare_to_draw() -> None:
    """Load what draws and does statistics, and its fonts, while the networks train."""
    with contextlib.suppress(Exception):  # it comes again where something is drawn
        import_module("scipy.special")
        figure, [[axes]] = import_module("experiments.kit.figures").new_figure()
        axes.set(xlabel="a font", yscale="log")
        page.draw(Picture("", "", "", lambda: figure), "")
        page.templates()
