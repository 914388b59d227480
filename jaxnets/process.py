"""Run a function in a Python process of its own, and read what it sends.

TensorFlow writes to the screen while it loads, keeps the memory and threads it
once had, and competes with JAX for the accelerator. Here it works apart. Unlike
`multiprocessing`, nothing of the caller's script is imported again, so it works
from a notebook, a prompt or a script without a `__main__` guard.
"""

import functools
import os
import pickle
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import IO, Any

from jaxnets.errors import InputError, NonFiniteLoss, ProcessFailed

_PASSED_ON = (InputError, NonFiniteLoss, OSError)  # errors that a user can mend
# Keras loads them for parts that nothing here uses: a quarter of its start.
KERAS_DOES_WITHOUT = ("matplotlib", "sklearn")
_LAST_LINES = 20  # of a dead worker's output, shown with the error


def iterate(
    function: Callable[..., None], *args: Any, without: Sequence[str] = ()
) -> Generator[Any, None, None]:
    """Yield each value that `function(send, *args)` sends from a new process.

    Function, arguments and values travel by pickle. The process ends when the
    iterator does, whatever the reason. Ctrl-C does not reach it.

    Args:
      function: called as `function(send, *args)`.
      without: packages that count as not installed in the process.

    Raises:
      InputError, NonFiniteLoss, OSError: raised by the function.
      ProcessFailed: any other end; the message holds what the process wrote.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            env=environment,
            start_new_session=True,
        )
        assert process.stdin and process.stdout
        try:
            with process.stdin as stream:
                pickle.dump(tuple(without), stream)
                pickle.dump((function, args), stream)
            yield from _read(process.stdout)
        except (EOFError, BrokenPipeError):
            output.seek(0)
            lines = output.read().decode(errors="replace").splitlines()
            raise ProcessFailed(
                f"the process of {function.__module__} ended with exit code "
                f"{process.wait()}:\n" + "\n".join(lines[-_LAST_LINES:])
            ) from None
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


def _read(stream: IO[bytes]) -> Iterator[Any]:
    while True:
        kind, value = pickle.load(stream)
        if kind == "end":
            return
        if kind == "error":
            raise value
        yield value


def _serve() -> None:
    """The process's side: events go to what was its standard output."""
    events = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints, prints among the errors

    def send(kind: str, value: Any = None) -> None:
        pickle.dump((kind, value), events)
        events.flush()

    try:
        without = pickle.load(sys.stdin.buffer)
        sys.modules.update(dict.fromkeys(without))  # None: it cannot be imported
        function, args = pickle.load(sys.stdin.buffer)
        function(functools.partial(send, "value"), *args)
        send("end")
    except _PASSED_ON as error:
        send("error", error)
    except Exception:
        send("error", ProcessFailed(traceback.format_exc()))


if __name__ == "__main__":
    _serve()
