"""States in files: whole or the one before, never half; and what is refused."""

import hashlib
import os
import re
import textwrap
import warnings

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small import random_layers

from jaxnets import checkpoint
from jaxnets.errors import InputError
from jaxnets.types import TrainState

SOME = {"params": random_layers((3, 2)), "step": np.int32(7)}


def numbered(number):
    """A state that tells which one it is."""
    return {"array": np.full(100, number, np.float32), "number": number}


def flip(file, position=200):
    content = bytearray(file.read_bytes())
    content[position] ^= 1
    file.write_bytes(content)


def test_any_pytree_comes_back(tmp_path):
    key = jax.random.key(3)
    state = {
        "train": TrainState(np.int32(5), random_layers((4, 3)), optax.EmptyState()),
        "of": (np.array([True, False]), np.arange(3, dtype=np.uint8), np.float64(0.1)),
        "short": jnp.asarray([1.5, -2.0], jnp.bfloat16),
        "numbers": [3, 0.5, True],
        "key": key,
        "keys": jax.random.split(jax.random.key(1, impl="rbg"), 2),
        "none": None,
    }
    checkpoint.save(tmp_path / "state", state, {"epoch": 2})
    again = checkpoint.restore(tmp_path / "state", state)
    assert jax.tree.structure(again) == jax.tree.structure(state)
    for ours, theirs in zip(*map(jax.tree.leaves, (again, state)), strict=True):
        if isinstance(theirs, jax.Array) and jnp.issubdtype(
            theirs.dtype, jax.dtypes.prng_key
        ):
            assert ours.dtype == theirs.dtype
            ours, theirs = map(jax.random.key_data, (ours, theirs))  # noqa: PLW2901
        chex.assert_trees_all_equal(ours, theirs, strict=True)
    assert [type(number) for number in again["numbers"]] == [int, float, bool]
    assert isinstance(again["train"].params[0].kernel, np.ndarray)
    assert checkpoint.load(tmp_path / "state").about == {"epoch": 2}
    # As `jax.eval_shape` describes it, arrays come to the host.
    like = jax.eval_shape(lambda: {"short": state["short"]})
    checkpoint.save(tmp_path / "short", {"short": state["short"]})
    short = checkpoint.restore(tmp_path / "short", like)["short"]
    assert isinstance(short, np.ndarray)
    np.testing.assert_array_equal(short, np.asarray(state["short"]))


def test_arrays_go_where_those_of_like_are(tmp_path):
    device = jax.devices()[-1]
    state = jax.device_put(SOME, device)
    checkpoint.save(tmp_path / "state", state)
    again = checkpoint.restore(tmp_path / "state", state)
    assert {leaf.device for leaf in jax.tree.leaves(again)} == {device}
    chex.assert_trees_all_equal(again, SOME)


def test_numpy_alone_reads_it_and_its_comment_is_its_sha256(tmp_path):
    checkpoint.save(tmp_path / "state.npz", SOME)
    content = (tmp_path / "state.npz").read_bytes()
    assert content[-64:].decode() == hashlib.sha256(content[:-64]).hexdigest()
    with np.load(tmp_path / "state.npz", allow_pickle=False) as arrays:
        assert int(arrays["state['step']"]) == 7
        kernel = arrays["state['params'][0].kernel"]
    np.testing.assert_array_equal(kernel, SOME["params"][0].kernel)


def test_no_changed_or_missing_byte_goes_unnoticed(tmp_path):
    path = tmp_path / "state"
    checkpoint.save(path, SOME)
    whole = path.read_bytes()
    for position in np.linspace(0, len(whole) - 1, 40, dtype=int):
        flip(path, position)
        with pytest.raises(InputError, match=r"state is damaged.*begin anew"):
            checkpoint.load(path)
        path.write_bytes(whole[:position])
        with pytest.raises(InputError, match="damaged"):
            checkpoint.load(path)
        path.write_bytes(whole)
    chex.assert_trees_all_equal(checkpoint.restore(path, SOME), SOME)


def test_the_one_before_is_used_where_the_newest_is_damaged(tmp_path):
    path = tmp_path / "state"
    for number in (1, 2, 3):
        checkpoint.save(path, numbered(number))
    assert sorted(os.listdir(tmp_path)) == ["state", "state.previous"]
    assert checkpoint.restore(path, numbered(0))["number"] == 3
    flip(path)
    with pytest.warns(UserWarning, match=r"state is damaged; going on from .*previous"):
        assert checkpoint.restore(path, numbered(0))["number"] == 2
    # The sound one stays until the next is whole, which then is the newest.
    checkpoint.save(path, numbered(4))
    assert checkpoint.restore(path, numbered(0))["number"] == 4
    path.unlink()  # the damaged one is left
    with pytest.raises(InputError, match="previous is damaged"):
        checkpoint.load(path)
    checkpoint.previous(path).unlink()
    with pytest.raises(InputError, match="no checkpoint"):
        checkpoint.load(path)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 and no more"])
def test_what_save_did_not_write_is_damaged_whatever_its_digest(tmp_path, content):
    path = tmp_path / "state"
    path.write_bytes(content + hashlib.sha256(content).hexdigest().encode())
    with pytest.raises(InputError, match="state is damaged"):
        checkpoint.load(path)


def test_a_folder_in_its_place_does_not_hide_the_one_before(tmp_path):
    path = tmp_path / "state"
    for number in (1, 2):
        checkpoint.save(path, numbered(number))
    path.unlink()
    path.mkdir()
    with pytest.warns(UserWarning, match="state is damaged"):
        assert checkpoint.restore(path, numbered(0))["number"] == 1


@pytest.mark.parametrize(
    ("links", "damage"), [(True, False), (True, True), (False, False)]
)
@pytest.mark.filterwarnings("ignore:.*is damaged; going on")
def test_at_every_moment_of_a_save_there_is_a_sound_one(
    tmp_path, monkeypatch, links, damage
):
    # A kill between two calls of the system leaves what is read here.
    path = tmp_path / "state"
    for number in (1, 2):
        checkpoint.save(path, numbered(number))
    if damage:
        flip(path)
    seen = []

    def watched(function):
        def call(*args, **options):
            look()
            try:
                return function(*args, **options)
            finally:
                look()

        return call

    def look():
        assert checkpoint.exists(path)
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            seen.append(checkpoint.restore(path, numbered(0))["number"])
        # It warns where the newest is damaged, or, between two names, not there.
        assert bool(warned) == (seen[-1] == 1 or not path.exists())

    def no_link(*_):
        raise PermissionError("no hard links here")

    with monkeypatch.context() as patch:
        for name in ("fsync", "chmod", "replace", "link"):
            function = no_link if name == "link" and not links else getattr(os, name)
            patch.setattr(os, name, watched(function))
        checkpoint.save(path, numbered(3))
    assert len(seen) >= 10
    assert seen[0] == (1 if damage else 2) and seen[-1] == 3
    assert seen == sorted(seen)
    assert sorted(os.listdir(tmp_path)) == ["state", "state.previous"]


@pytest.mark.parametrize(
    ("like", "message"),
    [
        ({**SOME, "more": np.int32(1)}, r"has no state\['more'\]"),
        ({"step": SOME["step"]}, r"also has state\['params'\]"),
        ({**SOME, "params": random_layers((3, 4))}, r"kernel is float32 \[3, 2\], not"),
        ({**SOME, "step": np.int64(0)}, r"step'\] is int32 \[\], not int64"),
        ({**SOME, "step": jax.random.key(0)}, r"step"),
        ({**SOME, "step": 0.5}, r"step'\] is int32 \[\], not float64"),
    ],
    ids=["more", "less", "shape", "dtype", "key", "number"],
)
def test_another_state_is_refused_by_name(tmp_path, like, message):
    checkpoint.save(tmp_path / "state", SOME)
    with pytest.raises(InputError, match=message):
        checkpoint.restore(tmp_path / "state", like)


def test_keys_of_another_kind_come_back_by_their_shapes_too(tmp_path):
    def make():
        return {"key": jax.random.key(3, impl="rbg")}

    checkpoint.save(tmp_path / "state", make())
    again = checkpoint.restore(tmp_path / "state", jax.eval_shape(make))
    assert again["key"] == make()["key"]


@pytest.mark.parametrize("dtype", [np.float16, np.int16, np.float32])
def test_a_dtype_without_a_name_becomes_no_other(tmp_path, dtype):
    # NumPy's files know bfloat16 by its size alone.
    checkpoint.save(tmp_path / "state", {"short": jnp.ones(3, jnp.bfloat16)})
    with pytest.raises(InputError, match="short"):
        checkpoint.restore(tmp_path / "state", {"short": np.ones(3, dtype)})


@pytest.mark.parametrize("leaf", ["text", object(), np.array(["text"])])
def test_what_is_no_array_is_refused_before_anything_is_written(tmp_path, leaf):
    with pytest.raises(InputError, match=r"state\['bad'\]"):
        checkpoint.save(tmp_path / "state", {"bad": leaf})
    assert not os.listdir(tmp_path)


def test_a_full_disk_costs_neither_checkpoint(small_disk):
    path = small_disk / "state"
    for number in (1, 2):
        checkpoint.save(path, numbered(number))
    with pytest.raises(OSError, match="No space left") as caught:
        checkpoint.save(path, np.zeros(100_000))
    assert caught.value.filename == str(path)
    assert checkpoint.restore(path, numbered(0))["number"] == 2
    assert checkpoint.restore(checkpoint.previous(path), numbered(0))["number"] == 1
    assert len(os.listdir(small_disk)) == 2


@pytest.mark.slow
def test_the_lines_of_the_docstring_go_on_where_they_were_stopped(
    tmp_path, monkeypatch
):
    # Oracle: the same lines, never stopped.
    lines = re.search(r"\n\n((?:    .*\n|\n)+)", checkpoint.__doc__)[1]
    program = textwrap.dedent(lines).replace("num_epochs=30", "num_epochs=4")
    assert "num_epochs=4" in program
    (tmp_path / "whole").mkdir()
    monkeypatch.chdir(tmp_path / "whole")
    whole = {}
    exec(program, whole)

    monkeypatch.chdir(tmp_path)
    saved = []

    def save_twice(*args):
        save(*args)
        saved.append(args)
        if len(saved) == 2:
            raise KeyboardInterrupt

    save = checkpoint.save
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", save_twice)
        with pytest.raises(KeyboardInterrupt):
            exec(program, {})
    assert os.path.exists("digits.ckpt")
    later = {}
    exec(program, later)
    assert later["epoch"].number == 4
    chex.assert_trees_all_equal(later["epoch"].state, whole["epoch"].state)
    assert later["epoch"].train == whole["epoch"].train
