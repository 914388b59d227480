"""What a program does once, at its start: caches, signals, errors, exit codes."""

import contextlib
import gc
import glob
import logging
import os
import re
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, TypeVar

from experiments.kit.options import RunFinished
from jaxnets.devices import cpu_count
from jaxnets.errors import InputError, NonFiniteLoss

Config = TypeVar("Config")


class PartFailed(RuntimeError):
    """Part of the work failed, as the message says; all else is done and written."""


# What users can mend, and what is reported already; everything else is a defect.
EXPECTED = (InputError, NonFiniteLoss, OSError, MemoryError, PartFailed)
INTERRUPTED = 130  # the shell's code for a program that Ctrl-C ended
TRACEBACK_NOTE = "The traceback is in"  # begins an error's note that names the file
# What asks a program to end; not every system has the second.
STOP_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)
)
# Set where the standard input of this program ends with the one that launched it.
LAUNCHED = "JAXNETS_LAUNCHED"
FAREWELL_SECONDS = 30  # to write what was reached
# JAX's warning of a program that it cannot read from its persistent cache.
DAMAGED_ENTRY = re.compile(
    "Error reading persistent compilation cache entry for '(?P<name>[^']+)'"
)


class Stopped(KeyboardInterrupt):
    """A signal asks the program to end, as a container or a batch queue sends it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def cache_folder() -> Path | None:
    """Where compiled programs are kept between runs; None without a home folder."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(base).expanduser() / "jaxnets" / "compiled"
    except RuntimeError:
        return None


def configure(*, all_cores: bool = False) -> None:
    """Keep compiled programs, and take accelerator memory as it is needed.

    The second start of the same program does not compile again. JAX's own
    variable JAX_COMPILATION_CACHE_DIR names another folder.

    Args:
      all_cores: make a JAX device of every processor core, for work that comes in
        independent parts. It must be the first that JAX hears in this process.
    """
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["MPLBACKEND"] = "agg"  # a program has no window, whoever starts it
    import jax

    folder = cache_folder()
    if folder and not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        jax.config.update("jax_compilation_cache_dir", str(folder))
    if all_cores:
        jax.config.update("jax_num_cpu_devices", cpu_count())
    # Accelerators round products further by default; what is compared is not.
    jax.config.update("jax_default_matmul_precision", "highest")
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def run_command(
    main: Callable[[Config], object],
    config_type: type[Config],
    *,
    all_cores: bool = False,
    args: Sequence[str] | None = None,
) -> NoReturn:
    """Parse the command line into a config, run, and exit with one clear line.

    `all_cores` is that of `configure`; `args` is in place of the command line's.

    Exit codes: 0 done, 1 bad input or a failed write, 2 a wrong command line,
    130 Ctrl-C, 143 SIGTERM, 129 SIGHUP.
    """
    try:
        _run(main, config_type, all_cores, args)
        sys.stdout.flush()  # so that a reader who has gone is noticed here
    except RunFinished as finished:
        print(finished, flush=True)
    except BrokenPipeError:
        _discard_output()  # whoever read the output has gone
        sys.exit(1)
    except Stopped as error:
        _stop(f"stopped by {error}", 128 + error.number)
    except KeyboardInterrupt:
        _stop("interrupted", INTERRUPTED)
    except Exception as error:
        _stop(_in_one_line(error), 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done; only the exit is left
    gc.freeze()  # what is left goes with the process, a third of a second sooner
    sys.exit(0)


def _run(
    main: Callable[[Config], object],
    config_type: type[Config],
    all_cores: bool,
    args: Sequence[str] | None,
) -> None:
    import tyro

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # what it cannot encode is escaped
            stream.reconfigure(errors="backslashreplace")
    for number in STOP_SIGNALS:
        # A signal that the program was started to ignore, as by nohup, stays ignored.
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _stop_by_signal)
    _end_with_launcher()
    description = sys.modules[main.__module__].__doc__
    try:
        config = tyro.cli(config_type, args=args, description=description)
        path = getattr(config, "resume", None)
        if path is not None:
            from experiments.kit.resume import stored_options

            # Again, with the run's settings in the place of the defaults.
            spec = sys.modules[main.__module__].__spec__
            name = spec.parent.rpartition(".")[2] if spec and spec.parent else None
            stored: Any = stored_options(config_type, path, name)  # type: ignore[type-var]
            config = tyro.cli(
                config_type, args=args, description=description, default=stored
            )
    except SystemExit:  # after --help, or a wrong command line
        sys.stdout.flush()
        raise
    warnings.showwarning = _show_warning
    # Whatever PYTHONWARNINGS says: what is damaged is to be removed.
    warnings.filterwarnings("always", DAMAGED_ENTRY.pattern)
    logging.basicConfig(format="%(message)s")
    logging.getLogger("jaxnets").setLevel(logging.INFO)
    configure(all_cores=all_cores)
    gc.freeze()  # what is imported stays
    gc.enable()  # see `experiments`
    main(config)


def _stop_by_signal(number: int, frame: FrameType | None) -> NoReturn:
    del frame
    raise Stopped(number)


def _end_with_launcher() -> None:
    """Stop this program where the one that launched it ends, whatever the reason."""
    if not os.environ.pop(LAUNCHED, None):
        return

    def listen() -> None:
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(FAREWELL_SECONDS)
        os._exit(1)  # it waits for processes that are gone

    threading.Thread(target=listen, daemon=True).start()


def _in_one_line(error: Exception) -> str:
    """What went wrong; of an error that nobody expected, the traceback comes first."""
    if is_lack_of_memory(error):
        first_line = (str(error) or "out of memory").splitlines()[0]
        return f"{first_line}. Try smaller layers or batches."
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror or error}{where}"
    if isinstance(error, EXPECTED):
        return str(error)
    notes = getattr(error, "__notes__", [])  # JAX adds some too
    notes = [note for note in notes if note.startswith(TRACEBACK_NOTE)]
    if not notes:
        traceback.print_exception(error)
    first_line = (str(error) or "no message").splitlines()[0]
    return " ".join([f"{type(error).__name__}: {first_line}", *notes])


def is_lack_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on the host or on a device."""
    import jax

    if isinstance(error, MemoryError):
        return True
    words = ("RESOURCE_EXHAUSTED", "out of memory")
    is_of_device = isinstance(error, jax.errors.JaxRuntimeError)
    return is_of_device and any(word in str(error) for word in words)


def _discard_output() -> None:
    """Let what is still to be printed go nowhere, the flush at exit included."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Let the work inside end before a signal counts; for seconds, not for minutes."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread alone
        return
    missed: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: missed.append(number))
        for number in (signal.SIGINT, *STOP_SIGNALS)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if missed:
        signal.raise_signal(missed[0])


def _stop(message: str, code: int) -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C adds nothing
    print(f"error: {message}", file=sys.stderr, flush=True)
    if _has_peers():  # for which JAX would wait, and they may be gone
        sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


def _has_peers() -> bool:
    """Whether this process is one of several of a run."""
    import jax

    return jax.distributed.is_initialized()


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    damaged = DAMAGED_ENTRY.match(str(message))
    if damaged:
        # JAX does not replace an entry that is there, so it would warn at every start.
        remove_programs(damaged["name"])
        message = (
            f"the compiled program {damaged['name']} was damaged; compiling it anew"
        )
    print(f"warning: {message}", file=sys.stderr, flush=True)


def remove_programs(name: str) -> None:
    """Remove a function's compiled programs from JAX's persistent cache."""
    import jax

    folder = Path(jax.config.jax_compilation_cache_dir)  # type: ignore[attr-defined]
    for file in folder.glob(f"{glob.escape(name)}-*-cache"):
        file.unlink(missing_ok=True)
