"""What the experiments share: options, folder, results and endings."""

import csv
import json
import signal
from dataclasses import replace

import numpy as np
import pytest

from experiments.compare import __main__ as compare
from experiments.kit import command as runtime
from experiments.kit import folder, page
from experiments.kit import run as experiment
from jaxnets import models as recipes
from jaxnets.data import tfds
from jaxnets.errors import DatasetUnavailable, InputError, NonFiniteLoss


def prepared(tmp_path, **settings):
    options = experiment.Options(dataset="digits", output=tmp_path / "run", **settings)
    return experiment.prepare("trial", options)


def begun(tmp_path):
    run = prepared(tmp_path)
    run.begin()
    return run


def test_prepare_writes_nothing_and_begin_does(tmp_path):
    run = prepared(tmp_path, examples=100)
    assert not run.output.exists()
    assert len(run.dataset.train.label) == 100
    assert len(run.dataset.test.label) == 360
    run.begin()
    config = json.loads((run.output / "config.json").read_text())
    assert (config["examples"], config["dataset"]) == (100, "digits")


@pytest.mark.parametrize("examples", [0, -1, 1199])
def test_a_wrong_number_of_examples_is_refused(tmp_path, examples):
    with pytest.raises(InputError, match=f"examples={examples} must be between 1 and"):
        prepared(tmp_path, examples=examples)


def test_the_status_says_how_it_ended(tmp_path):
    for error, status in (
        (None, "complete"),
        (KeyboardInterrupt(), "interrupted"),
        (NonFiniteLoss("nan"), "failed"),
    ):
        (tmp_path / status).mkdir()
        run = begun(tmp_path / status)

        def work(error=error):
            if error:
                raise error

        if error:
            with pytest.raises(type(error)):
                run.carry_out(work, run.head)
        else:
            assert run.carry_out(work, run.head)["status"] == status
        results = json.loads((run.output / "results.json").read_text())
        assert results["status"] == status
        assert results["experiment"] == "trial"


def test_results_are_written_last(tmp_path):
    run = begun(tmp_path)

    def finish(status):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        run.carry_out(lambda: None, finish)
    assert not (run.output / "results.json").exists()


def test_ctrl_c_waits_until_the_files_are_written(tmp_path):
    run = begun(tmp_path)

    def finish(status):
        signal.raise_signal(signal.SIGINT)
        run.written.write_text("late.txt", "written")
        return run.head(status)

    with pytest.raises(KeyboardInterrupt):
        run.carry_out(lambda: None, finish)
    assert (run.output / "late.txt").read_text() == "written"
    assert json.loads((run.output / "results.json").read_text())["status"] == "complete"
    with pytest.raises(KeyboardInterrupt):  # and afterwards it is as before
        signal.raise_signal(signal.SIGINT)


def test_nothing_is_raised_when_nobody_interrupts():
    with runtime.uninterrupted():
        pass


def test_the_page_holds_sections_and_facts(tmp_path):
    run = begun(tmp_path)
    picture = page.Picture("dot", "A dot", "black", b"\x89PNG dot")
    table = page.Table("Numbers", "as text", ("a", "b"), [("1", "<2>")])
    head = {**run.head("complete"), "seed": 7}
    run.write_page(head, [table, picture], title="T", lead="L", facts={"floor": "3 s"})
    assert (run.output / "dot.png").read_bytes() == picture.png
    html = (run.output / "report.html").read_text()
    for text in ("&lt;2&gt;", "1,198 / 239 / 360", "floor", "3 s", "seed", "A dot"):
        assert text in html


def test_a_substitute_is_named_in_every_file(monkeypatch, tmp_path):
    # Nothing is replaced but what would fetch MNIST.
    def load(name, folder, data_dir):
        raise DatasetUnavailable(f"{name} could not be downloaded (test)")

    monkeypatch.setattr(tfds, "load", load)
    monkeypatch.delenv(tfds.FOLDER_VARIABLE, raising=False)
    tiny = replace(recipes.SIGMOID_MSE, layer_sizes=(784, 10), num_epochs=1)
    path = tmp_path / "run"
    compare.main(
        compare.Config(
            models=("sigmoid_mse",),
            sigmoid_mse=tiny,
            data_dir=tmp_path / "data",
            output=path,
        )
    )
    for name in ("config.json", "results.json"):
        content = json.loads((path / name).read_text())
        assert content["dataset"] == "digits"
        assert "mnist could not be downloaded (test)" in content["notice"]
    [line] = (path / "metrics.jsonl").read_text().splitlines()
    assert json.loads(line)["dataset"] == "digits"
    with open(path / "predictions.csv", newline="") as stream:
        assert {row["dataset"] for row in csv.DictReader(stream)} == {"digits"}
    with np.load(path / "weights" / "sigmoid_mse.npz") as arrays:
        assert str(arrays["dataset"]) == "digits"
    assert "mnist could not be downloaded" in (path / "report.html").read_text()


def test_two_starts_in_the_same_second_get_a_folder_each(monkeypatch, tmp_path):
    monkeypatch.setattr(folder, "default_path", lambda name: tmp_path / "now")
    options = experiment.Options(dataset="digits")
    runs = [experiment.prepare("trial", options) for _ in range(2)]
    for run in runs:
        run.begin({"of": run.name})
    assert [run.output.name for run in runs] == ["now", "now-2"]
    for run in runs:
        assert run.written.path == run.output
        assert json.loads((run.output / "config.json").read_text())["of"] == "trial"
