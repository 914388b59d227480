"""The lessons run from top to bottom, and their notebooks are those of their code.

Each lesson runs here as it is, on some of scikit-learn's digits, with its exercises
open. Its own `assert` statements are the proofs of what its text says.
"""

import json
import re
import runpy
import sys
from types import SimpleNamespace

import nbformat
import pytest
from PIL import Image

from jaxnets.errors import InputError
from lessons import kit, render
from lessons.kit import data as lesson_data
from lessons.kit import figures

NEEDS_KERAS = {6}
SLOW = {4, 5, 6, 7}
FEWER = {6: 600, 7: 400}  # images to train on, where training takes long
NUMBERS = [
    pytest.param(
        number,
        marks=[pytest.mark.keras] * (number in NEEDS_KERAS)
        + [pytest.mark.slow] * (number in SLOW),
    )
    for number in range(1, 8)
]


@pytest.fixture(autouse=True)
def _on_digits(monkeypatch, tmp_path):
    monkeypatch.setenv(lesson_data.VARIABLE, "digits")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run_lesson(digits, monkeypatch):
    """Runs the lesson of a number, and returns its names."""

    def run(number):
        train = digits.train.split(FEWER.get(number, len(digits.train.label)))[0]
        few = digits._replace(train=train)
        monkeypatch.setattr(lesson_data.data, "load", lambda name: few)
        [source] = render.chosen([number])
        return runpy.run_path(str(source), run_name="__main__")

    return run


@pytest.mark.parametrize("number", NUMBERS)
def test_a_lesson_runs_with_its_exercises_open(number, run_lesson, capsys, tmp_path):
    run_lesson(number)
    printed = capsys.readouterr().out
    assert "NOT MNIST" in printed  # said loudly
    assert "NO TENSORFLOW" not in printed
    for exercise in range(1, 4):
        assert f"Exercise {number}.{exercise} is still open." in printed
    pictures = list((tmp_path / "runs" / "lessons").iterdir())
    assert 1 <= len(pictures) <= 2
    for picture in pictures:
        assert str(picture.relative_to(tmp_path)) in printed
        with Image.open(picture) as image:
            assert image.format == "PNG" and len(image.getcolors(10**6)) > 10  # drawn
        assert picture.stat().st_size < 120_000  # seven notebooks stay small


def test_lesson_6_says_what_is_missing_and_goes_on(run_lesson, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # as if not installed
    names = run_lesson(6)
    printed = capsys.readouterr().out
    assert "NO TENSORFLOW" in printed and "pip install tensorflow" in printed
    assert set(names["apart"]) == {"Flax"}
    assert "Exercise 6.3 is still open." in printed
    assert "functions, fit" in printed and "tf.keras, tuned" not in printed


@pytest.mark.parametrize("source", render.SOURCES, ids=lambda source: source.stem)
def test_a_lesson_has_a_question_proofs_exercises_and_an_end(source):
    text = source.read_text(encoding="utf-8")
    number = int(source.name[:2])
    first, *_, last = text.split("# %% [markdown]\n")[1:]
    assert re.search(r"^\*\*.*\?\*\*$", first, re.MULTILINE | re.DOTALL)
    assert "## Where to go from here" in last
    assert len(re.findall(r"^ *assert |assert_allclose", text, re.MULTILINE)) >= 4
    checks = re.findall(r'^check\("(\d\.\d)"', text, re.MULTILINE)
    headings = re.findall(r"^### Exercise (\d\.\d)$", text, re.MULTILINE)
    assert checks == headings == [f"{number}.{place}" for place in range(1, 4)]


# Notebooks.


def test_there_are_seven_lessons_and_no_other_notebook():
    assert [source.name[:2] for source in render.SOURCES] == [
        f"0{number}" for number in range(1, 8)
    ]
    notebooks = sorted(render.FOLDER.glob("*.ipynb"))
    assert notebooks == [render.path_of(source) for source in render.SOURCES]


@pytest.mark.parametrize("source", render.SOURCES, ids=lambda source: source.stem)
def test_a_notebook_is_fresh_and_of_mnist(source):
    assert render.staleness(source) is None
    text = render.path_of(source).read_text(encoding="utf-8")
    outputs = json.dumps(
        [cell["outputs"] for cell in json.loads(text)["cells"] if "outputs" in cell]
    )
    assert "NOT MNIST" not in outputs and "NO TENSORFLOW" not in outputs
    assert "Traceback" not in text and '"name": "stderr"' not in text
    assert "image/png" in text
    assert len(text) < 600_000


def test_a_stale_notebook_is_refused(tmp_path):
    source = render.SOURCES[0]
    path = tmp_path / "01_perceptrons.ipynb"
    assert "is missing" in render.staleness(source, path)

    def staleness_after(change):
        notebook = nbformat.read(render.path_of(source), as_version=4)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        change(notebook, code)
        nbformat.write(notebook, path)
        return render.staleness(source, path)

    def change_code(_, code):
        code[1].source += "\nprint(1)"

    def change_prose(notebook, _):
        notebook.cells[0].source += " More."

    def drop_cell(notebook, _):
        notebook.cells.pop()

    def drop_output(_, code):
        code[-1].execution_count = None

    def fail(_, code):
        error = nbformat.v4.new_output("error", ename="E", evalue="", traceback=[])
        code[-1].outputs = [error]

    assert staleness_after(lambda *_: None) is None
    assert "stale from cell 1 " in staleness_after(change_prose)
    assert "is stale" in staleness_after(change_code)
    assert "is stale" in staleness_after(drop_cell)
    assert "no output" in staleness_after(drop_output)
    assert "failed" in staleness_after(fail)


def test_check_names_stale_notebooks_and_the_remedy(monkeypatch, tmp_path):
    monkeypatch.setattr(render, "FOLDER", tmp_path)
    with pytest.raises(InputError, match=r"04_.* is missing\. Run .*lessons\.render"):
        render.main(render.Config(lessons=(4,), check=True))
    with pytest.raises(InputError, match="no lesson 8; they are 1 to 7"):
        render.main(render.Config(lessons=(8,), check=True))


def test_a_lesson_becomes_a_notebook_with_outputs(tmp_path):
    source = tmp_path / "lesson.py"
    source.write_text(
        '# %% [markdown]\nr"""\n# A title\n\n$\\sigma$\n"""\n\n# %%\n'
        "print(1)\nprint(2)\n\n# %%\nfrom lessons.kit import new_figure, show\n\n"
        'figure, _ = new_figure()\nshow(figure, "one")\n'
    )
    notebook = render.notebook_of(source)
    assert [cell.cell_type for cell in notebook.cells] == ["markdown", "code", "code"]
    assert notebook.cells[0].source == "# A title\n\n$\\sigma$"
    render.execute(notebook, render.ROOT)
    [printed], [shown] = (cell.outputs for cell in notebook.cells[1:])
    assert printed.text == "1\n2\n"
    assert set(shown.data) == {"image/png", "text/plain"}
    assert shown.data["text/plain"] == "A figure"
    assert set(notebook.metadata.language_info) == {"name"}
    nbformat.validate(notebook)


# What the lessons share.


def test_mnist_is_not_announced_as_something_else(monkeypatch, capsys, digits):
    mnist = digits._replace(name="mnist")
    monkeypatch.setattr(lesson_data.data, "load", lambda name: mnist)
    assert kit.load() is mnist
    assert capsys.readouterr().out == (
        "mnist: 1,198 images to train on, 239 to validate, 360 to test.\n"
    )


def test_a_figure_is_displayed_in_a_notebook(monkeypatch, tmp_path):
    displayed = []
    monkeypatch.setattr(figures, "_in_notebook", lambda: True)
    module = SimpleNamespace(Image=lambda **options: options, display=displayed.append)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    figure, _ = kit.new_figure()
    kit.show(figure, "name")
    [picture] = displayed
    assert picture["data"].startswith(b"\x89PNG") and picture["alt"] == "name"
    assert not list(tmp_path.iterdir())


def test_seconds_gives_the_result_and_a_duration():
    duration, result = kit.seconds(lambda a, b: a + b, 1, 2)
    assert result == 3 and duration > 0
