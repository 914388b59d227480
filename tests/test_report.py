"""Statistics, tables, figures, page and folder, on numbers made by hand."""

import io
import math
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy.stats import binom

from experiments.compare import figures, table
from experiments.compare.results import ModelRun
from experiments.kit import page, progress, statistics
from experiments.kit.folder import RunFolder
from jaxnets import models as recipes
from jaxnets.running import EpochRecord, Trained
from jaxnets.types import Batch, Dense, Prediction

LABELS = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 4])
GUESSES = {  # class 3 has no image; relu_softmax never answers 1
    "sigmoid_mse": np.array([0, 0, 1, 1, 1, 2, 2, 0, 2, 4]),
    "relu_softmax": np.array([0, 2, 2, 2, 0, 2, 2, 2, 2, 3]),
}


def made_run(name: str, guesses: np.ndarray) -> ModelRun:
    """A finished run of two epochs with the given answers, each 60 % sure."""
    probability = np.full((len(guesses), 5), 0.1)
    probability[np.arange(len(guesses)), guesses] = 0.6
    run = ModelRun(name, recipes.RECIPES[name])
    rng = np.random.default_rng(0)
    params = (Dense(rng.normal(size=(16, 3)), np.zeros(3)),)
    for number, loss, correct in ((1, 0.9, 40), (2, 0.5, 45)):
        run.add(EpochRecord(number, loss, 0.75, loss + 0.1, correct, 50, 0.25, params))
    run.trained = Trained(Prediction(guesses, probability), 1.5)
    return run


@pytest.fixture(autouse=True)
def _figures_are_closed():
    yield
    plt.close("all")


@pytest.fixture
def runs() -> list[ModelRun]:
    return [made_run(name, guesses) for name, guesses in GUESSES.items()]


@pytest.mark.parametrize(
    ("correct", "seen", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_matches_the_literature(correct, seen, low, high):
    # Oracle: Newcombe (1998), "Two-sided confidence intervals for the single
    # proportion", table I, method 3; printed with four decimals.
    interval = statistics.wilson_interval(correct, seen)
    assert interval == pytest.approx((low, high), abs=0.5e-4)


@given(
    st.integers(1, 100_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
)
def test_wilson_interval_solves_its_equation(counts):
    # Oracle: the definition. At each end p the score |k/n - p| is z standard errors
    # sqrt(p (1 - p) / n); the ends 0 and 1 are exact.
    correct, seen = counts
    z = 1.959963984540054  # the normal distribution's 97.5 % point
    share = correct / seen
    low, high = statistics.wilson_interval(correct, seen)
    assert 0 <= low <= share <= high <= 1
    for end in (low, high):
        gap = abs(share - end)
        assert gap == pytest.approx(z * math.sqrt(end * (1 - end) / seen), abs=1e-8)


@pytest.mark.parametrize(
    ("only_a", "only_b"), [(0, 1), (1, 8), (9, 1), (5, 5), (12, 13), (150, 86)]
)
def test_mcnemar_is_a_binomial_test(only_a, only_b):
    # Oracle: twice the smaller tail of Binomial(n, 1/2), at most 1. Both-right and
    # both-wrong images must not count.
    right_a = np.repeat([True, False, True, False], [only_a, only_b, 30, 4])
    right_b = np.repeat([False, True, True, False], [only_a, only_b, 30, 4])
    smaller, total = min(only_a, only_b), only_a + only_b
    expected = min(1.0, 2 * binom.pmf(range(smaller + 1), total, 0.5).sum())
    p_value = statistics.mcnemar_p_value(right_a, right_b)
    assert p_value == pytest.approx(expected, rel=1e-9)
    assert p_value == statistics.mcnemar_p_value(right_b, right_a)


def test_mcnemar_by_hand():
    # Oracle: 1 against 8 is 2 (1 + 9) / 2^9. Equal models give no evidence at all.
    right_a = np.array([True] + 8 * [False])
    assert statistics.mcnemar_p_value(right_a, ~right_a) == pytest.approx(20 / 512)
    assert statistics.mcnemar_p_value(right_a, right_a) == 1.0


def test_ties_are_mutual_and_name_only_what_chance_explains():
    # Oracle: the arithmetic above: 1 against 8 is below 0.05; 2 against 8, p = 0.11,
    # is not.
    images = np.arange(20)
    right = {"a": images < 10, "b": (images >= 8) & (images < 10), "c": images == 30}
    right["d"] = (images < 2) | (images >= 10) & (images < 12)
    # a b: 8 to 0; a c: 10 to 0; a d: 8 to 2; b c: 2 to 0; b d: 2 to 4; c d: 0 to 4
    assert statistics.ties(right) == {
        "a": ["d"],
        "b": ["c", "d"],
        "c": ["b", "d"],
        "d": ["a", "b", "c"],
    }


def test_per_class_rows(runs):
    # Oracle: counted by hand from LABELS and GUESSES.
    assert table.per_class_rows(runs, LABELS) == [
        ("0", "3", "0.667 / 0.667", "0.500 / 0.333"),
        ("1", "2", "0.667 / 1.000", "0.000 / 0.000"),
        ("2", "4", "1.000 / 0.750", "0.571 / 1.000"),
        ("4", "1", "1.000 / 1.000", "0.000 / 0.000"),
    ]


def test_first_rows(runs):
    rows = table.first_rows(runs, LABELS, count=3)
    assert rows == [
        ("0", "0", "0 right 60%", "0 right 60%"),
        ("1", "0", "0 right 60%", "2 WRONG 60%"),
        ("2", "0", "1 WRONG 60%", "2 WRONG 60%"),
    ]


def entry(**changes) -> dict:
    """A model's entry in results.json."""
    return {
        "num_params": 23860,
        "test_correct": 9501,
        "test_seen": 10000,
        "test_accuracy": 0.9501,
        "test_interval_95": [0.9457, 0.9542],
        "validation_accuracy": None,
        "compile_seconds": 1.25,
        "train_seconds": 3.0,
        "compile_cached": False,
        "epoch_seconds_median": 0.5,
        "reported_accuracy": 0.1041,
        **changes,
    }


def test_comparison_rows():
    # Oracle: the entries, and 50,000 / 0.5 images per second; 2 s / 0.5 s is 4.
    models = {
        "sigmoid_mse": entry(),
        "keras_dense": entry(epoch_seconds_median=2.0, compile_seconds=None),
        "flax_dense": entry(epoch_seconds_median=5.0, validation_accuracy=0.98),
    }
    ties = {
        "sigmoid_mse": [],
        "keras_dense": ["flax_dense", "sigmoid_mse"],
        "flax_dense": ["keras_dense"],
    }
    results = {"models": models, "train_examples": 50_000, "ties": ties}
    rows = {row[0]: row[1:] for row in table.comparison_rows(results)}
    assert rows["write-up reported"][0] == "0.1041"
    assert rows["test correct / seen"][0] == "9,501 / 10,000"
    assert rows["test accuracy"][0] == "0.9501"
    assert rows["95 % interval"][0] == "0.9457 to 0.9542"
    assert rows["ties with"][0] == "-"
    assert rows["ties with"][1].split() == ["flax_dense", "sigmoid_mse"]
    assert rows["validation accuracy"] == ("-", "-", "0.9800")
    assert rows["parameters"][0] == "23,860"
    assert rows["compile time"][1] == "-"
    assert rows["images per second"] == ("100,000", "25,000", "10,000")
    assert rows["epoch vs tf.keras"] == ("4.0x faster", "1", "2.5x slower")

    models["sigmoid_mse"]["compile_cached"] = True
    models["keras_dense"]["epoch_seconds_median"] = None  # its only epoch compiled
    rows = {row[0]: row[1:] for row in table.comparison_rows(results)}
    assert rows["compile time"][0].endswith(" s, cached")
    assert rows["median epoch"][1] == rows["images per second"][1] == "-"
    assert rows["epoch vs tf.keras"] == ("-", "-", "-")

    del models["keras_dense"]
    rows = {row[0]: row[1:] for row in table.comparison_rows(results)}
    assert rows["epoch vs tf.keras"] == ("-", "-")


def test_epoch_lines(runs):
    # Oracle: the line of Nielsen's program, for his network.
    record = runs[0].epochs[0]
    nielsen = progress.epoch_line("sigmoid_mse", 30, record)
    assert "Epoch 1: 40 / 50" in nielsen
    other = progress.epoch_line("relu_softmax", 32, record)
    assert "epoch 1/32" in other
    assert "validation accuracy 80.00%" in other
    unchecked = record._replace(
        validation_loss=None, validation_correct=None, validation_seen=0
    )
    said = progress.epoch_line("sigmoid_mse", 30, unchecked)
    assert "training accuracy 75.00%" in said


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_live_on_a_terminal_and_plain_in_a_pipe(
    runs, monkeypatch, terminal
):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=100, highlight=False)
    monkeypatch.setattr(progress, "console", console)
    with progress.TrainingProgress(runs) as shown:
        for run in runs:
            shown.begin(run)
            for record in run.epochs:
                shown.epoch(run, record)
    written = screen.getvalue()
    assert ("\x1b[" in written) == terminal  # cursor movements
    assert "Epoch 2: 45 / 50" in written  # Nielsen's line, either way
    assert ("epoch 2/32  validation accuracy 90.00%" in written) == (not terminal)
    if terminal:
        last = written.rpartition("relu_softmax")[2]
        assert "epoch 2/32" in last
        assert "validation 90.00%" in last


def test_curves_show_the_epochs(runs):
    left, right = figures.curves(runs).axes
    assert [line.get_label() for line in left.lines] == list(GUESSES)
    for line in left.lines:
        np.testing.assert_allclose(line.get_xydata(), [[1, 40 / 50], [2, 45 / 50]])
    losses = [list(line.get_ydata()) for line in right.lines]
    assert losses == 2 * [[0.9, 0.5], pytest.approx([1.0, 0.6])]
    assert "validation" in left.get_ylabel()


def test_the_confusion_matrix_counts(runs):
    # Oracle: counted by hand; rows are labels, columns answers.
    axes = figures.confusion(runs[:1], LABELS).axes[0]
    cells = {
        (round(text.get_position()[1]), round(text.get_position()[0])): text.get_text()
        for text in axes.texts
    }
    # The classes are 0, 1, 2 and 4.
    assert cells == {
        (0, 0): "2", (0, 1): "1", (1, 1): "2", (2, 0): "1", (2, 2): "3", (3, 3): "1",
    }  # fmt: skip
    assert "2 errors" in axes.get_title()


def test_the_gallery_begins_with_what_most_models_miss(runs):
    # Oracle: by hand. Both models miss image 2, one of them five others; the two
    # agree on the rest.
    images = np.zeros((len(LABELS), 4, 4), np.uint8)
    axes = figures.gallery(runs, Batch(images, LABELS)).axes[0]
    words = [text.get_text() for text in axes.texts]
    numbers = [int(said.split(",")[0].removeprefix("no. ")) for said in words]
    assert numbers == [2, 1, 3, 4, 7, 9]
    assert len(axes.images) == 6
    assert words[1] == ("no. 1, label 0\nsigmoid_mse: 0\nrelu_softmax: 2  wrong")
    assert "6 of 10" in axes.get_title()
    assert axes.get_title().endswith("1 by all")


def test_figures_of_models_without_errors():
    run = made_run("sigmoid_mse", LABELS)
    images = np.zeros((len(LABELS), 4, 4), np.uint8)
    assert "0 errors" in figures.confusion([run], LABELS).axes[0].get_title()
    gallery = figures.gallery([run], Batch(images, LABELS))
    gallery.canvas.draw()  # the layout of a figure without images must hold
    assert not gallery.axes[0].texts


def test_the_page_escapes_what_it_is_given():
    evil = '<script>alert("x")</script>&'
    html = page.render(
        title=evil,
        lead=evil,
        notice=evil,
        facts={evil: evil},
        sections=[
            page.Table(evil, evil, (evil,), [(evil,)]),
            page.Picture(evil, evil, evil, b"png"),
        ],
    )
    assert "<script" not in html
    assert html.count("&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;&amp;") >= 11
    assert 'src="data:image/png;base64,cG5n"' in html  # by RFC 4648
    assert not re.search("https?://", html)


def test_the_page_marks_wrong_answers_and_notices():
    facts = {"seed": 1}
    sections = [page.Table("t", "c", ("a",), [("3 WRONG 60%",), ("3 right 60%",)])]
    html = page.render(title="t", lead="l", notice=None, facts=facts, sections=sections)
    assert '<td class="wrong">3 WRONG 60%</td>' in html
    assert "<td>3 right 60%</td>" in html
    assert 'class="notice"' not in html


def test_the_folder_never_holds_half_a_file(tmp_path):
    written = RunFolder(tmp_path / "run", {"seed": 1}, overwrite=False)

    def rows():
        yield [1]
        raise RuntimeError("the rows end early")

    with pytest.raises(RuntimeError):
        written.write_csv("predictions.csv", ["index"], rows())
    with pytest.raises(ValueError, match="not JSON compliant"):
        written.write_json("results.json", {"loss": math.nan})
    assert [file.name for file in written.path.iterdir()] == ["config.json"]


def test_the_folder_keeps_an_earlier_file_when_a_later_one_fails(tmp_path):
    written = RunFolder(tmp_path / "run", {"seed": 1}, overwrite=False)
    written.write_json("results.json", {"loss": 0.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        written.write_json("results.json", {"loss": math.inf})
    assert (written.path / "results.json").read_text() == '{\n  "loss": 0.5\n}\n'
