"""The model of a step by hand-calculated cases; `experiments.scale`, end to end."""

import dataclasses
import json

import numpy as np
import pytest

from experiments.scale import __main__ as scale
from experiments.scale import measure, model, page, results
from experiments.scale.model import Link, Machine
from jaxnets.errors import InputError

SIZES = (3, 4, 2)  # 12 + 4 and 8 + 2 parameters
SLOW = Link(4, bandwidth=10.0, latency=1.0)
MACHINE = Machine("by hand", flops=96.0, memory=1000.0, overhead=0.5, links=(SLOW,))
QUICK = scale.Config(
    models=("sigmoid_mse",), batch_sizes=(30,), device_counts=(1, 2), dataset="digits"
)


def test_sizes_and_operations_by_hand():
    assert model.num_params(SIZES) == 26
    # 2 * 12 forward and 2 * 12 for the weights; 2 * 8, thrice, in the second layer.
    assert model.flops_per_example(SIZES) == 96
    # 26 weights in three passes; 3 bytes and 6 activations in four of an example.
    assert model.compute_bytes(SIZES, 5) == 3 * 26 * 4 + 5 * (3 + 4 * 6 * 4)


def test_an_all_reduce_by_hand():
    # A ring of 4 sends 2 * 3/4 of the bytes; a tree of 4 has 2 levels, up and down.
    assert model.all_reduce_seconds(100, [SLOW]) == 150 / 10 + 4
    # Across 2 groups each device sums its quarter: 2 * 1/2 of 25 bytes, 2 hops.
    between = Link(2, bandwidth=5.0, latency=2.0)
    assert model.all_reduce_seconds(100, [SLOW, between]) == 19 + 25 / 5 + 4
    assert model.all_reduce_seconds(100, []) == 0


def test_a_step_by_hand():
    # 6 examples on 4 devices: one has 2. 104 bytes of gradients, and Adam's 7 arrays.
    step = model.step(MACHINE, SIZES, 6, "adam")
    expected = (0.5, 2 * 96 / 96, 7 * 104 / 1000, 2 * 3 / 4 * 104 / 10 + 4)
    np.testing.assert_allclose(step, expected)
    np.testing.assert_allclose(step.seconds, sum(expected))
    one = 0.5 + 6 + 7 * 104 / 1000
    np.testing.assert_allclose(
        model.speedup(MACHINE, SIZES, 6, "adam"), one / sum(expected)
    )
    # Where memory is slow, bytes count: 26 weights thrice, 2 examples of 99 bytes.
    slow = MACHINE._replace(memory=1.0)
    assert model.step(slow, SIZES, 6, "sgd").compute == 3 * 26 * 4 + 2 * 99


def test_the_least_batch_that_pays():
    # One device: 0.5 + B + 0.728; four: 0.5 + B/4 + 0.728 + 19.6. Equal at B = 26.13.
    sizes = [100, 24, 28, 20]
    assert model.least_batch(MACHINE, SIZES, "adam", sizes, 1.0) == 28
    assert model.least_batch(MACHINE, SIZES, "adam", sizes, 4.0) is None


def test_more_devices_never_pay_for_these_networks_batches():
    # What docs/scale.md concludes, at the published batches and sizes.
    for machine in model.MACHINES:
        for sizes, batch in (((784, 30, 10), 10), ((784, 1024, 10), 32)):
            assert model.speedup(machine, sizes, batch, "adam") < 1
    eight, *_ = model.MACHINES
    assert model.speedup(eight, (784, 65536, 10), 10**6, "adam") > 7


def test_a_link_is_found_from_two_sums():
    link = Link(2, bandwidth=2e9, latency=5e-6)
    small, large = (
        model.all_reduce_seconds(4 * size, [link])
        for size in (measure.SMALL, measure.LARGE)
    )
    np.testing.assert_allclose(measure.link_from(2, small, large), link, rtol=1e-6)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One small network on one and two devices; and what it left."""
    output = tmp_path_factory.mktemp("scale") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "SHORTEST", 0.001)
        patch.setattr(measure, "ROUNDS", 1)
        patch.setattr(measure, "PRODUCT", (8, 8, 8))
        patch.setattr(measure, "LARGE", 2**12)
        content = scale.main(dataclasses.replace(QUICK, output=output))
    return output, content


def test_a_run_measures_and_predicts_each_step(finished):
    output, content = finished
    one, two = content["steps"]
    assert (one["devices"], two["devices"]) == (1, 2)
    assert (one["num_collectives"], one["collective_bytes"]) == (0, 0)
    # Read from the compiled program; oracle: Model 1's parameters, counted by hand.
    gradients = 4 * (784 * 30 + 30 + 30 * 10 + 10)
    assert (two["num_collectives"], two["collective_bytes"]) == (1, gradients)
    for row in (one, two):
        assert row["measured_seconds"] > 0
        assert row["model_ratio"] == row["model_seconds"] / row["measured_seconds"]
    assert json.loads((output / "results.json").read_text()) == content
    html = (output / "report.html").read_text()
    assert "95,440" in html  # the gradients' bytes
    assert "65,536" in html


def test_a_redrawn_page_is_the_same(finished):
    output, content = finished
    again = scale.main(scale.Config(redraw=output))
    assert again == content


def test_streams_stand_beside_memory():
    row = {"kind": "stream", "model": "flax_dense", "devices": 1}
    rows = [
        {**row, "source": "memory", "repeats": 0, "images_per_second": 200.0},
        {**row, "source": "disk, 1 times", "repeats": 1, "images_per_second": 150.0},
        {**row, "source": "disk, 10 times", "repeats": 10, "images_per_second": 160.0},
    ]
    for part, peak in zip(rows, (50, 80, 83), strict=True):
        part["peak_bytes"] = peak * 2**20
    content = results.results(rows)
    cells = page.streams(content["streams"]).rows
    assert [line[3] for line in cells] == ["1.00", "0.75", "0.80"]
    assert [line[5] for line in cells] == ["-", "-", "+3"]
    assert "0.75 to 0.80 times" in page.lead(content)
    assert "10 times as many images took 3 MiB" in page.lead(content)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"device_counts": (1, 64)}, "there are 2 devices; name at most as many"),
        ({"device_counts": (0,)}, r"device_counts=\(0,\) must be at least 1"),
        ({"models": ("row_rnn",)}, "models=.*must be one or more of"),
        ({"stream": True}, "stream reads mnist, .* not digits"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(tmp_path, settings, message):
    config = dataclasses.replace(QUICK, output=tmp_path / "run", **settings)
    with pytest.raises(InputError, match=message):
        scale.main(config)
    assert not (tmp_path / "run").exists()
