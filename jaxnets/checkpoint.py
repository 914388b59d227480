"""The state of a training in one file, to go on from exactly where it stopped.

Ten lines around `training.fit` let a program be killed at any moment and started again,
with the same end to the last bit as if nothing had happened:

    from pathlib import Path
    import optax
    from jaxnets import checkpoint, data, relu_softmax, training

    path, digits = Path("digits.ckpt"), data.load("digits")
    keys, tx = training.run_keys(seed=3), optax.sgd(0.1)
    state = training.start(relu_softmax.init(keys.init, (784, 100, 10)), tx)
    if checkpoint.exists(path):
        state = checkpoint.restore(path, like=state)
    for epoch in training.fit(
        relu_softmax.loss_fn, tx, state, digits.train, (digits.validation,),
        batch_size=64, num_epochs=30, key=keys.data,
    ):
        checkpoint.save(path, epoch.state)

`fit` counts its epochs by the state's steps, and the order of an epoch depends on the
key and the epoch's number alone, so the state is all there is to keep. `fit` donates
nothing: after Ctrl-C or a NonFiniteLoss the last state that it yielded can be used.

The file is an `.npz` of NumPy, an array a leaf, nothing pickled. Its SHA-256 is the
archive's comment. `numpy.load(path, allow_pickle=False)` reads it anywhere.
"""

import contextlib
import hashlib
import io
import json
import os
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np

from jaxnets.errors import InputError
from jaxnets.files import absolute, write_atomically

State = TypeVar("State")

ABOUT = "about"  # the array that holds JSON; a leaf's name begins with STATE
STATE = "state"
DIGEST_LENGTH = 64  # hexadecimal digits of SHA-256


def save(
    path: str | os.PathLike[str], state: Any, about: Mapping[str, Any] | None = None
) -> None:
    """Write a state; the file that was there before stays beside it as `.previous`.

    Killed at any moment, there is a complete file under one of the two names.

    Args:
      path: of the file.
      state: any pytree of arrays and numbers. Keys of `jax.random` are kept as their
        data. Arrays on several devices are gathered; those of several processes must
        be whole on this one.
      about: what to keep beside it; anything that JSON can hold.

    Raises:
      InputError: a leaf is neither an array nor a number.
      OSError: it cannot be written; the earlier files are untouched.
    """
    path = absolute(path)
    text = json.dumps(about or {}).encode()
    arrays = {ABOUT: np.frombuffer(text, np.uint8)}
    for name, leaf in _named_leaves(state).items():
        array = np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)
        if array.dtype.kind not in "biufcV":  # V: bfloat16 and its like
            raise InputError(f"{name} is {type(leaf).__name__}, no array or number")
        arrays[name] = array
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)  # type: ignore[arg-type]
    stream.seek(-2, os.SEEK_END)  # where a zip archive has the length of its comment
    stream.write(DIGEST_LENGTH.to_bytes(2, "little"))
    with write_atomically(path, previous=previous(path)) as file:
        file.write(stream.getbuffer())
        file.write(_digest(stream.getbuffer()))


def previous(path: Path) -> Path:
    """Where `save` keeps the file that it replaces."""
    return path.with_name(f"{path.name}.previous")


def exists(path: str | os.PathLike[str]) -> bool:
    """Whether there is a file to `restore`, under this name or as the one before it."""
    path = absolute(path)
    return path.exists() or previous(path).exists()


def restore(path: str | os.PathLike[str], like: State) -> State:
    """The state that was saved; raises as `load` and `Checkpoint.state`."""
    return load(path).state(like)


class Checkpoint(NamedTuple):
    """What a file holds."""

    file: Path  # that it was read from
    about: dict[str, Any]
    arrays: dict[str, np.ndarray]  # by the leaf's name, such as "state.params[0].bias"

    def state(self, like: State) -> State:
        """The state as a pytree.

        Args:
          like: a pytree of the same structure, shapes and dtypes: a state, or what
            `jax.eval_shape` says of one.

        Returns:
          The structure of `like`. Leaves are NumPy arrays, but for keys, and for what
          `like` has on devices, which is put there; numbers are Python's where `like`
          has Python's.

        Raises InputError where the file holds other names, shapes or dtypes.
        """
        leaves = _named_leaves(like)
        for name in (*leaves, *self.arrays):
            if name not in self.arrays or name not in leaves:
                fault = "has no" if name in leaves else "also has"
                raise InputError(f"{self.file} is of another state: it {fault} {name}")
        restored = [self._leaf(name, leaf) for name, leaf in leaves.items()]
        return jax.tree.unflatten(jax.tree.structure(like), restored)

    def _leaf(self, name: str, like: Any) -> Any:
        array: Any = self.arrays[name]
        if isinstance(like, bool | int | float | complex):
            if not array.shape and array.dtype.kind == np.asarray(like).dtype.kind:
                return type(like)(array.item())
            like = np.asarray(like)
        if _is_key(like):
            with contextlib.suppress(TypeError, ValueError):  # it is no key's data
                array = jax.random.wrap_key_data(array, dtype=like.dtype)
        elif (
            array.dtype.kind == "V" == like.dtype.kind  # NumPy has no name for it
            and array.dtype.itemsize == like.dtype.itemsize
        ):
            array = array.view(like.dtype)
        if (array.shape, array.dtype) != (like.shape, like.dtype):
            raise InputError(
                f"{self.file} is of another state: {name} is {array.dtype} "
                f"{list(array.shape)}, not {like.dtype} {list(like.shape)}"
            )
        if isinstance(like, jax.Array):
            return jax.device_put(array, like.sharding)
        return array


def load(path: str | os.PathLike[str]) -> Checkpoint:
    """Read the newest sound file of this name, with a warning if that is the previous.

    Raises:
      InputError: there is none, or none is sound.
    """
    path = absolute(path)
    damaged = []
    for file in (path, previous(path)):
        if not file.exists():
            continue
        checkpoint = _read(file)
        if checkpoint is None:
            damaged.append(str(file))
            continue
        if file != path:
            fault = "is damaged" if damaged else "is not there"
            warnings.warn(
                f"{path} {fault}; going on from the one before it, {file}",
                stacklevel=2,
            )
        return checkpoint
    if damaged:
        raise InputError(
            f"{' and '.join(damaged)} {'is' if len(damaged) == 1 else 'are'} damaged: "
            "the content is not what was written, by its SHA-256. There is no sound "
            "one; begin anew"
        )
    raise InputError(f"there is no checkpoint {path}")


def _read(file: Path) -> Checkpoint | None:
    """The content, or None where it is not what was written."""
    if not file.is_file():
        return None
    content = file.read_bytes()
    if _digest(content[:-DIGEST_LENGTH]) != content[-DIGEST_LENGTH:]:
        return None
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            arrays = dict(stored)
        about = json.loads(arrays.pop(ABOUT).tobytes())
    except (EOFError, KeyError, ValueError, zipfile.BadZipFile):
        return None  # its digest is right, but `save` did not write it
    return Checkpoint(file, about, arrays)


def _digest(content: bytes | memoryview) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def _named_leaves(state: Any) -> dict[str, Any]:
    paths = jax.tree_util.tree_leaves_with_path(state)
    return {f"{STATE}{jax.tree_util.keystr(path)}": leaf for path, leaf in paths}


def _is_key(leaf: Any) -> bool:
    dtype = getattr(leaf, "dtype", None)
    return dtype is not None and jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key)
