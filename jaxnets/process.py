"""Run a function in a Python process of its own, and read what it sends.

TensorFlow writes to the screen while it loads, keeps the memory and threads it
once had, and competes with JAX for the accelerator. Here it works apart. Unlike
`multiprocessing`, nothing of the caller's script is imported again, so it works
from a notebook, a prompt or a script without a `__main__` guard.
"""

import contextlib
import functools
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import IO, Any

from jaxnets.errors import InputError, NonFiniteLoss, ProcessFailed

# Keras loads them for parts that nothing here uses: a quarter of its start.
KERAS_DOES_WITHOUT = ("matplotlib", "sklearn")

_PASSED_ON = (InputError, NonFiniteLoss, OSError)  # errors that a user can mend
_LAST_LINES = 20  # of the output of a process that died, shown with the error

# What the process runs. Its own standard library and packages come first in
# `sys.path`, then the caller's entries, so that no file of a working folder
# replaces a module that they import. The packages of this function and of the
# one to call come from the caller's own files, whatever else has their names.
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

    Function, arguments and values travel by pickle. The process ends when the
    generator does, and when this process ends, whatever the reason. Ctrl-C does
    not reach it.

    Args:
      function: called as `function(send, *args)`; a module must define it.
      without: packages that count as not installed in the process.
      environment: variables that the process has beside or in place of this one's.
      lockstep: whether `send` returns only when the next value is asked for, so that
        the process waits while the caller does other things.

    Raises:
      InputError, NonFiniteLoss, OSError: raised by the function.
      ProcessFailed: any other end. Its first line says what happened; the rest is
        the traceback, or the last lines that the process wrote.
    """
    name = f"the process of {function.__module__}"
    path = [os.path.abspath(entry) for entry in sys.path]  # "" is the working folder
    files = _files("jaxnets", function.__module__)
    call = pickle.dumps((function, args))
    message = (path, files, tuple(without), lockstep, call)
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
        assert process.stdin and process.stdout
        try:
            with contextlib.suppress(BrokenPipeError):  # it has ended; read why
                pickle.dump(message, process.stdin)
                process.stdin.flush()
            while True:
                try:
                    kind, value = pickle.load(process.stdout)
                except (EOFError, pickle.UnpicklingError):  # between or in messages
                    ending = f"{name} {exit_in_words(process.wait())}"
                    raise ProcessFailed(_with_last_lines(ending, output)) from None
                if kind == "end":
                    return
                if kind == "error":
                    raise value
                if kind == "traceback":
                    raise ProcessFailed(f"{name} failed: {value}")
                yield value
                if lockstep:
                    with contextlib.suppress(BrokenPipeError):  # likewise
                        process.stdin.write(b"\n")
                        process.stdin.flush()
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()


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


def _with_last_lines(ending: str, output: IO[bytes]) -> str:
    output.seek(0)
    lines = output.read().decode(errors="replace").splitlines()
    return "\n".join([f"{ending}:" if lines else ending, *lines[-_LAST_LINES:]])


def _serve(call: bytes, lockstep: bool) -> None:
    """The process's side: messages go to what was its standard output."""
    words = threading.Semaphore(0)
    threading.Thread(target=_listen, args=(words,), daemon=True).start()
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
        if _is_for_the_caller(error):
            send("error", error)
        else:
            summary = "".join(traceback.format_exception_only(error)).strip()
            send("traceback", f"{summary}\n{traceback.format_exc()}")


def _listen(words: threading.Semaphore) -> None:
    """Pass on the parent's words until the pipe ends, as it does with the parent."""
    while os.read(0, 1):
        words.release()
    os._exit(1)


def _is_for_the_caller(error: Exception) -> bool:
    """Whether it is an error that a user can mend, and survives pickling."""
    with contextlib.suppress(Exception):
        pickle.loads(pickle.dumps(error))
        return isinstance(error, _PASSED_ON)
    return False


@contextlib.contextmanager
def stderr_silenced() -> Iterator[None]:
    """Drop what the process writes to standard error, compiled code included.

    For libraries that write to the screen while they load. Python exceptions are
    not affected.
    """
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
