"""How much memory there is and was, where the system tells it; in plain Python."""

import re
import sys
from pathlib import Path


def peak_bytes() -> int | None:
    """The most memory that this process has held, where the system tells it.

    Linux's VmHWM first: ru_maxrss survives `exec`, and so may be the parent's.
    """
    peak = linux_bytes("/proc/self/status", "VmHWM")
    if peak is not None or sys.platform == "win32":
        return peak
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def linux_bytes(file: str, name: str) -> int | None:
    """What Linux tells of memory in a file of /proc; None elsewhere."""
    try:
        line = re.search(rf"{name}:\s*(\d+) kB", Path(file).read_text("utf-8"))
    except OSError:
        return None
    return int(line[1]) * 1024 if line else None
