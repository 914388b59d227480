"""`--tensorboard`: a run's rows as scalars."""

import struct
from types import SimpleNamespace

import pytest
from tensorboardX.proto.event_pb2 import Event

from experiments.compare.settings import Config, choose_recipes
from experiments.kit import scalars
from jaxnets.errors import InputError

ROW = {"model": "a", "epoch": 1, "dataset": "digits", "loss": 0.5, "cached": True}


def scalars_in(folder):
    """Read as TensorFlow's record files are: length, checksum, content, checksum."""
    sums = {}
    for file in sorted(folder.iterdir()):
        content = file.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            event = Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]
            for value in event.summary.value:
                sums.setdefault((value.tag, event.step), []).append(value.simple_value)
    return sums


def test_numbers_become_scalars_and_rows_stay(tmp_path):
    run = SimpleNamespace(path=tmp_path, rows=[])
    rows = [ROW, {**ROW, "epoch": 2, "loss": 0.25, "accuracy": None, "count": 3}]
    assert list(scalars.mirrored(run, iter(rows))) == rows
    assert scalars_in(tmp_path / "tensorboard") == {
        ("a/loss", 1): [0.5],
        ("a/loss", 2): [0.25],
        ("a/count", 2): [3.0],
    }


def test_a_run_that_goes_on_has_each_scalar_once(tmp_path):
    closed = []

    def measure():
        try:
            yield ROW
            yield {**ROW, "epoch": 2}
        finally:
            closed.append(True)

    run = SimpleNamespace(path=tmp_path, rows=[])
    broken_off = scalars.mirrored(run, measure())
    assert next(broken_off) == ROW
    broken_off.close()
    assert closed
    run.rows = [ROW]  # of which metrics.jsonl tells
    list(scalars.mirrored(run, iter([{**ROW, "epoch": 2}])))
    assert scalars_in(tmp_path / "tensorboard") == {
        ("a/loss", 1): [0.5],
        ("a/loss", 2): [0.5],
    }


def test_without_tensorboardx_it_is_said_at_once(monkeypatch):
    scalars.require_writer()
    monkeypatch.setattr(scalars, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'jaxnets\[tensorboard\]'"):
        scalars.require_writer()
    # A run that is redrawn writes none.
    choose_recipes(Config(tensorboard=True, redraw="run"))
