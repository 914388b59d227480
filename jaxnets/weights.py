"""Parameters as a file: NumPy's `.npz`, with an array a leaf such as `kernel_0`.

Notes of text may stand beside them. Nothing in a file is ever run: no pickle.
"""

import zipfile
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxnets.errors import InputError
from jaxnets.files import write_atomically
from jaxnets.types import Params


def named_leaves(params: Params) -> dict[str, Any]:
    """The leaves of any pytree by name, its own name first: `kernel_0`."""
    return {
        "_".join(jax.tree_util.keystr((key,), simple=True) for key in reversed(path)): (
            leaf
        )
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
    }


def write(file: Path, params: Params, **notes: str) -> None:
    """Write parameters and notes; their names must not be those of leaves."""
    arrays = {name: np.asarray(leaf) for name, leaf in named_leaves(params).items()}
    with write_atomically(file) as stream:
        np.savez(stream, **arrays, **notes)  # type: ignore[arg-type]


def read_arrays(file: Path) -> dict[str, np.ndarray]:
    """All arrays of a file, a note being one of text; InputError where it is none."""
    try:
        # NumPy reads only as far as an array's header says: check all of it.
        if zipfile.ZipFile(file).testzip() is None:
            with np.load(file, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"there is no file {file}") from None
    except (PermissionError, IsADirectoryError) as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error
    except Exception:  # zipfile and NumPy raise a dozen kinds for damaged files
        pass
    raise InputError(f"{file} holds no weights of jaxnets, or is damaged")


def read(file: Path, like: Params) -> Params:
    """The parameters of `write`.

    Args:
      file: that it wrote.
      like: a pytree of the same structure and shapes, of arrays or their shapes.

    Raises:
      InputError: the file has other arrays, or cannot be read.
    """
    return from_arrays(read_arrays(file), like, file)


def from_arrays(arrays: dict[str, np.ndarray], like: Params, file: Path) -> Params:
    """Parameters from a file's arrays; see `read`."""
    names = named_leaves(like)
    for name, leaf in names.items():
        if name not in arrays or arrays[name].shape != leaf.shape:
            raise InputError(f"{file} has no {name} of shape {leaf.shape}")
    leaves = [arrays[name] for name in names]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)
