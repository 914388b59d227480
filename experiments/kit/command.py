"""What a program does once, at its start: caches, memory, errors, exit codes."""

import contextlib
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn, TypeVar

from jaxnets.errors import InputError, NonFiniteLoss, ProcessFailed

Config = TypeVar("Config")

INTERRUPTED = 130  # the shell's code for a program that Ctrl-C ended


def cache_folder() -> Path | None:
    """Where compiled programs are kept between runs; None without a home folder."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(base).expanduser() / "jaxnets" / "compiled"
    except RuntimeError:
        return None


def cpu_count() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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
    import jax

    folder = cache_folder()
    if folder and not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        jax.config.update("jax_compilation_cache_dir", str(folder))
    if all_cores:
        jax.config.update("jax_num_cpu_devices", cpu_count())
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def run(
    main: Callable[[Config], object],
    config_type: type[Config],
    *,
    all_cores: bool = False,
) -> NoReturn:
    """Parse the command line into a config, run, and exit with one clear line.

    `all_cores` is that of `configure`.

    Exit codes: 0 done, 1 bad input or a failed write, 2 a wrong command line,
    130 Ctrl-C.
    """
    try:
        _run(main, config_type, all_cores)
        sys.stdout.flush()  # so that a reader who has gone is noticed here
    except (InputError, NonFiniteLoss, ProcessFailed) as error:
        _stop(str(error), 1)
    except MemoryError as error:
        _stop_for_memory(error)
    except BrokenPipeError:
        _discard_output()  # whoever read the output has gone
        sys.exit(1)
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        _stop(f"{error.strerror or error}{where}", 1)
    except KeyboardInterrupt:
        _stop("interrupted", INTERRUPTED)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done; only the exit is left
    sys.exit(0)


def _run(
    main: Callable[[Config], object], config_type: type[Config], all_cores: bool
) -> None:
    import jax
    import tyro

    description = sys.modules[main.__module__].__doc__
    try:
        config = tyro.cli(config_type, description=description)
    except SystemExit:  # after --help, or a wrong command line
        sys.stdout.flush()
        raise
    warnings.showwarning = _show_warning
    logging.basicConfig(format="%(message)s")
    logging.getLogger("jaxnets").setLevel(logging.INFO)
    configure(all_cores=all_cores)
    try:
        main(config)
    except jax.errors.JaxRuntimeError as error:
        _stop_for_memory(error)


def _discard_output() -> None:
    """Let what is still to be printed go nowhere, the flush at exit included."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Let the work inside end before Ctrl-C counts; for seconds, not for minutes."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread alone
        return
    missed = []
    before = signal.signal(signal.SIGINT, lambda *_: missed.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if missed:
        raise KeyboardInterrupt


def _stop(message: str, code: int) -> NoReturn:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C adds nothing
    print(f"error: {message}", file=sys.stderr, flush=True)
    sys.exit(code)


def _stop_for_memory(error: Exception) -> NoReturn:
    first_line = (str(error) or "out of memory").splitlines()[0]
    _stop(f"{first_line}. Try smaller layers or batches.", 1)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"warning: {message}", file=sys.stderr, flush=True)
