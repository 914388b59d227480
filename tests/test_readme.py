"""The README's code does what it says, and its length is what a reader bears."""

import re
from functools import partial
from pathlib import Path

import jax

from jaxnets import data, relu_softmax, training

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_code_blocks_run_and_compute_what_the_library_computes(
    thousand_digits, monkeypatch, capsys
):
    digits = thousand_digits
    monkeypatch.setattr(data, "load", lambda: digits)
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len(blocks) == 3
    # With sizes for which other tests compile the same program.
    small = {"(784, 100, 200, 10)": "(784, 10)", "batch_size=64": "batch_size=25"}
    for shown, smaller in small.items():
        assert shown in blocks[2]
        blocks[2] = blocks[2].replace(shown, smaller)
    names: dict = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)

    # The library is the oracle here: the README shows its functions in short.
    sizes, tx = (784, 100, 200, 10), names["tx"]
    inits = [partial(f, layer_sizes=sizes) for f in (names["init"], relu_softmax.init)]
    key = training.run_keys(3).init
    state = jax.eval_shape(lambda: training.start(inits[1](key), tx))
    train_step = training.make_train_step(relu_softmax.loss_fn, tx)
    programs = [
        (*inits, (key,)),
        (names["apply"], relu_softmax.apply, (state.params, digits.test.image)),
        (names["train_step"], train_step, (state, digits.train)),
    ]
    for shown, ours, args in programs:  # operation for operation
        assert str(jax.make_jaxpr(shown)(*args)) == str(jax.make_jaxpr(ours)(*args))
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
