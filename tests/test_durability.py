"""`experiments.durability`: runs that are killed at random moments and resumed."""

import importlib.util
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from experiments.compare.__main__ import Config, main, require_whole
from experiments.durability import __main__ as durability
from experiments.durability import ends, kill, page, results
from experiments.kit import folder, resume
from jaxnets import checkpoint, models
from jaxnets.errors import InputError

HAS_KERAS = importlib.util.find_spec("tensorflow") is not None
KERAS_KILLS = 1 if HAS_KERAS else 0  # the start of each takes seconds
QUICK = durability.Config(kills=25, keras_kills=KERAS_KILLS, epochs=24, seed=1)

pytestmark = pytest.mark.skipif(
    not hasattr(kill.os, "fork"), reason="programs are forked, which this system cannot"
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """25 kills, on all four networks, as a user starts it."""
    path = tmp_path_factory.mktemp("durability") / "run"
    returned = durability.main(durability.Config(**{**vars(QUICK), "output": path}))
    rows = folder.read_rows(path)
    return SimpleNamespace(path=path, results=returned, rows=rows)


@pytest.mark.slow
def test_all_kills_are_survived_bit_for_bit(finished):
    content = finished.results
    assert (content["kills"], content["kills_survived"]) == (25, 25)
    assert content["runs_identical"] == content["runs"] >= 1 + HAS_KERAS
    assert content["epochs_lost_most"] <= 1
    assert content["differences"] == [] and content["damaged_checkpoints"] == 0
    assert content["processes_left"] == 0
    assert content["bytes_compared"] > content["runs"] * 30_000
    assert content["networks"]["jax"]["kills"] == 25 - KERAS_KILLS
    assert not (finished.path / "killed").exists()
    assert "25 of 25 kills survived" in content["finding"]
    with Image.open(finished.path / "moments.png") as image:
        assert np.mean(np.asarray(image.convert("L")) < 200) > 0.01


@pytest.mark.slow
def test_kills_fall_on_all_networks_and_their_rows_are_counted(finished):
    # Oracle: metrics.jsonl, read by hand.
    kills = [row for row in finished.rows if row["kind"] == "kill"]
    ends_ = [row for row in finished.rows if row["kind"] == "end"]
    assert len(kills) == 25 == sum(row["kills"] for row in ends_)
    models = {row["model"] for row in kills} - {None}
    assert len(models) >= 2
    assert sum(finished.results["moments"].values()) == 25
    epochs = {"jax": 3 * QUICK.epochs, "keras": QUICK.epochs}
    assert all(row["epochs"] == epochs[row["networks"]] for row in ends_)
    assert len({row["moment"] for row in kills}) >= 2


# ---- one run, broken off, and what a command line says of it


def compare(*arguments):
    command = [sys.executable, "-m", "experiments.compare", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """A run as a kill after its second epoch leaves it, and the same run whole."""
    path = tmp_path_factory.mktemp("compare") / "run"
    ended = compare(
        *("--dataset", "digits", "--models", "sigmoid_mse", "--epochs", 3, "--output"),
        *(path, "--sigmoid-mse.layer-sizes", 784, 10),
    )
    assert ended.returncode == 0, ended.stderr
    whole = path.with_name("whole")
    shutil.copytree(path, whole)
    # As a kill after the second epoch leaves it.
    kept = checkpoint.previous(path / resume.CHECKPOINT)
    kept.replace(path / resume.CHECKPOINT)
    for name in ("results.json", "report.html", "predictions.csv"):
        (path / name).unlink()
    return SimpleNamespace(path=path, whole=whole)


def test_a_command_line_resumes_names_changes_and_says_when_all_is_over(broken):
    refused = compare("--resume", broken.path, "--epochs", 4, "--seed", 3)
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert "epochs was 3 and is 4" in line and "seed" not in line
    resumed = compare("--resume", broken.path)
    assert resumed.returncode == 0, resumed.stderr
    assert "after model sigmoid_mse, epoch 2" in resumed.stdout
    compared = ends.compared(broken.whole, broken.path)
    assert (compared.epochs, compared.differences) == (3, [])
    again = compare("--resume", broken.path)
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout == (
        f"The run in {broken.path} is finished; there is nothing to resume.\n"
    )


def test_a_checkpoint_of_another_network_is_refused_and_nothing_is_lost(
    broken, tmp_path
):
    path = tmp_path / "run"
    shutil.copytree(broken.whole, path)
    (path / "results.json").unlink()
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    stored = resume.stored_options(Config, path, "compare")
    recipe = replace(stored.sigmoid_mse, layer_sizes=(784, 20, 10))
    with pytest.raises(InputError, match="is of another state"):
        main(replace(stored, sigmoid_mse=recipe, allow_changes=True))
    after = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    assert after == before


@pytest.mark.parametrize("count", [3, 1])
def test_a_finished_model_needs_its_answers_and_its_epochs(tmp_path, digits, count):
    run = SimpleNamespace(path=tmp_path, data=digits, position={"model": "row_rnn"})
    run.rows = [{"model": "sigmoid_mse"}] * count
    recipe = replace(models.get("sigmoid_mse").recipe, num_epochs=3)
    if count != 3:
        columns = ("index,label,sigmoid_mse,sigmoid_mse_probability", "0,1,1,0.5")
        (tmp_path / "predictions.csv").write_text("\n".join(columns))
    with pytest.raises(InputError, match=f"has {count} of 3 epochs of sigmoid_mse"):
        require_whole(run, {"sigmoid_mse": recipe})
    with pytest.raises(InputError, match="epochs of sigmoid_mse; keep it among"):
        require_whole(run, {"row_rnn": recipe})
    (tmp_path / "predictions.csv").write_bytes(b"index,\xff\n")
    with pytest.raises(InputError, match=r"predictions\.csv is damaged"):
        require_whole(run, {"sigmoid_mse": recipe})


# ---- the judgement


@pytest.mark.parametrize(
    "spoil", ["predictions.csv", "metrics.jsonl", "weights", resume.CHECKPOINT]
)
def test_the_smallest_difference_is_seen(broken, tmp_path, spoil):
    path = tmp_path / "run"
    shutil.copytree(broken.whole, path)
    assert ends.compared(broken.whole, path).differences == []
    if spoil == "predictions.csv":
        text = (path / spoil).read_text()
        (path / spoil).write_text(text.replace(",digits\n", ",digit\n", 1))
    elif spoil == "metrics.jsonl":
        row = json.loads((path / spoil).read_text().splitlines()[-1])
        folder.keep_rows(path, 2)
        row["train_loss"] = np.nextafter(row["train_loss"], 9)
        folder.append_row(path, row)
    elif spoil == "weights":
        file = path / "weights" / "sigmoid_mse.npz"
        with np.load(file) as stored:
            arrays = dict(stored)
        arrays["bias_0"][3] = np.nextafter(arrays["bias_0"][3], np.float32(9))
        np.savez(file, **arrays)
    else:
        kept = checkpoint.load(path / spoil)
        (name, array), *_ = (
            (n, a) for n, a in kept.arrays.items() if a.dtype == np.uint32
        )
        assert name and array.size  # the key's data
        spoilt = {**kept.arrays, name: array ^ 1}
        about = np.frombuffer(json.dumps(kept.about).encode(), np.uint8)
        _write(path / spoil, {"about": about, **spoilt})
    assert len(ends.compared(broken.whole, path).differences) == 1


def _write(file, arrays):
    """The arrays as a checkpoint, by its format alone."""
    np.savez(file, **arrays)
    body = file.read_bytes()[:-2] + (64).to_bytes(2, "little")
    file.write_bytes(body + checkpoint._digest(body))


def test_what_a_kill_leaves_is_told_apart(broken, tmp_path):
    path = tmp_path / "run"
    shutil.copytree(broken.whole, path)
    assert ends.left_behind(path, has_saved=True) == ("end", "sigmoid_mse", 3, 0, True)
    folder.keep_rows(path, 2)
    checkpoint.previous(path / resume.CHECKPOINT).replace(path / resume.CHECKPOINT)
    assert ends.left_behind(path, has_saved=True).moment == "epoch"
    assert ends.left_behind(path, has_saved=False).moment == "start"
    (path / ".results.json.x").touch()
    assert ends.left_behind(path, has_saved=True).moment == "write"
    (path / f".{resume.CHECKPOINT}.x").touch()
    assert ends.left_behind(path, has_saved=True).moment == "save"
    (path / resume.CHECKPOINT).unlink()
    assert ends.left_behind(path, has_saved=True)[2:] == (2, 2, True)


def test_a_difference_costs_its_run_all_kills():
    # Oracle: by hand.
    def kill_(lost, survivors, is_newest=True):
        row = {"kind": "kill", "networks": "jax", "moment": "save", "lost": lost}
        return {**row, "survivors": survivors, "is_newest": is_newest}

    end = {"kind": "end", "networks": "jax", "epochs": 30, "bytes": 1000}
    rows = [
        *(kill_(1, 0), kill_(0, 0), {**end, "kills": 2, "differences": []}),
        *(kill_(2, 1, False), {**end, "kills": 1, "differences": ["metrics.jsonl 3"]}),
    ]
    content = results.results(rows)
    assert content.pop("networks") == {"jax": content}
    assert content == {
        "kills": 3,
        "kills_survived": 2,
        "runs": 2,
        "runs_identical": 1,
        "differences": ["metrics.jsonl 3"],
        "epochs_lost_most": 2,
        "epochs_lost": 3,
        "epochs_kept": 60,
        "damaged_checkpoints": 1,
        "processes_left": 1,
        "bytes_compared": 2000,
        "moments": {"start": 0, "epoch": 0, "save": 3, "write": 0, "end": 0},
    }
    assert "2 of 3 kills survived" in page.lead(content)


@pytest.mark.parametrize(
    "settings", [{"kills": 0}, {"kills": 5, "keras_kills": 6}, {"epochs": 0}]
)
def test_settings_that_make_no_sense_are_refused(settings, tmp_path):
    with pytest.raises(InputError, match=next(reversed(settings))):
        durability.main(durability.Config(output=tmp_path / "run", **settings))
    assert not (tmp_path / "run").exists()
