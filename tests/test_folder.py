"""The folder of a run: what is refused, and what is written."""

import csv
import json
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from types import SimpleNamespace

import numpy as np
import pytest

import jaxnets
from experiments.kit import folder
from experiments.kit.folder import RunFolder, check, claim, default_path
from jaxnets.errors import InputError
from jaxnets.types import Dense

NOON = datetime(2026, 1, 2, 12)


def test_a_new_folder_is_checked_without_being_made(tmp_path):
    path = tmp_path / "a" / "b"
    check(path, overwrite=False)
    assert not (tmp_path / "a").exists()
    RunFolder(path, {"seed": 1}, overwrite=False)
    assert json.loads((path / "config.json").read_text()) == {
        "jaxnets": jaxnets.__version__,
        "seed": 1,
    }


def test_an_empty_folder_is_accepted(tmp_path):
    RunFolder(tmp_path, {}, overwrite=False)
    assert os.listdir(tmp_path) == ["config.json"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_is_refused(tmp_path, overwrite):
    path = tmp_path / "out"
    path.write_text("precious")
    for function in (check, lambda *a, **k: RunFolder(*a, {}, **k)):
        with pytest.raises(InputError, match="out is a file; name a folder"):
            function(path, overwrite=overwrite)
    assert path.read_text() == "precious"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_below_a_file_is_refused(tmp_path, overwrite):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(InputError, match="cannot be made"):
        check(tmp_path / "file" / "out", overwrite=overwrite)


def test_an_earlier_run_is_replaced_only_when_asked(tmp_path):
    path = tmp_path / "out"
    RunFolder(path, {"run": 1}, overwrite=False).write_text("old.txt", "old")
    with pytest.raises(InputError, match="not empty; name another or add --overwrite"):
        RunFolder(path, {"run": 2}, overwrite=False)
    assert (path / "old.txt").exists()
    RunFolder(path, {"run": 2}, overwrite=True)
    assert os.listdir(path) == ["config.json"]  # nothing of the earlier run is left


def test_overwrite_leaves_other_peoples_folders_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(InputError, match="not the folder of a run"):
        RunFolder(tmp_path, {}, overwrite=True)
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_a_read_only_place_is_one_clear_error(read_only_disk):
    with pytest.raises(InputError, match=r"cannot be made: .* is read-only"):
        RunFolder(read_only_disk / "out", {}, overwrite=False)


def test_default_path_names_time_and_experiment():
    path = default_path("compare")
    assert path.parts[0] == "runs" and path.name.endswith("-compare")


def test_default_path_is_free(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(folder, "datetime", SimpleNamespace(now=lambda: NOON))
    names = []
    for _ in range(3):
        path = default_path("seeds")
        path.mkdir(parents=True)
        names.append(path.name)
    first = "2026-01-02-120000-seeds"
    assert names == [first, f"{first}-2", f"{first}-3"]


def test_a_claimed_folder_belongs_to_one(tmp_path):
    path = tmp_path / "runs" / "now"
    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(lambda _: claim(path), range(8)))
    names = {"now", *(f"now-{number}" for number in range(2, 9))}
    assert {one.name for one in claimed} == names
    assert set(os.listdir(tmp_path / "runs")) == names


def test_a_claim_below_something_else_ends(tmp_path):
    (tmp_path / "runs").symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        claim(tmp_path / "runs" / "now")


@pytest.mark.parametrize("below", ["", "run"])
def test_a_link_to_nowhere_is_named_with_the_remedy(tmp_path, below):
    link = tmp_path / "link"
    link.symlink_to("nowhere")
    with pytest.raises(InputError) as caught:
        check(link / below, overwrite=False)
    assert str(caught.value) == (
        f"output folder {link / below} cannot be made: {link} is a link to nowhere, "
        "which does not exist; make that folder or name another"
    )
    assert os.listdir(tmp_path) == ["link"]


def test_json_is_strict(tmp_path):
    run = RunFolder(tmp_path, {}, overwrite=False)
    with pytest.raises(ValueError, match="JSON"):
        run.write_json("results.json", {"loss": float("nan")})
    assert not (tmp_path / "results.json").exists()


def test_lines_are_on_disk_when_append_line_returns(tmp_path):
    run = RunFolder(tmp_path, {}, overwrite=False)
    for epoch in (1, 2):
        run.append_line("metrics.jsonl", {"epoch": epoch})
        lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["epoch"] for line in lines] == [*range(1, epoch + 1)]


def test_csv_is_read_back_by_the_standard_reader(tmp_path):
    run = RunFolder(tmp_path, {}, overwrite=False)
    rows = [["a,b", 'say "7"'], ["zwei\nZeilen", "ü"]]
    run.write_csv("table.csv", ["one", "two"], iter(rows))
    with open(tmp_path / "table.csv", encoding="utf-8", newline="") as stream:
        assert list(csv.reader(stream)) == [["one", "two"], *rows]


def test_weights_come_back_bit_for_bit(tmp_path):
    rng = np.random.default_rng(0)
    params = tuple(
        Dense(rng.normal(size=shape).astype(np.float32), np.zeros(shape[1], np.float32))
        for shape in [(4, 3), (3, 2)]
    )
    run = RunFolder(tmp_path, {}, overwrite=False)
    run.write_weights("net", params, dataset="digits")
    with np.load(tmp_path / "weights" / "net.npz") as arrays:
        assert str(arrays["dataset"]) == "digits"
        for number, layer in enumerate(params):
            for name, value in layer._asdict().items():
                found = arrays[f"{name}_{number}"]
                assert found.dtype == np.float32
                np.testing.assert_array_equal(found, value)


def test_a_full_disk_leaves_no_half_of_a_file(small_disk):
    run = RunFolder(small_disk / "out", {}, overwrite=False)
    params = (Dense(np.ones((300, 100), np.float32), np.ones(100, np.float32)),)
    with pytest.raises(OSError):
        run.write_weights("net", params)
    assert os.listdir(small_disk / "out" / "weights") == []
