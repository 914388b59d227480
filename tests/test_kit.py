"""What the experiments share: options, folder, run, page, progress, command line."""

import csv
import dataclasses
import errno
import gc
import io
import json
import logging
import math
import os
import re
import signal
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple
from unittest.mock import Mock

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import processes
import pytest
import tyro
from rich.console import Console

import jaxnets
from experiments.kit import folder, numbers, page, progress
from experiments.kit.command import PartFailed, Stopped, run_command
from experiments.kit.figures import new_figure
from experiments.kit.options import DataOptions, Options, from_json
from experiments.kit.page import Picture, Table
from experiments.kit.run import Run
from jaxnets import weights
from jaxnets.data import tfds
from jaxnets.errors import (
    DatasetUnavailable,
    InputError,
    NonFiniteLoss,
    ProcessFailed,
)
from jaxnets.types import Dense, Recipe

ROOT = Path(__file__).parents[1]


# ---- options


@dataclass(frozen=True, kw_only=True)
class Own(Options):
    """Paths that only one experiment has."""

    more: Path | None = None
    other: Path = Path("x")


@pytest.mark.parametrize("field", ["mnist_dir", "data_dir", "output", "redraw"])
def test_paths_are_absolute_whatever_the_door(field, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    option = field.replace("_", "-")
    for given, expected in (("~/x", tmp_path / "home" / "x"), ("x", tmp_path / "x")):
        typed = tyro.cli(Options, args=[f"--{option}={given}"])
        for options in (typed, Options(**{field: given})):
            assert getattr(options, field) == expected
    assert DataOptions(data_dir="~/x").data_dir == tmp_path / "home" / "x"
    assert Own(more="~/x", other="x").more == tmp_path / "home" / "x"
    assert Own(other="x").other == tmp_path / "x"


RECIPE = Recipe(
    layer_sizes=(4, 3), optimizer="sgd", learning_rate=0.5, batch_size=2, num_epochs=1
)


@dataclass(frozen=True, kw_only=True)
class Nested(Options):
    sizes: tuple[int, ...] = (1, 2)
    rate: float | None = None
    recipe: Recipe = RECIPE


def test_a_config_comes_back_from_json():
    recipe = replace(RECIPE, layer_sizes=(4, 5, 3))
    config = Nested(output="/tmp/x", sizes=(7,), rate=1.5, examples=3, recipe=recipe)
    stored = json.loads(json.dumps(dataclasses.asdict(config), default=str))
    assert from_json(Nested, {**stored, "of another version": 1}) == config
    del stored["sizes"]  # a field that an earlier version did not have
    assert from_json(Nested, stored) == replace(config, sizes=(1, 2))


def test_numbers_as_json_takes_them():
    assert numbers.finites([1.5, math.nan, -math.inf]) == [1.5, None, None]
    assert numbers.finite(None) is None
    assert numbers.text(0.125, ".1%") == "12.5%"
    assert numbers.text(None, ".1%") == "-"


# ---- folder


def make(path, overwrite=False, **config):
    """A folder whose owner has ended."""
    folder.make(path, config, overwrite=overwrite).release()


def files(path):
    return {name for name in os.listdir(path) if name != folder.LOCK}


def test_a_new_folder_is_checked_without_being_made(tmp_path):
    path = tmp_path / "a" / "b"
    folder.require_free(path, overwrite=False)
    assert not (tmp_path / "a").exists()
    make(path, seed=1)
    expected = {"jaxnets": jaxnets.__version__, "seed": 1}
    assert json.loads((path / "config.json").read_text()) == expected


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    ("below", "message"),
    [("", "is a file; name a folder"), ("run", "cannot be made: .* is a file")],
)
def test_a_file_is_refused(tmp_path, below, message, overwrite):
    file = tmp_path / "file"
    file.write_text("precious")
    with pytest.raises(InputError, match=message):
        folder.require_free(file / below, overwrite=overwrite)
    assert file.read_text() == "precious"


def test_an_earlier_run_is_replaced_only_when_asked(tmp_path):
    path = tmp_path / "out"
    make(path)
    (path / "weights").mkdir()
    (path / "weights" / "old.npz").write_text("old")
    with pytest.raises(InputError, match="not empty; name another or add --overwrite"):
        make(path)
    assert (path / "weights" / "old.npz").exists()
    make(path, overwrite=True)
    assert files(path) == {"config.json"}  # nothing of the earlier run is left


@pytest.mark.parametrize("content", [None, "{}", '{"name": "thesis"}', "[]", "no JSON"])
def test_overwrite_leaves_other_peoples_folders_alone(tmp_path, content):
    (tmp_path / "thesis.tex").write_text("precious")
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    before = files(tmp_path)
    with pytest.raises(InputError, match="not the folder of a run"):
        make(tmp_path, overwrite=True)
    assert files(tmp_path) == before


def test_a_start_that_fails_leaves_a_folder_that_can_be_used(tmp_path, monkeypatch):
    path = tmp_path / "run"
    with monkeypatch.context() as patch, pytest.raises(OSError, match="full"):
        patch.setattr(folder, "write_json", Mock(side_effect=OSError("full")))
        make(path)
    assert files(path) == set()
    make(path)
    assert files(path) == {"config.json"}


def test_an_empty_folder_may_be_used_through_a_link(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    make(tmp_path / "link")
    assert (tmp_path / "folder" / "config.json").is_file()


@pytest.mark.parametrize("below", ["", "run"])
def test_a_link_to_nowhere_is_named_with_the_remedy(tmp_path, below):
    link = tmp_path / "link"
    link.symlink_to("nowhere")
    with pytest.raises(InputError, match=r"link to nowhere.* make that folder or name"):
        folder.require_free(link / below, overwrite=False)
    assert os.listdir(tmp_path) == ["link"]


def test_a_read_only_place_is_refused(read_only_disk):
    with pytest.raises(InputError, match=r"cannot be made: .* is read-only"):
        make(read_only_disk / "out")


def test_default_path_is_free(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    noon = datetime(2026, 1, 2, 12)
    monkeypatch.setattr(folder, "datetime", SimpleNamespace(now=lambda: noon))
    paths = []
    for _ in range(3):
        paths.append(folder.default_path("seeds"))
        paths[-1].mkdir(parents=True)
    first = tmp_path / "runs" / "2026-01-02-120000-seeds"
    assert paths == [first, Path(f"{first}-2"), Path(f"{first}-3")]


def test_a_claimed_folder_belongs_to_one(tmp_path):
    path = tmp_path / "runs" / "now"
    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(lambda _: folder.claim(path), range(8)))
    names = {"now", *(f"now-{number}" for number in range(2, 9))}
    assert {claim.name for claim in claimed} == names == files(tmp_path / "runs")
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(FileExistsError):  # and the search for a free name ends
        folder.claim(tmp_path / "link" / "now")


LIVING = """
import sys
from experiments.kit import folder
lock = folder.make(folder.Path(sys.argv[1]), {}, overwrite=False)
print("made", flush=True)
sys.stdin.read()
"""


def test_the_folder_of_a_living_run_is_refused_and_that_of_a_dead_one_is_not(tmp_path):
    path = tmp_path / "run"
    process = processes.start("-c", LIVING, path, stdin=True)
    assert process.stdout.readline() == "made\n"
    for function in (folder.require_free, partial(folder.make, config={})):
        with pytest.raises(InputError, match=f"{path} belongs to a run that is still"):
            function(path, overwrite=True)
    processes.stop(process)  # as for lack of memory: it cannot clean up
    make(path, overwrite=True)


def test_files_are_complete_or_not_there(tmp_path):
    def rows():
        yield [1]
        raise RuntimeError("the rows end early")

    with pytest.raises(RuntimeError):
        folder.write_csv(tmp_path / "predictions.csv", ["index"], rows())
    with pytest.raises(ValueError, match="JSON"):
        folder.write_json(tmp_path / "results.json", {"loss": math.nan})
    assert os.listdir(tmp_path) == []
    folder.write_json(tmp_path / "results.json", {"loss": 0.5})
    with pytest.raises(ValueError, match="JSON"):
        folder.write_json(tmp_path / "results.json", {"loss": math.inf})
    assert json.loads((tmp_path / "results.json").read_text()) == {"loss": 0.5}


def test_csv_is_read_back_by_the_standard_reader(tmp_path):
    rows = [["a,b", 'say "7"'], ["zwei\nZeilen", "ü"]]
    folder.write_csv(tmp_path / "table.csv", ["one", "two"], iter(rows))
    with open(tmp_path / "table.csv", encoding="utf-8", newline="") as stream:
        assert list(csv.reader(stream)) == [["one", "two"], *rows]


class Tree(NamedTuple):
    gate: dict[str, np.ndarray]
    scale: np.ndarray


def normal(*shape):
    rng = np.random.default_rng(math.prod(shape))
    return rng.normal(size=shape).astype(np.float32)


PYTREES = {
    "dense": (Dense(normal(4, 3), normal(3)), Dense(normal(3, 2), normal(2))),
    "a dictionary": {"attention": {"query": normal(2, 2), "key": normal(2, 1)}},
    "named": Tree({"input": normal(3), "forget": normal(3)}, np.float32(2)),
    "a list": [normal(2), [normal(1), normal(3)]],
    "a leaf": normal(5),
}


@pytest.mark.parametrize("name", PYTREES)
def test_weights_of_any_pytree_come_back_bit_for_bit(tmp_path, name):
    params = PYTREES[name]
    file = tmp_path / "weights" / "net.npz"
    file.parent.mkdir()
    weights.write(file, params, dataset="digits")
    shapes = jax.eval_shape(lambda: jax.tree.map(jnp.asarray, params))
    for like in (params, shapes):
        read = weights.read(file, like)
        assert jax.tree.structure(read) == jax.tree.structure(params)
        jax.tree.map(np.testing.assert_array_equal, read, params)
    with np.load(file) as arrays:
        assert str(arrays["dataset"]) == "digits"
    wider = jax.tree.map(lambda leaf: np.zeros((9, *leaf.shape)), params)
    for other in (wider, {"another": normal(2)}):
        with pytest.raises(InputError, match=r"net\.npz has no"):
            weights.read(file, other)


def test_the_names_of_dense_weights_are_the_published_ones(tmp_path):
    weights.write(tmp_path / "net.npz", PYTREES["dense"])
    with np.load(tmp_path / "net.npz") as arrays:
        assert set(arrays) == {"kernel_0", "bias_0", "kernel_1", "bias_1"}


# ---- run


TABLE = Table("Numbers", "as <text>", ("a", "b"), [("1", "<2>")])


def draw_dot():
    figure, [[axes]] = new_figure()
    axes.plot([1], [1], "o")
    return figure


def fail_to_draw():
    raise ZeroDivisionError("no dot")


DOT = Picture("dot", "A dot", "black", draw_dot)
BROKEN = Picture("broken", "None", "nothing", fail_to_draw)


def options(tmp_path, **settings):
    return Options(**{"dataset": "digits", "output": tmp_path / "run", **settings})


def three_rows(error=None):
    """Two rows, and what ends them early or a third one."""
    yield {"number": 1}
    yield {"number": 2}
    if error:
        raise error
    yield {"number": 3}


def trial(config, rows, sections=(TABLE, DOT)):
    """An experiment whose result is the sum of its rows."""
    run = Run.open("trial", config)
    run.record(rows)
    total = sum(row["number"] for row in run.rows)
    return run.publish(
        {"total": total}, title="T", lead=lambda: "L", sections=lambda: sections
    )


def results_of(path):
    return json.loads((path / "results.json").read_text())


def test_nothing_is_written_before_the_first_row_and_each_row_at_once(tmp_path):
    run = Run.open("trial", options(tmp_path, examples=100))
    assert not run.path.exists()
    assert len(run.data.train.label) == 100
    assert len(run.data.test.label) == 360

    def rows():
        config = json.loads((run.path / "config.json").read_text())
        assert (config["examples"], config["dataset"]) == (100, "digits")
        for number in (1, 2):
            yield {"number": number}
            lines = (run.path / "metrics.jsonl").read_text().splitlines()
            assert json.loads(lines[-1]) == {"number": number}

    run.record(rows())
    results = run.publish({"total": 3}, title="T", lead=lambda: "L")
    assert results == results_of(run.path)
    assert results["status"] == "complete"
    counts = [results[f"{part}_examples"] for part in ("train", "validation", "test")]
    assert counts == [100, 239, 360]
    assert results["versions"]["python"] == sys.version.split()[0]
    if (ROOT / ".git").exists():
        git = ["git", "rev-parse", "HEAD"]
        head = subprocess.run(git, cwd=ROOT, check=True, capture_output=True, text=True)
        assert head.stdout.startswith(results["versions"]["commit"].partition("-")[0])
    assert files(run.path) == {"config.json", "metrics.jsonl", "results.json"}


@pytest.mark.parametrize("examples", [0, -1, 1199])
def test_a_wrong_number_of_examples_is_refused(tmp_path, examples):
    with pytest.raises(InputError, match=f"examples={examples} must be between 1 and"):
        Run.open("trial", options(tmp_path, examples=examples))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (KeyboardInterrupt(), "interrupted"),
        (Stopped(signal.SIGTERM), "interrupted"),
        (Stopped(signal.SIGHUP), "interrupted"),
        (NonFiniteLoss("nan"), "failed"),
        (ZeroDivisionError("a defect"), "failed"),
    ],
    ids=repr,
)
def test_whatever_ends_the_rows_what_was_reached_is_published(tmp_path, error, status):
    with pytest.raises(type(error)) as caught:
        trial(options(tmp_path), three_rows(error))
    assert caught.value is error
    path = tmp_path / "run"
    assert (results_of(path)["status"], results_of(path)["total"]) == (status, 3)
    assert (path / "report.html").is_file() and (path / "dot.png").is_file()
    # Only what nobody expected leaves a traceback, and says where.
    file = path / "traceback.txt"
    assert file.exists() == isinstance(error, ZeroDivisionError)
    if file.exists():
        assert "raise error\nZeroDivisionError: a defect" in file.read_text()
        assert any(str(file) in note for note in error.__notes__)


def test_a_full_disk_is_said_once_and_not_drawing_by_drawing(tmp_path):
    def full():
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        trial(options(tmp_path), three_rows(), [DOT._replace(figure=full), DOT])
    assert results_of(tmp_path / "run")["total"] == 6
    assert not list((tmp_path / "run").glob("*traceback*"))


def test_a_signal_after_the_last_row_waits_until_all_is_written(tmp_path):
    run = Run.open("trial", options(tmp_path))
    run.record(three_rows())
    signal.raise_signal(signal.SIGINT)  # while results are computed

    def sections():
        signal.raise_signal(signal.SIGINT)
        yield TABLE

    with pytest.raises(KeyboardInterrupt):
        run.publish({}, title="T", lead=lambda: "L", sections=sections)
    assert results_of(run.path)["status"] == "complete"
    assert "Numbers" in (run.path / "report.html").read_text()
    with pytest.raises(KeyboardInterrupt):  # and afterwards it is as before
        signal.raise_signal(signal.SIGINT)


def test_a_second_signal_does_not_cut_the_first_ones_end_short(tmp_path, monkeypatch):
    def rows():
        try:
            yield {"number": 1}
        finally:  # as where weights are written
            signal.raise_signal(signal.SIGINT)
            folder.write_text(run.path / "last.txt", "written")

    run = Run.open("trial", options(tmp_path))
    with monkeypatch.context() as patch:
        stop = lambda *row: signal.raise_signal(signal.SIGINT)  # noqa: E731
        patch.setattr(folder, "append_row", stop)
        run.record(rows())
    with pytest.raises(KeyboardInterrupt):
        run.publish({}, title="T", lead=lambda: "L")
    assert (run.path / "last.txt").read_text() == "written"
    assert results_of(run.path)["status"] == "interrupted"


def test_a_figure_that_fails_costs_itself_only(tmp_path, capsys):
    with pytest.raises(PartFailed, match=r"broken\.png .*ZeroDivisionError: no dot"):
        trial(options(tmp_path), three_rows(), (TABLE, BROKEN, DOT))
    path = tmp_path / "run"
    assert results_of(path) | {"status": "complete", "total": 6} == results_of(path)
    assert not (path / "broken.png").exists()
    assert (path / "report.html").read_text().count("<img ") == 1
    assert "ZeroDivisionError" in (path / "broken.png.traceback.txt").read_text()
    assert "Numbers" in capsys.readouterr().out


def test_a_finding_and_sections_that_cannot_be_made_cost_no_results(tmp_path):
    run = Run.open("trial", options(tmp_path / "other"))
    run.record(three_rows())
    with pytest.raises(PartFailed, match=r"(?s)report\.html .*finding "):
        run.publish({"total": 6}, title="T", lead=lambda: 1 / 0, sections=lambda: 1 / 0)
    assert results_of(run.path)["total"] == 6


def test_sections_that_cannot_be_made_cost_no_results(tmp_path):
    def sections():
        yield TABLE
        raise ImportError("no module that draws")

    with pytest.raises(PartFailed, match="no module that draws"):
        trial(options(tmp_path), three_rows(), sections())
    assert results_of(tmp_path / "run")["total"] == 6
    assert "Numbers" in (tmp_path / "run" / "report.html").read_text()


def test_what_ended_the_rows_counts_more_than_a_failed_figure(tmp_path, capsys):
    with pytest.raises(KeyboardInterrupt):
        trial(options(tmp_path), three_rows(KeyboardInterrupt()), (BROKEN,))
    assert "broken.png could not be made" in capsys.readouterr().out


def test_the_folder_of_a_run_is_its_own(tmp_path):
    def rows():
        for overwrite in (False, True):
            with pytest.raises(InputError):
                Run.open("trial", options(tmp_path, overwrite=overwrite))
        with pytest.raises(InputError, match="still going on"):
            later.record(three_rows())
        with pytest.raises(InputError, match="still going on"):
            Run.open("trial", options(tmp_path, redraw=tmp_path / "run"))
        yield {"number": 1}

    later = Run.open("trial", options(tmp_path, overwrite=True))  # nobody is there yet
    assert trial(options(tmp_path), rows())["total"] == 1
    assert trial(options(tmp_path, overwrite=True), three_rows())["total"] == 6


def test_two_starts_in_the_same_second_get_a_folder_each(monkeypatch, tmp_path):
    monkeypatch.setattr(folder, "default_path", lambda name: tmp_path / "now")
    runs = [Run.open("trial", Options(dataset="digits")) for _ in range(2)]
    for run in runs:
        run.record(three_rows())
        run.publish({}, title="T", lead=lambda: "L")
    assert [run.path.name for run in runs] == ["now", "now-2"]
    assert all(results_of(run.path)["status"] == "complete" for run in runs)


def test_a_finished_run_is_redrawn_without_being_run(tmp_path, capsys):
    first = trial(options(tmp_path), three_rows())
    path = tmp_path / "run"
    before = {name: (path / name).read_bytes() for name in files(path)}
    capsys.readouterr()
    (path / "dot.png").unlink()
    not_started = three_rows(AssertionError("redrawing started the rows"))
    assert trial(Options(redraw=path), not_started) == first
    assert {name: (path / name).read_bytes() for name in files(path)} == before
    assert "Numbers" in capsys.readouterr().out


def test_a_run_that_was_broken_off_is_redrawn_up_to_there(tmp_path):
    path = tmp_path / "run"
    trial(options(tmp_path), three_rows())
    for name in ("results.json", "report.html", "dot.png"):
        (path / name).unlink()  # as after kill -9
    lines = (path / "metrics.jsonl").read_text()
    (path / "metrics.jsonl").write_text(lines[:-5])  # in the middle of the last row
    redrawn = trial(Options(redraw=path), three_rows())
    assert (redrawn["status"], redrawn["total"]) == ("interrupted", 3)
    assert (path / "dot.png").is_file()
    assert trial(Options(redraw=path), three_rows()) == redrawn == results_of(path)
    (path / "metrics.jsonl").write_text("damaged\n" + lines)
    with pytest.raises(
        InputError, match=r"line 1 of .*metrics\.jsonl is damaged"
    ) as caught:
        trial(Options(redraw=path), three_rows())
    # Mended, it is drawn although the error, as a debugger keeps it, is still there.
    (path / "metrics.jsonl").write_text(lines)
    assert trial(Options(redraw=path), three_rows())["total"] == 6
    assert caught.tb is not None


def test_only_runs_of_the_same_experiment_are_redrawn(tmp_path):
    trial(options(tmp_path), three_rows())
    for name, path in (("other", tmp_path / "run"), ("trial", tmp_path)):
        with pytest.raises(InputError, match=f"{path} is not the folder of a run of"):
            Run.open(name, Options(redraw=path))


def test_a_substitute_dataset_is_named_and_stays_so(tmp_path, monkeypatch, capsys):
    # Nothing is replaced but what would fetch MNIST.
    def load(name, folder, data_dir):
        raise DatasetUnavailable(f"{name} could not be downloaded (<test>)")

    monkeypatch.setattr(tfds, "load", load)
    monkeypatch.delenv(tfds.FOLDER_VARIABLE, raising=False)
    path = tmp_path / "run"
    for config in (
        options(tmp_path, dataset=None, data_dir=tmp_path / "data"),
        Options(redraw=path),
    ):
        results = trial(config, three_rows())
        assert results["dataset"] == "digits"
        assert "mnist could not be downloaded (<test>)" in results["notice"]
        assert (
            "could not be downloaded (&lt;test&gt;)"
            in (path / "report.html").read_text()
        )
        assert "NOTICE: " in capsys.readouterr().out
    assert "downloaded" in json.loads((path / "config.json").read_text())["notice"]


def test_digits_need_no_home_folder(monkeypatch, tmp_path):
    def no_home(self):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", no_home)
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    run = Run.open("trial", Options(dataset="digits"))
    assert run.data.name == "digits"


# ---- page


def test_the_page_stands_alone_with_sections_and_facts(tmp_path):
    trial(options(tmp_path), three_rows(), [TABLE, DOT])
    html = (tmp_path / "run" / "report.html").read_text()
    for text in ("as &lt;text&gt;", ">&lt;2&gt;</td>", "1,198 / 239 / 360", "A dot"):
        assert text in html
    assert not re.search(r"https?://|src=\"(?!data:)|<link|<script", html)
    assert (tmp_path / "run" / "dot.png").read_bytes().startswith(b"\x89PNG")


def test_the_page_escapes_what_it_is_given_and_marks_wrong_answers():
    evil = '<script>alert("x")</script>&'
    html = page.render(
        "page.html",
        title=evil,
        lead=evil,
        notice=evil,
        facts={evil: evil},
        sections=[
            Table(evil, evil, (evil,), [(evil,), ("3 WRONG",), ("3 right",)]),
            page.Drawn(evil, evil, evil, b"png"),
        ],
        links=(),
    )
    assert "<script" not in html
    assert html.count("&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;&amp;") >= 11
    assert 'src="data:image/png;base64,cG5n"' in html  # by RFC 4648
    assert '<td class="text wrong">3 WRONG</td>' in html


def test_drawing_leaves_the_users_figures_alone():
    mine = plt.figure()
    try:
        page.draw(DOT, "digits")
        assert plt.get_fignums() == [mine.number]
        assert plt.gcf() is mine
    finally:
        plt.close(mine)


# ---- progress


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_live_on_a_terminal_and_plain_elsewhere(monkeypatch, terminal):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=100, highlight=False)
    monkeypatch.setattr(progress, "console", lambda: console)
    monkeypatch.setattr(progress, "is_terminal", lambda: terminal)
    with progress.Progress({"first": 2, "second": 1}) as shown:
        for task in ("first", "first", "second"):
            shown.advance(task, text=f"{task} is going on")
        shown.print("a line")
    written = screen.getvalue()
    assert ("\x1b[" in written) == terminal  # cursor movements
    assert ("2/2" in written) == terminal
    assert "a line" in written and "second is going on" in written
    assert terminal or written.count("first is going on") == 2


# ---- command line


@dataclass(frozen=True, kw_only=True)
class Greeting:
    """Whom to greet."""

    name: str = "you"


@pytest.fixture
def running(monkeypatch, capsys):
    """`run_command` in this process: `running(main)` gives exit code and screen."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    root = logging.getLogger()
    handlers = list(root.handlers)

    def run(main, *arguments):
        monkeypatch.setattr(sys, "argv", ["program", *arguments])
        with warnings.catch_warnings(), pytest.raises(SystemExit) as caught:
            run_command(main, Greeting)
        screen = capsys.readouterr()
        return caught.value.code, screen.out, screen.err

    monkeypatch.setenv("MPLBACKEND", "agg")  # which it sets, to be put back
    yield run
    gc.unfreeze()
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)
    root.handlers = handlers


def raising(error):
    def main(config):
        raise error

    return main


def test_a_program_that_ends_well(running):
    def main(config):
        print("hello", config.name)

    assert running(main, "--name", "world") == (0, "hello world\n", "")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (InputError("size 0"), "size 0"),
        (NonFiniteLoss("the loss is nan"), "the loss is nan"),
        (OSError(28, "No space", "file"), "No space: file"),
        (PartFailed("dot.png"), "dot.png"),
        (MemoryError("no room"), "no room. Try smaller layers or batches."),
        (
            jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory\nmore"),
            "RESOURCE_EXHAUSTED: Out of memory. Try smaller layers or batches.",
        ),
    ],
    ids=repr,
)
def test_an_error_that_users_can_mend_is_one_line(running, error, message):
    assert running(raising(error)) == (1, "", f"error: {message}\n")


def transfer_by_accident(config):
    with jax.transfer_guard("disallow"):
        jnp.arange(3) + np.ones(3, np.int32)


@pytest.mark.parametrize(
    "main",
    [
        raising(jax.errors.JaxRuntimeError("INTERNAL: no kernel")),
        raising(ProcessFailed("it ended\nwith these words")),
        transfer_by_accident,
        lambda config: jax.jit(lambda x: x @ jnp.ones(4))(jnp.ones(3)),
    ],
    ids=["of JAX", "of a process", "a guard's", "in a compiled function"],
)
def test_an_error_that_nobody_expected_keeps_its_traceback(running, main):
    code, _, complaint = running(main)
    assert code == 1
    assert "Traceback" in complaint
    assert "smaller" not in complaint
    last = complaint.splitlines()[-1]
    assert re.match(r"error: \w+(Error|Failed): .", last)


def test_a_traceback_that_lies_in_a_file_is_named_in_the_line(running, tmp_path):
    error = jax.errors.JaxRuntimeError("INTERNAL: no kernel")
    code, _, complaint = running(
        lambda config: trial(options(tmp_path), three_rows(error))
    )
    [line] = complaint.splitlines()
    assert (code, line) == (
        1,
        "error: JaxRuntimeError: INTERNAL: no kernel The traceback is in "
        f"{tmp_path / 'run' / 'traceback.txt'}.",
    )


@pytest.mark.parametrize(
    ("number", "code", "message"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "stopped by SIGTERM"),
        (signal.SIGHUP, 129, "stopped by SIGHUP"),
    ],
)
def test_signals_have_the_shells_exit_codes(running, number, code, message):
    main = lambda config: signal.raise_signal(number)  # noqa: E731
    assert running(main) == (code, "", f"error: {message}\n")


def test_a_signal_that_the_program_was_started_to_ignore_stays_so(running):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as by nohup
    main = lambda config: signal.raise_signal(signal.SIGHUP)  # noqa: E731
    assert running(main)[0] == 0


def test_a_program_stops_with_what_launched_it():
    program = """
import time
from dataclasses import dataclass
from experiments.kit.command import run_command

@dataclass
class Config:
    pass

def main(config):
    print("here", flush=True)
    time.sleep(60)

run_command(main, Config)
"""
    launched = {"JAXNETS_LAUNCHED": "1"}
    process = processes.start("-c", program, stdin=True, cwd=ROOT, **launched)
    assert process.stdout.readline() == "here\n"
    _, complaint = process.communicate()  # closes its standard input
    assert (process.returncode, complaint) == (143, "error: stopped by SIGTERM\n")


def test_what_a_stream_cannot_encode_is_escaped(running, monkeypatch):
    screen = io.TextIOWrapper(io.BytesIO(), "cp1252")
    monkeypatch.setattr(sys, "stdout", screen)
    main = lambda config: progress.console().print("läuft ✓")  # noqa: E731
    assert running(main)[0] == 0
    assert "läuft \\u2713" in screen.buffer.getvalue().decode("cp1252")


CACHE = """
import os, sys
from dataclasses import dataclass
from pathlib import Path
import jax, jax.numpy as jnp
from experiments.kit.command import cache_folder, run_command
from jaxnets import devices

@dataclass
class Config:
    pass

def start():
    jax.clear_caches()  # as in a new process
    x = jnp.ones((8, 8))
    with devices.cache_use() as use:
        jax.jit(layers)(x)
    return use.all_hits

def layers(x):
    for _ in range(6):
        x = jnp.linalg.inv(x @ x + jnp.eye(8))
    return x

def main(config):
    print(start(), start())
    for line in sys.stdin:
        entries = list(cache_folder().glob("jit_layers-*-cache"))
        print(len(entries) > 0)
        for entry in entries:
            os.truncate(entry, int(line))
        print(start(), start(), "|", *(entry.stat().st_size > 0 for entry in entries))

run_command(main, Config)
"""


def test_a_compile_cache_is_used_and_heals(tmp_path):
    # Emptied and cut-off entries, as a full disk leaves them. The warning's filter is
    # the program's own, be it an error or seen before.
    process = processes.start(
        "-c", CACHE, stdin=True, XDG_CACHE_HOME=str(tmp_path), PYTHONWARNINGS="error"
    )
    printed, complaint = process.communicate("0\n100\n")
    healed = ["True", "False True | True"]
    assert printed.splitlines() == ["False True", *healed, *healed]
    for line in complaint.splitlines():
        assert "jit_layers was damaged" in line
    assert len(complaint.splitlines()) == 2


HELLO = """
from dataclasses import dataclass
from experiments.kit.command import run_command

@dataclass
class Config:
    name: str = "you"

def main(config):
    print("hello", config.name)

run_command(main, Config)
"""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_gone_is_no_traceback(unbuffered):
    # Buffered output meets the closed pipe at the end, unbuffered at once.
    with processes.start("-c", HELLO, PYTHONUNBUFFERED=unbuffered) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


def test_ctrl_c_while_the_program_loads_is_one_line(tmp_path):
    interrupting = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"
    (tmp_path / "tyro.py").write_text(interrupting)
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    with processes.start("-c", HELLO, PYTHONPATH=path) as process:
        assert process.communicate() == ("", "error: interrupted\n")
    assert process.returncode == 130
