"""With what a run was made: versions, the clone's commit, source, the device."""

import contextlib
import hashlib
import json
import platform
import shutil
import subprocess
from importlib import import_module, metadata
from pathlib import Path

import jaxnets
from jaxnets import devices

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "tensorflow", "keras")


def versions() -> dict[str, str]:
    """Versions of what decides the numbers, as installed; and the clone's commit."""
    numbers = {"python": platform.python_version(), "jaxnets": jaxnets.__version__}
    if (commit := _commit()) is not None:
        numbers["commit"] = commit
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            numbers[package] = metadata.version(package)
    return numbers


def _commit() -> str | None:
    """What this clone has checked out, with "-dirty" where files are changed."""
    clone = Path(__file__).parents[2]
    if not (clone / ".git").exists() or shutil.which("git") is None:
        return None
    command = ["git", "-C", str(clone), "describe", "--always", "--dirty"]
    told = subprocess.run(command, check=False, capture_output=True, text=True)
    return told.stdout.strip() or None


def source(*packages: str) -> dict[str, str]:
    """The Python files of packages, by a path such as "jaxnets/models.py"."""
    texts = {}
    for package in packages:
        [folder] = import_module(package).__path__
        for file in sorted(Path(folder).rglob("*.py")):
            name = package.replace(".", "/") / file.relative_to(folder)
            texts[name.as_posix()] = file.read_text(encoding="utf-8")
    return texts


def source_sha256(*packages: str) -> str:
    """Of `source`, names included."""
    return hashlib.sha256(json.dumps(source(*packages)).encode()).hexdigest()


def processor_name() -> str:
    """The processor's name where the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [line.split(":")[1] for line in lines if "model name" in line]
    except OSError:
        names = []
    return names[0].strip() if names else platform.processor() or platform.machine()


def device_name() -> str:
    """The device that JAX trains on, by kind and name; InputError without one."""
    first = devices.require_device()
    return processor_name() if first.platform == "cpu" else first.device_kind
