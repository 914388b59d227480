"""Runs that are broken off and resumed: what they keep, refuse and say."""

import json
import os
import shutil
import signal
from dataclasses import dataclass, replace

import numpy as np
import pytest

from experiments.kit import folder, options, resume
from experiments.kit import run as kit_run
from experiments.kit.command import Stopped
from experiments.kit.options import Options, Resumable, RunFinished
from experiments.kit.run import Run
from jaxnets import checkpoint, data
from jaxnets.errors import InputError
from jaxnets.types import Batch

LAST = 6  # epochs of `trial`


@dataclass(frozen=True, kw_only=True)
class Config(Resumable):
    dataset: str | None = "digits"
    rate: float = 0.5
    sizes: tuple[int, ...] = (3, 4)


@pytest.fixture(autouse=True)
def _quick(monkeypatch, digits):
    """The data is there already, and nothing is drawn."""
    monkeypatch.setattr(data, "load", lambda *_, **__: digits)
    monkeypatch.setattr(kit_run, "prepare_to_draw", lambda: None)


def trial(config, stop_after=None, error=KeyboardInterrupt):
    """An experiment whose state is a sum: two rows an epoch, then a checkpoint."""
    run = Run.open("trial", config)

    def rows():
        like = {"sum": np.float64(0), "epoch": 0}
        state = run.restore(like, model="sum") or like
        for epoch in range(state["epoch"] + 1, LAST + 1):
            state = {"sum": np.asarray(state["sum"] + epoch * run.config.rate)}
            state["epoch"] = epoch
            for part in "ab":
                yield {"epoch": epoch, "part": part, "sum": float(state["sum"])}
            if epoch == stop_after:
                raise error
            run.checkpoint(state, model="sum", epoch=epoch)

    run.record(rows())
    return run.publish({"rows": run.rows}, title="T", lead=lambda: "L")


def begun(tmp_path, stop_after, **settings):
    """A run that was broken off after the rows of an epoch, before its checkpoint."""
    path = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        trial(Config(output=path, **settings), stop_after)
    return path


def rows_of(path):
    lines = (path / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def edit(path, **changes):
    """Change the config that a run began with, as if it had been begun so."""
    kept = checkpoint.load(path / resume.CHECKPOINT)
    config = dict(kept.about["config"])
    for name, value in changes.items():
        *groups, last = name.split("__")
        inner = config
        for group in groups:
            inner = inner[group]
        inner[last] = value
    state = {"sum": kept.arrays["state['sum']"], "epoch": 3}
    checkpoint.save(path / resume.CHECKPOINT, state, {**kept.about, "config": config})


@pytest.fixture
def whole(tmp_path):
    return trial(Config(output=tmp_path / "whole"))


def test_a_resumed_run_ends_as_one_that_was_never_stopped(tmp_path, whole, capsys):
    path = begun(tmp_path, 4)
    assert len(rows_of(path)) == 8
    with open(path / ".results.json.abcd_123", "x") as stream:
        stream.write("what a killed process was writing")
    (path / ".notes").write_text("the user's")
    with open(path / "metrics.jsonl", "a") as stream:
        stream.write('{"epoch": 5, "pa')
    results = trial(resume.stored_options(Config, path))
    assert "after model sum, epoch 3" in capsys.readouterr().out
    assert results == whole
    assert rows_of(path) == rows_of(tmp_path / "whole")
    names = {".notes", "config.json", "metrics.jsonl", "results.json"}
    names |= {resume.CHECKPOINT, f"{resume.CHECKPOINT}.previous", folder.LOCK}
    assert set(os.listdir(path)) == names
    before = (path / "results.json").read_bytes()
    with pytest.raises(RunFinished, match="is finished"):
        trial(resume.stored_options(Config, path))
    assert (path / "results.json").read_bytes() == before


def test_a_run_without_a_checkpoint_begins_again(tmp_path, whole):
    path = begun(tmp_path, 1)
    assert not (path / resume.CHECKPOINT).exists() and len(rows_of(path)) == 2
    assert trial(resume.stored_options(Config, path)) == whole


def test_a_run_that_was_killed_while_it_drew_is_finished_by_resuming(tmp_path, whole):
    # As the first of the two times that `publish` writes it.
    path = tmp_path / "whole"
    results = json.loads((path / "results.json").read_text())
    (path / "results.json").write_text(json.dumps({**results, "finding": None}))
    assert trial(resume.stored_options(Config, path)) == whole


@pytest.mark.parametrize("error", [ZeroDivisionError, Stopped(signal.SIGTERM)])
def test_whatever_ended_a_run_it_goes_on(tmp_path, whole, error):
    path = tmp_path / "run"
    with pytest.raises(type(error) if isinstance(error, Exception) else BaseException):
        trial(Config(output=path), 3, error)
    assert trial(resume.stored_options(Config, path)) == whole
    assert not (path / "traceback.txt").exists()


def test_rare_checkpoints_and_one_when_the_run_is_stopped(tmp_path, monkeypatch, whole):
    saved = []
    save = checkpoint.save
    monkeypatch.setattr(
        checkpoint, "save", lambda *args: (saved.append(args[1]["epoch"]), save(*args))
    )
    path = begun(tmp_path, 5, checkpoint_seconds=3600)
    assert saved == [4]  # the last that there was, when the recording ended
    results = trial(resume.stored_options(Config, path))
    assert (saved, results) == ([4, 6], whole)


def test_a_damaged_checkpoint_costs_an_epoch(tmp_path, whole):
    path = begun(tmp_path, 5)
    file = path / resume.CHECKPOINT
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.warns(UserWarning, match="going on from the one before it"):
        results = trial(resume.stored_options(Config, path))
    assert results == whole
    assert rows_of(path) == rows_of(tmp_path / "whole")


def test_two_damaged_checkpoints_are_refused_and_nothing_is_lost(tmp_path):
    path = begun(tmp_path, 5)
    for file in (path / resume.CHECKPOINT, path / f"{resume.CHECKPOINT}.previous"):
        file.write_bytes(b"damaged")
    before = {name: (path / name).read_bytes() for name in os.listdir(path)}
    with pytest.raises(InputError, match="are damaged"):
        trial(resume.stored_options(Config, path))
    assert {name: (path / name).read_bytes() for name in os.listdir(path)} == before


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("rate", 0.25, r"rate was 0\.25 and is 0\.5"),
        ("sizes", [3, 5], r"sizes was \[3, 5\] and is \[3, 4\]"),
        ("head__versions__jax", "0.1", r"versions\.jax was 0\.1 and is"),
        ("head__device", "abacus", "device was abacus and is"),
        ("head__cpu_count", 500, "cpu_count was 500 and is"),
        ("head__jax__enable_x64", "?", r"jax\.enable_x64 was \? and is False"),
        ("head__data_sha256__train", "0" * 64, r"data_sha256\.train was 0{12}\.\.\."),
    ],
)
def test_what_decides_the_numbers_must_not_change(tmp_path, name, value, message):
    path = begun(tmp_path, 4)
    edit(path, **{name: value})
    before = rows_of(path)
    with pytest.raises(InputError, match=f"(?s){message}.*--allow-changes"):
        trial(resume.stored_options(Config, path))
    assert rows_of(path) == before
    config = replace(resume.stored_options(Config, path), allow_changes=True)
    results = trial(config)
    assert "not bit for bit" in results["notice"]
    epochs = [row["epoch"] for row in results["rows"]]
    assert epochs == sorted([*range(1, LAST + 1)] * 2)
    assert "not bit for bit" in json.loads((path / "config.json").read_text())["notice"]


def test_a_setting_that_is_asked_for_is_named_or_used(tmp_path):
    path = begun(tmp_path, 4)
    config = replace(resume.stored_options(Config, path), rate=1.0)
    with pytest.raises(InputError, match=r"rate was 0\.5 and is 1\.0"):
        trial(config)
    with pytest.raises(KeyboardInterrupt):
        trial(replace(config, allow_changes=True), 5)
    # What has been allowed is what the run has from then on.
    stored = resume.stored_options(Config, path)
    assert (stored.rate, stored.allow_changes) == (1.0, False)
    results = trial(stored)
    sums = [row["sum"] for row in results["rows"][::2]]
    assert sums == [0.5, 1.5, 3, 7, 12, 18]
    assert "rate was 0.5" in results["notice"]


def test_another_test_set_is_never_allowed(tmp_path, monkeypatch, digits):
    path = begun(tmp_path, 4)
    label = (digits.test.label + 1) % 10
    other = digits._replace(test=Batch(digits.test.image, label))
    monkeypatch.setattr(data, "load", lambda *_, **__: other)
    config = replace(resume.stored_options(Config, path), allow_changes=True)
    with pytest.raises(InputError, match="tested on other images"):
        trial(config)


def test_the_data_may_lie_elsewhere(tmp_path, whole):
    path = begun(tmp_path, 4)
    config = replace(resume.stored_options(Config, path), data_dir=tmp_path)
    assert trial(replace(config, checkpoint_seconds=60)) == whole


def test_the_commit_may_be_another(tmp_path):
    # A page that is edited meanwhile, or a run of before commits were kept.
    path = begun(tmp_path, 4)
    edit(path, head__versions__commit="0123456-dirty")
    results = trial(resume.stored_options(Config, path))
    assert [row["epoch"] for row in results["rows"]] == sorted(
        [*range(1, LAST + 1)] * 2
    )
    assert "bit for bit" not in (results["notice"] or "")


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    path = begun(tmp_path, 4)
    other = begun(tmp_path / "other", 4, rate=0.25)
    shutil.copy(other / resume.CHECKPOINT, path / resume.CHECKPOINT)
    with pytest.raises(InputError, match=r"rate was 0\.25 and is 0\.5"):
        trial(resume.stored_options(Config, path))


@pytest.mark.parametrize("content", ["", "[]", '{"status": "complete"}'])
def test_results_that_are_damaged_do_not_end_a_run(tmp_path, whole, content):
    path = begun(tmp_path, 4)
    (path / "results.json").write_text(content)
    assert trial(resume.stored_options(Config, path)) == whole


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rate": "half"}, "config.json is damaged: rate='half'"),
        ({"sizes": 3}, "config.json is damaged: sizes=3"),
        ({"sizes": ["3"]}, r"config.json is damaged: sizes=\['3'\]"),
        ({"head": []}, "is not the folder of a run"),
    ],
)
def test_a_damaged_config_is_named(tmp_path, changes, message):
    path = begun(tmp_path, 4)
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, **changes}))
    with pytest.raises(InputError, match=message):
        resume.stored_options(Config, path)


@pytest.mark.parametrize("line", [b"\xff\x00\n", b"3\n", b"{\n"])
def test_a_damaged_row_is_named(tmp_path, line):
    path = begun(tmp_path, 4)
    file = path / "metrics.jsonl"
    file.write_bytes(line + file.read_bytes())
    with pytest.raises(InputError, match=r"line 1 of .* is damaged"):
        trial(resume.stored_options(Config, path))


def test_a_checkpoint_of_no_run_is_refused(tmp_path):
    path = begun(tmp_path, 4)
    checkpoint.save(path / resume.CHECKPOINT, {"sum": np.float64(1)})
    with pytest.raises(InputError, match="is no checkpoint of a run"):
        trial(resume.stored_options(Config, path))


def test_what_is_no_run_or_another_experiments_is_refused(tmp_path):
    path = begun(tmp_path, 4)
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match="is not the folder of a run"):
            resume.stored_options(Config, place)
        with pytest.raises(InputError, match="is not the folder of a run of trial"):
            trial(Config(resume=place))
    with pytest.raises(InputError, match="is not the folder of a run of other"):
        Run.open("other", resume.stored_options(Config, path))
    for option in ("output", "redraw"):
        with pytest.raises(InputError, match=f"leave out --{option}"):
            trial(Config(resume=path, **{option: tmp_path / "x"}))


def test_rows_that_are_gone_are_missed(tmp_path):
    path = begun(tmp_path, 4)
    folder.keep_rows(path, 3)
    with pytest.raises(InputError, match=r"has 3 rows, but the checkpoint .* after 6"):
        trial(resume.stored_options(Config, path))


def test_a_living_run_is_not_resumed_and_a_dead_ones_lock_is_no_hindrance(tmp_path):
    path = begun(tmp_path, 4)
    assert (path / folder.LOCK).exists()
    run = Run.open("trial", resume.stored_options(Config, path))
    with pytest.raises(InputError, match="still going on"):
        Run.open("trial", resume.stored_options(Config, path))
    run.record(iter(()))
    run.publish({}, title="T", lead=lambda: "L")
    assert len(rows_of(path)) == 6  # and what was lost is cut off


def test_a_read_only_folder_is_refused(tmp_path, monkeypatch):
    path = begun(tmp_path, 4)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    with pytest.raises(InputError, match=f"{path} is read-only"):
        trial(resume.stored_options(Config, path))


def test_a_full_disk_in_mid_save_fails_in_one_line_and_goes_on_later(
    tmp_path, monkeypatch, whole
):
    save = checkpoint.save

    def full(path, state, about):
        if state["epoch"] == 4:
            raise OSError(28, "No space left on device", str(path))
        save(path, state, about)

    path = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", full)
        with pytest.raises(OSError, match="No space left"):
            trial(Config(output=path))
    assert json.loads((path / "results.json").read_text())["status"] == "failed"
    assert trial(resume.stored_options(Config, path)) == whole


def test_experiments_that_cannot_be_resumed_have_no_such_option():
    assert not hasattr(Options(), "resume")
    assert options.Resumable().checkpoint_seconds == 0
