"""`experiments.accelerator`: what is timed trains rightly; one small run on digits."""

import dataclasses
import itertools
import json
import os

import jax
import numpy as np
import pytest

from experiments.accelerator import __main__ as accelerator
from experiments.accelerator import measure, page, results, settings
from experiments.kit import page as kit_page
from jaxnets import data, devices, ensemble, models, process, training
from jaxnets.errors import InputError
from jaxnets.types import Dense, TrainState

QUICK = accelerator.Config(
    models=("relu_softmax",),
    unroll=(5,),
    rounds=2,
    networks=3,
    chunks=(2, 3, 100),
    epochs=1,
    dataset="digits",
    examples=200,
)


@pytest.fixture(scope="module", autouse=True)
def small_networks():
    """Networks that compile soon, under the models' names."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("sigmoid_mse", "relu_softmax"):
            model = models.get(name)
            recipe = dataclasses.replace(model.recipe, layer_sizes=(784, 10))
            model = dataclasses.replace(model, recipe=recipe)
            patch.setitem(models.MODELS, name, model)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run's folder, what `main` returned, and its rows."""
    path = tmp_path_factory.mktemp("accelerator") / "run"
    returned = accelerator.main(dataclasses.replace(QUICK, output=path))
    rows = [*map(json.loads, (path / "metrics.jsonl").read_text().splitlines())]
    return path, returned, rows


def test_every_way_is_timed_and_every_network_tested(finished):
    _, returned, rows = finished
    ways = [(row["unroll"], len(row["seconds"])) for row in rows if row["row"] == "one"]
    assert ways == [(5, 2)]  # a processor has no command buffers
    many = [row for row in rows if row["row"] == "many"]
    assert [row["at_once"] for row in many] == [2, 3]  # no more than there are
    for row in many:
        assert len(row["test_accuracy"]) == 3
        assert 0 < row["seconds"] < row["wall_seconds"]
    assert [entry["at_once"] for entry in returned["many"]] == [2, 3]


def test_beside_a_gpu_the_processor_is_timed(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(measure.devices, "cpu_count", lambda: 16)
    ways = measure.ways_of_one(dataclasses.replace(QUICK, unroll=(1, 5)))
    assert [tuple(way) for way in ways] == [
        *((1, False, None), (1, True, None), (5, False, None), (5, True, None)),
        *((1, False, 1), (1, False, 16)),
    ]
    entries = [{**way._asdict(), "device": "a GPU"} for way in ways]
    assert [*map(page._device, entries[3:])] == [
        *("a GPU", "processor, 1 core", "processor, 16 cores"),
    ]


def test_a_process_gets_the_precision_and_only_some_get_command_buffers(monkeypatch):
    # Oracle: the names that JAX and XLA document.
    environments = []

    def iterate(function, *args, environment):
        environments.append(environment)
        yield {"seconds": [1.0], "compile_seconds": 1.0, "device": "a GPU"}

    monkeypatch.setattr(process, "iterate", iterate)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(measure.devices, "cpu_count", lambda: 16)
    config = dataclasses.replace(QUICK, unroll=(1,), precision="high", networks=1)
    ways = measure.ways_of_one(config)
    rows = [*itertools.islice(measure.measure(config, None, None), len(ways))]
    assert [row["command_buffers"] for row in rows] == [False, True, False, False]
    assert [e.pop("JAX_DEFAULT_MATMUL_PRECISION") for e in environments] == ["high"] * 4
    flags = os.environ["XLA_FLAGS"]  # conftest's
    assert flags and environments == [
        {},
        {"XLA_FLAGS": f"{flags} --xla_gpu_enable_command_buffer=+WHILE"},
        {"JAX_PLATFORMS": "cpu", "NPROC": "1"},
        {"JAX_PLATFORMS": "cpu", "NPROC": "16"},
    ]


@pytest.mark.parametrize("precision", ["default", "high"])
def test_many_networks_and_a_dry_run_have_the_precision(precision, monkeypatch):
    seen = []

    def note():
        seen.append(jax.config.jax_default_matmul_precision)

    def fit_many(*_, seeds, **options):
        note()
        shape = (len(seeds), 784, 10)
        params = (Dense(np.zeros(shape, np.float32), np.zeros(shape[::2], np.float32)),)
        state = TrainState(np.zeros(len(seeds), np.int32), params, ())
        yield training.Epoch(1, state, None, (), seconds=1.0)

    monkeypatch.setattr(ensemble, "fit_many", fit_many)
    monkeypatch.setattr(devices, "compile_ahead", lambda *_: note())
    monkeypatch.setattr(devices, "program_bytes", lambda _: 1)
    config = dataclasses.replace(QUICK, models=(), precision=precision)
    dataset = data.first_examples(data.load("digits"), 200)
    before = jax.config.jax_default_matmul_precision
    assert len([*measure.measure(config, dataset.train, dataset.test)]) == 2
    assert seen == [precision] * 3  # three networks: two and one, and all at once
    seen.clear()
    config = dataclasses.replace(config, models=("relu_softmax",))
    assert len([*measure.compile_only(config, dataset.train, dataset.test)]) == 3
    assert seen == [precision] * 3
    assert jax.config.jax_default_matmul_precision == before


def test_nothing_unrolled_is_what_fit_runs():
    # Oracle: `fit`'s first epoch, bit for bit.
    train = data.first_examples(data.load("digits"), 200).train
    init, loss_fn, tx = measure._network("relu_softmax")
    keys = training.run_keys(0)
    [epoch] = training.fit(
        *(loss_fn, tx, training.start(init(keys.init), tx), train),
        batch_size=models.get("relu_softmax").recipe.batch_size,
        num_epochs=1,
        key=keys.data,
    )
    program = measure._epoch_program("relu_softmax", 1, train)
    state, _ = program(measure._state("relu_softmax"), train, np.int32(0))
    for one, other in zip(
        jax.tree.leaves(state), jax.tree.leaves(epoch.state), strict=True
    ):
        assert np.array_equal(one, other)


def test_networks_are_those_of_fit_many_whatever_the_chunk(finished):
    # Oracle: the three networks of one call of `fit_many`.
    dataset = data.first_examples(data.load("digits"), 200)
    init, loss_fn, tx = measure._network("sigmoid_mse")
    [epoch] = ensemble.fit_many(
        *(init, loss_fn, tx, dataset.train, (dataset.test,)),
        seeds=range(3),
        batch_size=10,
        num_epochs=1,
    )
    for row in finished[2]:
        if row["row"] == "many":
            expected = epoch.held_out[0].accuracy
            assert np.allclose(row["test_accuracy"], expected, atol=1 / 360 + 1e-6)


@pytest.mark.parametrize("unroll", [3, 7])
def test_an_unrolled_loop_trains_the_same(unroll):
    # Twenty full batches and a short one: neither number divides them.
    train = data.first_examples(data.load("digits"), 205).train
    init, loss_fn, tx = measure._network("relu_softmax")
    state = training.start(init(jax.random.key(0)), tx)
    order = np.arange(205, dtype=np.int32)
    step = training.make_train_step(loss_fn, tx)
    (state_1, totals_1), (state_n, totals_n) = (
        jax.jit(training.make_train_epoch(step, 10, unroll=n))(state, train, order)
        for n in (1, unroll)
    )
    assert int(state_n.step) == 21 and int(totals_n.seen) == 205
    for one, other in zip(
        jax.tree.leaves((state_1, totals_1)),
        jax.tree.leaves((state_n, totals_n)),
        strict=True,
    ):
        assert np.allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_a_dry_run_compiles_every_program_and_trains_nothing(
    tmp_path, monkeypatch, digits
):
    def forbidden(*args, **kwargs):
        raise AssertionError("a dry run trains")

    monkeypatch.setattr(ensemble, "fit_many", forbidden)
    monkeypatch.setattr(measure, "time_one", forbidden)
    config = dataclasses.replace(QUICK, output=tmp_path / "run", dry_run=True)
    content = accelerator.main(config)
    names = [program["name"] for program in content["programs"]]
    assert names == [
        "relu_softmax, unrolled 5",
        *("2 of sigmoid_mse", "3 of sigmoid_mse"),
    ]
    # Of one device, which trains its part of the networks.
    batch_size = models.get("sigmoid_mse").recipe.batch_size
    work = (*measure._network("sigmoid_mse"), digits.train.split(200)[0])
    for program, count in zip(content["programs"][1:], (2, 3), strict=True):
        part = -(-count // min(count, jax.local_device_count()))
        expected = ensemble.bytes_of(*work, batch_size=batch_size, num_networks=part)
        assert program["bytes"] == expected > 200 * 28 * 28  # the images


def test_a_broken_off_run_has_what_it_reached(finished):
    rows = finished[2]
    for number in range(len(rows) + 1):
        content = results.results(rows[:number])
        assert page.lead(content)
        for section in page.sections(content):
            if hasattr(section, "figure"):
                assert section.figure().axes[0].lines


def test_a_run_is_redrawn_without_training(finished, monkeypatch):
    path, returned, _ = finished
    assert (path / "report.html").is_file() and (path / "many.png").is_file()

    def draw(picture, dataset):
        return kit_page.Drawn(*picture[:3], dataset.encode())

    monkeypatch.setattr(kit_page, "draw", draw)  # the kit's test draws
    monkeypatch.delattr(measure.ensemble, "fit_many")
    assert accelerator.main(accelerator.Config(redraw=path)) == returned


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"models": ("keras_dense",)}, "models="),
        ({"unroll": (0,)}, r"unroll=\(0,\)"),
        ({"unroll": ()}, "one or more"),
        ({"chunks": (4, 4)}, "each once"),
        ({"networks": 0}, "networks=0"),
        ({"rounds": 0}, "rounds=0"),
        ({"epochs": 0}, "epochs=0"),
    ],
)
def test_bad_settings_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        settings.validate_config(dataclasses.replace(QUICK, **options))
