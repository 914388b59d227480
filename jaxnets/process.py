"""Run a function in a Python process of its own, and read what it sends.

TensorFlow writes to the screen while it loads, keeps the memory and threads it
once had, and competes with JAX for the accelerator. Here it works apart. Unlike
`multiprocessing`, nothing of the caller's script is imported again, so it works
from a notebook, a prompt or a script without a `__main__` guard.
"""

import contextlib
import functools
import importlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any

from jaxnets.errors import InputError, NonFiniteLoss, ProcessFailed

# Keras loads them for parts that nothing here uses: a quarter of its start.
KERAS_DOES_WITHOUT = ("matplotlib", "sklearn")

_PASSED_ON = (InputError, NonFiniteLoss, OSError)  # errors that a user can mend
_LAST_LINES = 20  # of the output of a process that died, shown with the error

# What the process runs. Its own library comes first in `sys.path`, then the caller's
# entries, so that no file of a working folder replaces a module. The packages of this
# function and of the one to call come from the caller's own files.
_PROGRAM = """
import importlib.util, pickle, sys
path, files, without, lockstep, call = pickle.load(sys.stdin.buffer)
sys.path += [entry for entry in path if entry not in sys.path]
sys.modules.update(dict.fromkeys(without))  # None: it cannot be imported
for name, file in files.items():
    spec = importlib.util.spec_from_file_location(name, file)
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
from jaxnets import process
process._serve(call, lockstep)
"""


def iterate(
    function: Callable[..., None],
    *args: Any,
    without: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    lockstep: bool = False,
) -> Generator[Any, None, None]:
    """Yield each value that `function(send, *args)` sends from a new process.

    Function, which a module must define, arguments and values travel by pickle. The
    process ends when the generator does, and when this process ends, whatever the
    reason. Ctrl-C does not reach it.

    Args:
      without: packages that count as not installed in the process.
      environment: variables that the process has beside or in place of this one's.
      lockstep: whether `send` returns only when the next value is asked for, so that
        the process waits while the caller does other things.

    Raises the function's InputError, NonFiniteLoss or OSError; after any other end,
    ProcessFailed. Its first line says what happened; the rest is the traceback, or the
    last lines that the process wrote. Raises InputError for a function of a script or
    a prompt.
    """
    function = _importable(function)
    name = f"the process of {function.__module__}"
    path = [os.path.abspath(entry) for entry in sys.path]  # "" is the working folder
    files = _files("jaxnets", function.__module__)
    call = pickle.dumps((function, args))
    start = pickle.dumps((path, files, tuple(without), lockstep, call))
    variables = {**os.environ, **(environment or {})}
    variables.pop("PYTHONPATH", None)  # it would come before the standard library
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            env=variables,
            start_new_session=True,
        )
        stdin, stdout = process.stdin, process.stdout
        assert stdin and stdout

        def write(message: bytes) -> None:
            with contextlib.suppress(BrokenPipeError):  # it has ended; read why
                stdin.write(message)
                stdin.flush()

        try:
            write(start)
            while True:
                try:
                    kind, value = pickle.load(stdout)
                except (EOFError, pickle.UnpicklingError):  # between or in messages
                    ending = f"{name} {exit_in_words(process.wait())}"
                    output.seek(0)
                    lines = output.read().decode(errors="replace").splitlines()
                    first = f"{ending}:" if lines else ending
                    text = "\n".join([first, *lines[-_LAST_LINES:]])
                    raise ProcessFailed(text) from None
                if kind == "end":
                    return
                if kind == "error":
                    raise value
                if kind == "traceback":
                    raise ProcessFailed(f"{name} failed: {value}")
                yield value
                if lockstep:
                    write(b"\n")
        finally:
            process.kill()
            process.wait()
            stdout.close()
            with contextlib.suppress(BrokenPipeError):
                stdin.close()


def _importable(function: Callable[..., None]) -> Callable[..., None]:
    """The function as another process finds it, also of what `python -m` runs."""
    if function.__module__ != "__main__":
        return function
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is None:
        raise InputError(
            f"{function.__name__} is defined by a script or at a prompt, where another "
            "process cannot import it; move it to a module"
        )
    return getattr(importlib.import_module(spec.name), function.__name__)


def _files(*modules: str) -> dict[str, str]:
    """Where this process has the top-level packages of the modules from."""
    files = {}  # in this order, for the later import the earlier
    for name in (module.partition(".")[0] for module in modules):
        spec = getattr(sys.modules[name], "__spec__", None)
        if name != "__main__" and spec and spec.has_location and spec.origin:
            files[name] = spec.origin
    return files


def exit_in_words(code: int) -> str:
    """A process's exit code in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    if -code == signal.SIGKILL:
        return "was killed (signal 9), most likely because memory ran out"
    return f"was ended by signal {-code} ({signal.strsignal(-code)})"


def _serve(call: bytes, lockstep: bool) -> None:
    """The process's side: messages go to what was its standard output."""
    words = threading.Semaphore(0)  # from the parent

    def listen() -> None:
        while os.read(0, 1):
            words.release()
        os._exit(1)  # the pipe has ended, as it does with the parent

    threading.Thread(target=listen, daemon=True).start()
    messages = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints, prints among the errors

    def send(kind: str, value: Any = None) -> None:
        messages.write(pickle.dumps((kind, value)))  # all of it, or nothing
        messages.flush()
        if lockstep and kind == "value":
            words.acquire()

    try:
        function, args = pickle.loads(call)
        function(functools.partial(send, "value"), *args)
        send("end")
    except Exception as error:
        summary = "".join(traceback.format_exception_only(error)).strip()
        message: tuple = ("traceback", f"{summary}\n{traceback.format_exc()}")
        if isinstance(error, _PASSED_ON):
            with contextlib.suppress(Exception):  # one may not survive pickling
                pickle.loads(pickle.dumps(error))
                message = ("error", error)
        send(*message)


@contextlib.contextmanager
def tensorflow_silenced() -> Iterator[None]:
    """Drop what this process writes to standard error, as TensorFlow does at import."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before the first import
    if sys.stderr is not None:
        sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        if sys.stderr is not None:
            sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
