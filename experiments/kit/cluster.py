"""Devices and processes of a run: what a program does about them, once, at its start.

`jax.distributed` joins the processes, and ends them when one is lost: at once where a
connection breaks, and after `HEARTBEAT_SECONDS` where one is silent. Here are its
options, and what makes of each failure one clear line. Process 0 alone prints and
writes; the others train along.
"""

import contextlib
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import jax

from experiments.kit.command import PartFailed
from experiments.kit.options import require_at_least
from experiments.kit.progress import console
from jaxnets import devices, parallel
from jaxnets.errors import InputError

CONNECT_SECONDS = 60  # for all processes to be there
# Without a sign of life for so long a process counts as lost, as one that is stopped.
# What process 0 has to write after another was killed takes less.
HEARTBEAT_SECONDS = 25
FINISH_SECONDS = 900  # for process 0 to train with Keras and to draw; the others wait
GOODBYE = b"\n"
REMEDY = "the run ends here; --resume goes on from its last checkpoint"
# Waits for the end of its standard input, and says so unless it ends with a goodbye.
# JAX ends a process that has lost the coordinator by abort(), which runs no Python.
LAST_WORD = """
import sys
if not sys.stdin.buffer.read():
    sys.stderr.write(sys.argv[1])
"""


class ProcessLost(PartFailed):
    """Another process of the run has ended or is silent; this one cannot go on."""


@dataclass(frozen=True, kw_only=True)
class DeviceOptions:
    """On what to train."""

    devices: int = 1
    """Devices of each process to train on, each on its part of every batch. More are
    slower for networks of this size: docs/scale.md has the figures."""
    distributed: bool = False
    """Train in several processes, on one host or many, each started with this command.
    Slurm, Kubernetes, Open MPI and TPU pods tell each who it is; elsewhere the next
    three options do."""
    coordinator: str | None = None
    """With --distributed: HOST:PORT at which the others reach process 0."""
    num_processes: int | None = None
    """With --distributed: how many processes there are."""
    process_id: int | None = None
    """With --distributed: the number of this one, from 0."""


@contextlib.contextmanager
def joined(options: DeviceOptions) -> Iterator[None]:
    """Make the devices and meet the other processes, before JAX touches a device.

    Within the block a lost process is a ProcessLost. Raises InputError where options
    make no sense, the processes do not meet, or fewer have met than were asked for.
    """
    _require_sense(options)
    _make_cpu_devices(options.devices)
    if not options.distributed:
        yield
        return
    _keep_streams_for_python()
    _initialize(options)
    with _last_word(), _losses_named():
        _require_all(options.num_processes)
        console().quiet = not is_first()
        yield


def _require_sense(options: DeviceOptions) -> None:
    """Raise InputError where options do not go together."""
    require_at_least(options, devices=1, num_processes=1, process_id=0)
    address, count, number = (
        options.coordinator,
        options.num_processes,
        options.process_id,
    )
    given = [value is not None for value in (address, count, number)]
    if any(given) and not options.distributed:
        raise InputError(
            "coordinator, num_processes and process_id need --distributed; add it"
        )
    if any(given) and not all(given):
        raise InputError(
            f"coordinator={address}, num_processes={count}, process_id={number}: name "
            "all three, or none where the cluster tells them"
        )
    if number is not None and count is not None and number >= count:
        raise InputError(f"process_id={number} must be less than num_processes={count}")
    if address is not None and not address.rpartition(":")[2].isdigit():
        raise InputError(f"coordinator={address} must be HOST:PORT")


def _make_cpu_devices(count: int) -> None:
    """Let JAX make a device of each of so many cores, unless somebody chose before."""
    chosen = os.environ.get("JAX_NUM_CPU_DEVICES")
    if 1 < count <= devices.cpu_count() and chosen is None:
        with contextlib.suppress(RuntimeError):  # it has made devices already
            jax.config.update("jax_num_cpu_devices", count)


def _initialize(options: DeviceOptions) -> None:
    address = options.coordinator
    # It would take SIGTERM for itself, which is to end the run here.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        with _connection_errors_raised():
            jax.distributed.initialize(
                address,
                options.num_processes,
                options.process_id,
                initialization_timeout=CONNECT_SECONDS,
                heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
                shutdown_timeout_seconds=FINISH_SECONDS,
            )
    except ValueError as error:
        raise InputError(
            "--distributed finds no Slurm, Kubernetes, Open MPI or TPU pod; name "
            f"--coordinator, --num-processes and --process-id ({error})"
        ) from error
    except RuntimeError as error:
        if "before" in str(error):  # a device has been touched
            raise
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"the processes have not met at the coordinator {address or ''} within "
            f"{CONNECT_SECONDS} s ({reason}); start all of them, with an address of "
            "process 0 that the others can reach"
        ) from error


@contextlib.contextmanager
def _connection_errors_raised() -> Iterator[None]:
    """Let a coordinator that does not answer be an exception, not an abort().

    JAX has the option, but no public way to it: a callback in the place of its own,
    which ends the process. Its name is private, so without it all else stays.
    """
    from jax._src import distributed

    connected = threading.Event()
    library = getattr(distributed, "_jax", None)
    make_client: Any = getattr(library, "get_distributed_runtime_client", None)
    if make_client is None:
        yield
        return

    def lost(*_: object) -> None:
        if connected.is_set():
            os._exit(1)  # `_last_word` speaks

    class Library:
        """The library, but for this function."""

        def __getattr__(self, name: str) -> Any:
            return getattr(library, name)

        @staticmethod
        def get_distributed_runtime_client(*args: Any, **kwargs: Any) -> Any:
            return make_client(*args, missed_heartbeat_callback=lost, **kwargs)

    distributed._jax = Library()  # type: ignore[attr-defined]
    try:
        yield
        connected.set()
    finally:
        distributed._jax = library  # type: ignore[attr-defined]


def _require_all(asked: int | None) -> None:
    """Raise InputError where fewer processes have met than were asked for."""
    met = jax.process_count()
    if asked not in (None, met):
        raise InputError(f"num_processes={asked}, but processes that have met: {met}")
    if met == 1 and asked is None:
        raise InputError(
            "--distributed found one process only; start more, or leave it out"
        )


def mesh(options: DeviceOptions) -> jax.sharding.Mesh | None:
    """The devices to train on; None: the default one.

    Raises InputError where this process has fewer, or none.
    """
    devices.require_device()
    local = jax.local_devices()
    if options.devices > len(local):
        kind = local[0].platform
        text = f"devices={options.devices}, but JAX finds {len(local)} ({kind})"
        if kind != "cpu":
            raise InputError(f"{text}; name at most as many")
        raise InputError(
            f"{text} on {devices.cpu_count()} cores; name at most as many as cores, or "
            "set JAX_NUM_CPU_DEVICES to rehearse with more"
        )
    if options.devices == 1 and jax.process_count() == 1:
        return None
    by_process: dict[int, list[jax.Device]] = {}
    for device in jax.devices():
        by_process.setdefault(device.process_index, []).append(device)
    chosen = [
        d for _, own in sorted(by_process.items()) for d in own[: options.devices]
    ]
    return devices.mesh_along(parallel.AXIS, chosen)


def is_first() -> bool:
    """Whether this process prints and writes."""
    return not jax.distributed.is_initialized() or jax.process_index() == 0


@contextlib.contextmanager
def _losses_named() -> Iterator[None]:
    """Make of an error of the communication a ProcessLost."""
    words = ("Gloo", "NCCL", "coordination", "Socket closed", "DEADLINE", "UNAVAILABLE")
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if any(word in str(error) for word in words):
            raise ProcessLost(f"another process has been lost; {REMEDY}") from error
        raise


@contextlib.contextmanager
def _last_word() -> Iterator[None]:
    """Say what happened even where this process is ended without notice."""
    line = (
        f"error: process {jax.process_index()} was ended, as JAX does when another has "
        f"been lost or silent for {HEARTBEAT_SECONDS} s; {REMEDY}\n"
    )
    command = [sys.executable, "-S", "-c", LAST_WORD, line]
    helper = subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=sys.stderr, start_new_session=True
    )
    assert helper.stdin is not None
    try:
        yield
    finally:  # whatever comes now is said by others
        with contextlib.suppress(BrokenPipeError):
            helper.stdin.write(GOODBYE)
            helper.stdin.close()
        helper.wait()


def _keep_streams_for_python() -> None:
    """Let what JAX's libraries write go nowhere, unless TF_CPP_MIN_LOG_LEVEL is 0.

    They write many lines where a process is lost, and some where none is.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "0":  # JAX itself makes it 1
        return
    for name in ("stdout", "stderr"):
        stream: IO[str] = getattr(sys, name)
        stream.flush()
        kept = os.fdopen(
            os.dup(stream.fileno()), "w", buffering=1, errors="backslashreplace"
        )
        for handler in logging.getLogger().handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is stream:
                handler.setStream(kept)
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), stream.fileno())
        setattr(sys, name, kept)
