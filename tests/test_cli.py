"""The command `jaxnets`: what it prints, writes and refuses."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_trained import network, written

from jaxnets import answers, cli, relu_softmax
from jaxnets.trained import Networks
from jaxnets.types import Dense

ROOT = Path(__file__).parents[1]


def stencil(labels=tuple("0123456789")) -> dict:
    """A network without training, of one layer of random weights."""
    sizes = (28 * 28, len(labels))
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=sizes).astype(np.float32)
    return {
        "layer_sizes": sizes,
        "params": (layer_of(kernel),),
        "image_shape": (28, 28),
        "labels": labels,
    }


def layer_of(kernel):
    return Dense(kernel, np.zeros(kernel.shape[1], np.float32))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of two networks, whose weights nobody trained."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    names = ["relu_softmax", "flax_dense"]
    settings = stencil()
    one = network(names[0], **settings)
    other = network(
        names[1], **{**settings, "params": (layer_of(-settings["params"][0].kernel),)}
    )
    return written(folder, one, other, config={"models": names})


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """One digit, and three, drawn as bars and rings."""
    folder = tmp_path_factory.mktemp("pictures")
    one = np.full((120, 100), 240, np.uint8)
    one[30:90, 45:53] = 20
    three = np.full((120, 300), 240, np.uint8)
    three[30:90, 30:38] = 20
    three[30:90, 130:138] = three[30:38, 110:158] = 20
    three[30:90, 230:238] = three[82:90, 230:270] = 20
    paths = []
    for name, image in (("one.png", one), ("three.png", three)):
        Image.fromarray(image).save(folder / name)
        paths.append(str(folder / name))
    return paths


def test_json_lists_every_network_for_every_digit(run, pictures, capsys):
    assert cli.main(["predict", str(run), *pictures, "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert [entry["image"] for entry in entries] == [pictures[0]] * 2 + [
        pictures[1]
    ] * 6
    assert [entry["model"] for entry in entries] == ["relu_softmax", "flax_dense"] * 4
    assert set(entries[0]) == {"image", "model", "label", "probability"}
    assert all(entry["label"] in range(10) for entry in entries)
    assert all(0.1 <= entry["probability"] <= 1 for entry in entries)
    lefts = [entry["box"][0] for entry in entries[2::2]]
    assert lefts == sorted(lefts) and abs(lefts[1] - 110) <= 2
    # Oracle: the network on an image that is prepared by hand, a bar of 20 by 3 pixels.
    bar = np.zeros((1, 28, 28), np.uint8)
    bar[0, 4:24, 13:16] = 255
    expected = relu_softmax.predict(stencil()["params"], bar)
    assert entries[0]["label"] == int(expected.label[0])


def test_words_say_class_probabilities_and_agreement(run, pictures, capsys):
    assert cli.main(["predict", str(run), *pictures]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert pictures[0] in lines[0] and "1 of 2 networks" in lines[0]
    assert lines[1].split()[0] == "relu_softmax"
    shares = [float(word.rstrip("%")) for word in lines[1].split() if "%" in word]
    assert len(shares) == 10 and sum(shares) == pytest.approx(100, abs=0.1)
    assert "3 of 3" in "\n".join(lines)
    read = [line for line in lines if "relu_softmax reads" in line]
    assert len(read) == 1 and len(read[0].split()[-1]) == 3


def test_single_takes_all_ink_for_one_digit(run, pictures, capsys):
    assert cli.main(["predict", str(run), pictures[1], "--single", "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert len(entries) == 2 and "box" not in entries[0]


def test_show_draws_a_picture(run, pictures, tmp_path, capsys):
    file = tmp_path / "seen.png"
    assert cli.main(["predict", str(run), *pictures, "--show", str(file)]) == 0
    assert capsys.readouterr().out
    with Image.open(file) as image:
        seen = np.asarray(image.convert("RGB"), int)
    assert seen.shape[1] == 900 and seen.shape[0] > 500
    orange = np.abs(seen - [0xD5, 0x5E, 0x00]).sum(axis=2) < 10
    assert orange.sum() > 4 * 100  # four frames


def test_labels_that_are_letters_stay_letters(tmp_path, pictures, capsys):
    labels = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    run = written(tmp_path / "run", network(**stencil(labels)))
    assert cli.main(["predict", str(run), pictures[0], "--json"]) == 0
    [entry] = json.loads(capsys.readouterr().out)
    assert entry["label"] in labels
    assert cli.main(["predict", str(run), pictures[0]]) == 0
    words = capsys.readouterr().out
    assert words.count("%") == 5  # the most probable ones


@pytest.mark.parametrize(("ink_side", "height"), [(None, 20), (26, 26)])
def test_digits_become_as_large_as_the_network_knows_them(pictures, ink_side, height):
    one = network(**stencil(), ink_side=ink_side)
    [[reading]] = answers.read_pictures(Networks(one=one), pictures[:1]).values()
    assert reading.glyph.image.any(axis=1).sum() == height


def test_a_file_of_weights_is_a_run_of_one(run, pictures, capsys):
    file = run / "weights" / "flax_dense.npz"
    assert cli.main(["predict", str(file), pictures[0]]) == 0
    assert "agree" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["predict", "RUN", "nothing.png"], "there is no picture"),
        (["predict", "nothing", "ONE"], "there is no file"),
        (["predict", "RUN", "ONE", "--show", "seen.jpg"], "must end with .png"),
        (["predict", "RUN", "ONE", "--show", "no/seen.png"], "there is no folder"),
        (["predict", "RUN", "ONE", "--show", "ONE"], "is one of the pictures"),
        (["export", "RUN", "x", "onnx"], "no network 'x'; it has relu_softmax"),
        (
            ["export", "RUN", "relu_softmax", "pmml"],
            "unknown format 'pmml'; known: safe",
        ),
        (["import", "nothing.keras", "net.npz"], "there is no file"),
        (["import", "nothing.keras", "net.txt"], "must end with .npz"),
    ],
)
def test_bad_input_is_one_line(run, pictures, capsys, arguments, complaint):
    words = {"RUN": str(run), "ONE": pictures[0]}
    assert cli.main([words.get(word, word) for word in arguments]) == 1
    out, err = capsys.readouterr()
    assert out == "" and complaint in err
    assert err.startswith("error: ") and err.count("\n") == 1


def test_the_formats_of_the_command_are_the_library_s():
    from jaxnets import export

    assert tuple(export.FORMATS) == cli.FORMATS


def test_the_module_is_the_command_and_help_needs_no_jax(tmp_path):
    program = (
        "import sys; sys.argv = ['jaxnets', '--help']\n"
        "import runpy\n"
        "try: runpy.run_module('jaxnets', run_name='__main__')\n"
        "except SystemExit as end: assert not end.code\n"
        "assert 'jax' not in sys.modules and 'PIL' not in sys.modules"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    for name in cli.COMMANDS:
        assert name in result.stdout


def test_a_wrong_command_line_is_refused(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["predict"])
    assert end.value.code == 2
    assert "usage: jaxnets predict" in capsys.readouterr().err
