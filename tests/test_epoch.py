"""`experiments.speed.epoch`: the ways compute one thing, and operations are told."""

import json
from dataclasses import replace

import jax
import numpy as np
import pytest
import small

from experiments.speed import epoch, epoch_page
from jaxnets import devices, models, optimizers, relu_softmax, training
from jaxnets.errors import InputError

QUICK = epoch.Config(models=("relu_softmax",), dataset="digits", rounds=2, seed=5)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One run, and all it left behind."""
    output = tmp_path_factory.mktemp("epoch") / "run"
    returned = epoch.main(replace(QUICK, output=output))
    return small.left_behind(output, returned)


@pytest.mark.slow
def test_every_way_is_an_epoch_of_fit(digits):
    # Oracle: `fit`. Products of transposed kernels may round otherwise.
    recipe = models.RELU_SOFTMAX.recipe
    state, programs = epoch.compile_ways("relu_softmax", 5, digits.train)
    assert tuple(programs) == epoch.WAYS
    loss_fn, tx = relu_softmax.loss_fn, optimizers.make(recipe)
    how = {"batch_size": recipe.batch_size, "num_epochs": 1}
    key = training.run_keys(5).data
    [expected] = training.fit(loss_fn, tx, state, digits.train, key=key, **how)
    for way, program in programs.items():
        after, totals = program(state, digits.train, np.int32(0))
        pairs = zip(
            jax.tree.leaves(after), jax.tree.leaves(expected.state), strict=True
        )
        for leaf, of_fit in pairs:
            np.testing.assert_allclose(
                leaf, of_fit, atol=0 if way == epoch.AS_FIT else 1e-5
            )
        assert totals.seen == len(digits.train.label)


def test_operations_are_those_of_an_update(finished, digits):
    model = finished.returned["models"]["relu_softmax"]
    assert [way["way"] for way in model["ways"]] == [*epoch.WAYS]
    assert model["updates"] == -(-len(digits.train.label) // 64)
    operations = model["operations"]
    products = [o for o in operations if o["function"] == "dot_general"]
    phases = [o["phase"] for o in products]
    # Three layers forward; backward three kernels' gradients, and two layers' inputs.
    assert phases.count("forward") >= 3 and phases.count("backward") >= 5
    assert "f32[100,784]" in {o["result"] for o in products if o["phase"] == "backward"}
    assert not {o["function"] for o in operations} & {"while", "call"}
    spans = [o["microseconds"] for o in operations]
    assert spans == sorted(spans, reverse=True)
    # No core works longer than the epoch takes.
    most = model["profiled_seconds"] * devices.cpu_count()
    assert 0 < sum(spans) * 1e-6 * model["updates"] < 1.05 * most


def test_the_page_is_made_again_from_the_rows(finished, monkeypatch, undrawn):
    content = json.loads((finished.path / "results.json").read_text())
    assert content == finished.returned and content["status"] == "complete"
    assert (finished.path / "operations.png").exists()
    monkeypatch.delattr(epoch, "compile_ways")
    assert epoch.main(epoch.Config(redraw=finished.path)) == finished.returned


def test_bars_are_the_longest_operations(finished):
    figure = epoch_page.bars(finished.returned["models"])
    [axes] = figure.axes
    lengths = [bar.get_width() for bar in axes.patches]
    operations = finished.returned["models"]["relu_softmax"]["operations"]
    assert lengths == [o["microseconds"] for o in operations[: epoch_page.SHOWN]]


def test_a_way_is_compared_within_rounds():
    def row(way, number, seconds):
        entry = {"way": way, "round": number, "seconds": seconds}
        return {"row": "epoch", "model": "sigmoid_mse", **entry}

    plain, as_fit = epoch.WAYS[0], epoch.AS_FIT
    seconds = {plain: (3.0, 8.0, 5.0), as_fit: (1.0, 2.0, 5.0)}
    rows = [row(w, n, s) for w in seconds for n, s in enumerate(seconds[w], 1)]
    content = epoch.results(rows)
    first, last = content["models"]["sigmoid_mse"]["ways"]
    assert (first["way"], first["seconds"], first["ratio"]) == (plain, 5.0, 3.0)
    assert (last["way"], last["seconds"], last["ratio"]) == (as_fit, 2.0, 1.0)
    assert epoch_page.lead(content, as_fit) == "sigmoid_mse: 2.000 s an epoch."
    for number in range(len(rows) + 1):  # a run that was broken off
        content = epoch.results(rows[:number])
        assert epoch_page.lead(content, as_fit)
        assert len(list(epoch_page.sections(content))) == (number > 0)


@pytest.mark.parametrize(
    ("source", "phase"),
    [
        ("jit(run_epoch)/while/body/jvp()/dot_general", "forward"),
        ("jit(run_epoch)/while/body/transpose(jvp())/dot_general", "backward"),
        ("jit(run_epoch)/while/body/add", "rest"),
    ],
)
def test_the_phase_is_read_from_jaxs_name(source, phase):
    assert epoch.phase(source) == phase


def test_an_operation_is_read_from_the_programs_text():
    text = (
        "  ROOT %fusion.3 = (f32[30,784]{1,0}, s32[]) fusion(%a, %b), kind=kLoop, "
        'metadata={op_name="jit(run_epoch)/jvp()/add" stack_frame_id=3}\n'
        '  %while.2 = s32[] while(%c), metadata={op_name="jit(run_epoch)/while"}\n'
    )
    first, second = epoch.OPERATION.finditer(text)
    assert (first["name"], first["kind"]) == ("fusion.3", "fusion")
    assert first["result"] == "(f32[30,784]{1,0}, s32[])"
    assert first["source"] == "jit(run_epoch)/jvp()/add"
    assert second["kind"] in epoch.CONTAINERS


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"models": ("keras_dense",)}, "models="),
        ({"rounds": 0}, "rounds=0"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        epoch.main(replace(QUICK, **settings))


def test_only_a_processor_is_timed(monkeypatch, tmp_path):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    with pytest.raises(InputError, match=r"JAX trains on gpu.*JAX_PLATFORMS=cpu"):
        epoch.main(replace(QUICK, output=tmp_path / "run"))
    assert not (tmp_path / "run").exists()
