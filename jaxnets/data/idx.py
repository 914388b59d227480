"""IDX, the format of MNIST's own files: sizes, then numbers.

A file begins with two zeros, the type of its numbers, and how many sizes follow.
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from jaxnets.errors import InputError

TYPES: dict[int, np.dtype] = {8: np.dtype(np.uint8), 12: np.dtype(">i4")}
_GZIP = b"\x1f\x8b"  # how a zipped file begins


def read(file: Path) -> np.ndarray:
    """The array of a file of bytes or of 32-bit integers, zipped by gzip or not.

    Raises InputError where the file is not there, damaged, or something else.
    """
    try:
        content = file.read_bytes()
        if content.startswith(_GZIP):
            content = gzip.decompress(content)
    except FileNotFoundError:
        raise InputError(f"there is no file {file}") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{file} is not a whole gzip file: {error}") from error
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error
    kind, num_sizes = (content[2], content[3]) if len(content) >= 4 else (0, 0)
    sizes_end = 4 + 4 * num_sizes
    if content[:2] != b"\0\0" or kind not in TYPES or len(content) < sizes_end:
        raise InputError(f"{file} is not an idx file of bytes or integers")
    shape = np.frombuffer(content[4:sizes_end], ">u4").tolist()
    numbers = content[sizes_end:]
    expected = math.prod(shape) * TYPES[kind].itemsize
    if len(numbers) != expected:
        sizes = " by ".join(map(str, shape))
        raise InputError(
            f"{file} should hold {sizes} numbers, {expected:,} bytes, and has "
            f"{len(numbers):,}: it is cut off or damaged"
        )
    return np.frombuffer(numbers, TYPES[kind]).reshape(shape)
