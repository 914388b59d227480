"""The decoded arrays, kept beside what tensorflow-datasets prepared.

The file is an uncompressed `.npz`. Its format carries a CRC-32 of each array,
which is checked before reading; the write is atomic; a damaged file counts as none.
"""

import warnings
import zipfile
from pathlib import Path

import numpy as np

from jaxnets.data.checks import require_batch
from jaxnets.data.tfds import OWN_FOLDER, VERSIONS
from jaxnets.errors import InputError
from jaxnets.files import write_atomically
from jaxnets.types import Batch

_ARRAYS = ("train_image", "train_label", "test_image", "test_label")


def path(data_dir: Path, name: str) -> Path:
    """Where a dataset's arrays are kept."""
    return data_dir / OWN_FOLDER / f"{name}-{VERSIONS[name]}.npz"


def read(file: Path) -> tuple[Batch, Batch] | None:
    """Training and test records, or None where there is no sound file.

    Raises InputError where there is a file that may not be read.
    """
    try:
        with open(file, "rb") as stream:
            # NumPy reads only as far as an array's header says: check all of it.
            if zipfile.ZipFile(stream).testzip() is None:
                stream.seek(0)
                with np.load(stream, allow_pickle=False) as arrays:
                    parts = [arrays[name] for name in _ARRAYS]
                records = Batch(*parts[:2]), Batch(*parts[2:])
                for batch in records:
                    require_batch(batch)
                return records
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error
    except Exception:  # zipfile and NumPy raise a dozen kinds for damaged files
        pass
    warnings.warn(f"{file} is damaged and will be made anew", stacklevel=2)
    return None


def write(file: Path, train: Batch, test: Batch) -> None:
    """Keep the arrays; where that is impossible, say so and go on without."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with write_atomically(file) as stream:
            arrays = dict(zip(_ARRAYS, (*train, *test), strict=True))
            np.savez(stream, allow_pickle=False, **arrays)
    except OSError as error:
        warnings.warn(
            f"the decoded images could not be kept in {file} ({error.strerror}); "
            "the next start will decode them again",
            stacklevel=2,
        )
