"""The README's code does what it says, and its length is what a reader bears."""

import re
from pathlib import Path

import chex
import jax
import numpy as np

from jaxnets import data, relu_softmax, training

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_code_blocks_run_and_compute_what_the_library_computes(
    digits, monkeypatch, capsys
):
    monkeypatch.setattr(data, "load", lambda: digits)
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len(blocks) == 3
    names: dict = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)

    # The library is the oracle here: the README shows its functions in short.
    sizes = (784, 100, 200, 10)
    shown, ours = (
        init(training.run_keys(3).init, sizes)
        for init in (names["init"], relu_softmax.init)
    )
    chex.assert_trees_all_equal(shown, ours)
    params, images = names["epoch"].state.params, digits.test.image
    ours = jax.jit(relu_softmax.apply)(params, images)
    np.testing.assert_array_equal(jax.jit(names["apply"])(params, images), ours)
    state, totals = jax.jit(names["train_step"])(names["epoch"].state, digits.train)
    assert int(state.step) == int(names["epoch"].state.step) + 1
    assert int(totals.seen) == len(digits.train.label)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["1", "2"]
    assert names["epoch"].held_out[0].accuracy > 0.7  # chance is 0.1


def test_files_that_documents_link_to_exist():
    documents = [ROOT / name for name in ("README.md", "CONTRIBUTING.md")]
    documents += (ROOT / "docs").glob("*.md")
    for document in documents:
        links = re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text(encoding="utf-8"))
        for link in links:
            if "://" not in link:
                assert (document.parent / link).exists(), f"{document.name}: {link}"


def test_readme_is_short():
    assert len(README.splitlines()) <= 130
