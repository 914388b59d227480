"""The experiment "control": its parts against NumPy, and one run on digits."""

import contextlib
import csv
import importlib.util
import json
import math
import pickle
import re
import runpy
import shutil
from dataclasses import replace
from functools import partial
from importlib.metadata import requires
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
import scipy.linalg
from sklearn.neighbors import NearestNeighbors
from small import random_layers

from experiments.control import __main__ as control
from experiments.control import beside_keras, descent, gradients, page, programs
from experiments.kit.page import Picture, Table
from jaxnets import devices, process, relu_softmax, training
from jaxnets.errors import InputError, NonFiniteLoss, ProcessFailed
from jaxnets.types import Batch, Dense, Totals, TrainState

SIZES = (784, 16, 10)
EXAMPLES, BATCH_SIZE = 900, 60
EPOCHS = 5
KERAS = importlib.util.find_spec("tensorflow") is not None
TINY = {
    "dataset": "digits",
    "programs": ("numpy_from_scratch",),
    "rounds": 1,
    "keras": KERAS,
    "layer_sizes": SIZES,
    # No short last batch, and the sharpness of as many: less for XLA to compile.
    "examples": EXAMPLES,
    "batch_size": BATCH_SIZE,
    "rates": (0.02, 0.1),
    "epochs": EPOCHS,
    "descent_rates": (0.1, 0.4),
    "descent_steps": 10,
    "sharpness_images": EXAMPLES,
    "gradient_images": 130,  # a chunk and a part of one
    "rate_images": EXAMPLES,  # what is compiled for the experiment's networks serves
    "seed": 1,
}
CHOICES = [[0.02, 0.02], [0.02, 0.1], [0.1, 0.02], [0.1, 0.1]]
TINY_SIZES = (9, 5, 3)  # 68 weights: the whole Hessian can be had


def tiny(count=23):
    """A small network, and images 3x3 of three classes; the same every time."""
    rng = np.random.default_rng(5)
    images = rng.integers(0, 256, (count, 3, 3), np.uint8)
    data = Batch(images, rng.integers(0, 3, count, np.int32))
    return random_layers(TINY_SIZES), data


def flat_of(pairs):
    return np.concatenate([np.ravel(array) for pair in pairs for array in pair])


def hessian_of(params, data, step=1e-5):
    """The Hessian of the mean loss: central differences of the oracle's gradient."""
    network = oracles.network_of(params)

    def gradient():
        _, grads = oracles.batch_gradients(oracles.relu_backprop, network, *data)
        return flat_of(grads)

    rows = []
    for pair in network:
        for array in pair:
            for index in np.ndindex(array.shape):
                kept = array[index]
                array[index] = kept + step
                above = gradient()
                array[index] = kept - step
                rows.append((above - gradient()) / (2 * step))
                array[index] = kept
    return np.array(rows)


@pytest.mark.parametrize("chunk", [5, 100])  # 23 is no multiple of 5
def test_gradient_norms_are_those_of_backpropagation(chunk):
    # Oracle: backpropagation in float64, an example at a time.
    params, data = tiny()
    network = oracles.network_of(params)
    expected, losses = [], []
    for image, label in zip(*data, strict=True):
        loss, _, grads = oracles.relu_backprop(network, image, label)
        expected.append(np.linalg.norm(flat_of(grads)))
        losses.append(loss)
    norms = partial(gradients.gradient_norms, relu_softmax.loss_fn, chunk=chunk)
    # rtol: float32, sums of 68 squares
    np.testing.assert_allclose(jax.jit(norms)(params, data), expected, rtol=1e-5)
    scored, measured, _ = jax.jit(gradients.scores)(params, data)
    np.testing.assert_allclose(scored, expected, rtol=1e-5)
    np.testing.assert_allclose(measured, losses, rtol=1e-5)


def test_the_largest_come_first_and_equals_in_order():
    scores = np.array([1.0, 5.0, 5.0, 9.0, 0.0])
    assert gradients.largest(scores, 4).tolist() == [3, 1, 2, 0]


def test_planted_errors_are_wrong_and_nowhere_else():
    labels = np.arange(1000, dtype=np.int32) % 10
    before = labels.copy()
    planted, rows = gradients.plant_errors(labels, 100, seed=1)
    assert (labels == before).all()  # the caller's labels are left alone
    assert np.flatnonzero(planted != labels).tolist() == rows.tolist()
    assert len(rows) == 100
    assert planted.dtype == labels.dtype
    assert set(planted[rows].tolist()) == set(range(10))


def test_neighbours_are_scikit_learns(digits):
    # Oracle: scikit-learn's search; ties in distance do not occur in these rows.
    data = Batch(digits.train.image[:300], digits.train.label[:300])
    rows = np.array([0, 17, 299])
    vectors = data.image.reshape(300, -1).astype(float)
    search = NearestNeighbors(n_neighbors=8).fit(vectors)
    _, nearest = search.kneighbors(vectors[rows])
    expected = [
        sum(
            data.label[other] == data.label[row]
            for other in row_nearest
            if other != row
        )
        for row, row_nearest in zip(rows, nearest, strict=True)
    ]
    computed = gradients.neighbours_with_label(data, rows, 7)
    assert computed.tolist() == expected


def test_hessian_vector_products_are_the_hessians():
    # Oracle: the whole Hessian by finite differences in float64.
    params, data = tiny()
    hessian = hessian_of(params, data)
    vector = random_layers(TINY_SIZES, seed=8)
    product = jax.jit(descent.hessian_vector_product)
    computed = flat_of(product(params, vector, data))
    # atol: float32 against entries of up to 0.1, differences to 1e-8
    np.testing.assert_allclose(computed, hessian @ flat_of(vector), atol=1e-6)


@pytest.mark.slow
def test_sharpness_is_the_largest_eigenvalue():
    # Oracle: SciPy's eigenvalues of the Hessian by finite differences.
    params, data = tiny()
    largest = scipy.linalg.eigvalsh(hessian_of(params, data))[-1]

    def measure(iterations):
        function = partial(descent.sharpness, iterations=iterations)
        return jax.jit(function)(params, data, jax.random.key(0))

    good, poor = measure(20), measure(2)
    np.testing.assert_allclose(good["eigenvalue"], largest, rtol=1e-5)  # float32
    assert good["residual"] < 1e-3 * largest
    # Two products are not enough, and the residual says so.
    assert poor["eigenvalue"] < 0.999 * largest
    assert largest - poor["eigenvalue"] <= poor["residual"]


def test_lanczos_finds_both_ends_of_a_spectrum():
    # Oracle: the matrix is made from its eigenvalues.
    rng = np.random.default_rng(0)
    orthogonal = np.linalg.qr(rng.standard_normal((60, 60)))[0]
    values = np.r_[-7.0, np.linspace(-1, 1, 58), 5.0]
    matrix = jnp.float32(orthogonal * values @ orthogonal.T)
    start = jnp.float32(rng.standard_normal(60))
    diagonal, beside = descent.lanczos(lambda v: matrix @ v, start, 25)
    computed = scipy.linalg.eigvalsh_tridiagonal(diagonal, beside[:-1])
    np.testing.assert_allclose(computed[[0, -1]], [-7, 5], rtol=1e-5)  # float32


@pytest.mark.slow
def test_descent_takes_the_steps_of_gradient_descent():
    # Oracle: full-batch steps in float64, and SciPy's eigenvalues of the Hessian by
    # finite differences.
    _, data = tiny()
    options = {"layer_sizes": TINY_SIZES, "descent_steps": 5, "sharpness_images": 23}
    config = control.Config(**options, descent_rates=(0.5, 0.1))
    run = SimpleNamespace(config=config, data=SimpleNamespace(train=data))
    [row] = descent.descend(run, jax.random.key(0))
    start = relu_softmax.init(training.run_keys(config.seed).init, TINY_SIZES)
    for column, rate in enumerate(config.descent_rates):
        network = oracles.network_of(start)
        for _ in range(5):
            network = oracles.sgd_step(oracles.relu_backprop, network, *data, rate)
        loss, _ = oracles.batch_gradients(oracles.relu_backprop, network, *data)
        np.testing.assert_allclose(row["loss"][column], loss, rtol=1e-5)  # float32
        params = tuple(Dense(kernel, bias) for kernel, bias in network)
        largest = scipy.linalg.eigvalsh(hessian_of(params, data))[-1]
        sharp = row["sharpness"][column]["eigenvalue"]
        np.testing.assert_allclose(sharp, largest, rtol=1e-4)  # it moved


def test_the_optimizer_takes_each_layers_own_step():
    # Oracle: the rule, by hand.
    params = relu_softmax.init(jax.random.key(0), TINY_SIZES)
    grads = jax.tree.map(jnp.ones_like, params)
    tx = descent.layerwise_sgd(jnp.float32([0.5, 2.0]))
    updates, _ = tx.update(grads, tx.init(params), params)
    assert {float(value) for value in np.ravel(updates[0].kernel)} == {-0.5}
    assert {float(value) for value in updates[1].bias} == {-2.0}


def test_divergence_names_epoch_and_rate(digits, monkeypatch):
    totals = Totals(np.array([9]), np.array([np.nan]), np.array([90]))
    state = TrainState(np.int32(1), relu_softmax.init(jax.random.key(0), (784, 10)), ())
    epoch = training.Epoch(1, state, totals, (totals,), seconds=1.0)
    flat = {"eigenvalue": np.float32(0), "residual": np.float32(0)}
    monkeypatch.setattr(descent, "fit_rates", lambda *_, **__: [epoch])
    monkeypatch.setattr(descent, "sharpness", lambda *_: flat)
    config = control.Config(layer_sizes=(784, 10), rates=(1e38,))
    run = SimpleNamespace(config=config, data=digits)
    with pytest.raises(NonFiniteLoss, match=r"in epoch 1 at learning rate 1e\+38"):
        list(descent.train_all(run, jax.random.key(0)))


SOURCE = '''"""A docstring
of two lines."""

import os  # a comment behind code counts as code

# a comment alone does not


def add(a, b):
    """One line."""

    text = """a text
    over three lines, one of them

    blank"""
    return (
        a
        + b
    ), text


class Thing:
    """Another."""

    size = 3
'''


def test_lines_are_counted_by_hand():
    # Oracle: counted by hand: import, def, 4 of the text, 4 of return, class, size.
    # Of 6 statements each is a logical line.
    assert programs.count(SOURCE) == {"lines": 12, "logical_lines": 6}


def test_comments_blanks_and_docstrings_change_nothing(tmp_path, monkeypatch):
    plain = "@cache\ndef f(x):\n    return [\n        x,\n    ]\n"
    dressed = (
        '# note\n\n@cache\ndef f(x):\n    """Doc.\n\n    More.\n    """\n'
        "    # why\n\n    return [\n        x,  # this\n    ]\n"
    )
    lines = {"lines": 5, "logical_lines": 3}
    assert programs.count(plain) == programs.count(dressed) == lines
    file = tmp_path / "some.py"
    header = "from functools import cache\n\n\n"
    file.write_text(f"{header}{dressed}\n\nclass Other:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    some = importlib.import_module("some")
    assert programs.count_definitions(some.f) == lines
    both = {"lines": 7, "logical_lines": 5}
    assert programs.count_definitions(some.f, some.Other) == both


def test_a_program_is_timed_to_the_line_it_prints(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "somewhere")
    file = tmp_path / "program.py"
    file.write_text(
        "import os, sys, time\n"
        "assert 'JAX_COMPILATION_CACHE_DIR' not in os.environ\n"
        "time.sleep(0.3)\n"
        "print(f'test accuracy {len(sys.argv[1])}.{os.environ[\"DIGIT\"]}')\n"
        "time.sleep(0.6)\n"
    )
    monkeypatch.setenv("DIGIT", "25")
    line, seconds = programs.run_program(str(file), "x")
    assert programs.accuracy_in(line, "program") == 1.25
    assert seconds >= 0.3
    assert programs.imports_of(file) == "import os, sys, time"


def test_without_the_cache_programs_are_compiled_anew():
    def reads_its_program():
        def product(x):  # new each time, so that JAX has to look for its program
            return jnp.linalg.inv(x @ x + 1)

        with devices.cache_use() as use:
            jax.jit(product)(jnp.eye(8))
        return use.all_hits

    reads_its_program()
    assert reads_its_program()
    with programs.without_cache():
        assert not reads_its_program()
    assert reads_its_program()


def test_a_program_that_fails_is_named_with_its_output():
    with pytest.raises(ProcessFailed, match=r"exit code 1:[\s\S]*ValueError: broken"):
        programs.run_program("-c", "raise ValueError('broken')")
    with pytest.raises(ProcessFailed, match="keras_fit printed 'no result'"):
        programs.accuracy_in("no result", "keras_fit")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.keras] if name == "keras_fit" else [])
        for name in programs.PROGRAMS
    ],
)
def test_every_program_learns(name, digits, tmp_path, monkeypatch, capsys):
    file = tmp_path / "data.npz"
    # Whole batches: a short one would be compiled apart. NumPy's has one below.
    np.savez(file, *(array[:1184] for array in digits.train), *digits.test)
    monkeypatch.setattr("sys.argv", [f"{name}.py", str(file)])
    runpy.run_path(str(programs.FOLDER / f"{name}.py"))
    line = capsys.readouterr().out.splitlines()[-1]
    # after one epoch of 37 steps; a guess has 0.1
    assert programs.accuracy_in(line, name) > 0.6


def test_every_program_of_the_folder_takes_part():
    files = {file.stem for file in programs.FOLDER.glob("*.py")}
    assert files - {"__init__"} == set(programs.PROGRAMS)


def test_differences_are_unknown_where_a_number_is_not_finite():
    finite, diverged = np.array([2.0, 1.0]), np.array([np.nan, np.inf])
    for theirs in ((finite, diverged), (diverged, finite)):
        numbers = beside_keras.differences(theirs, (finite, finite))
        assert numbers == {"apart": None, "size": 2.0}
    moved = beside_keras.differences((finite,), (finite - 0.5,), (finite - 3.0,))
    assert moved == {"apart": 0.5, "size": 2.5}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"programs": ("pytorch",)}, "'pytorch'"),
        ({"rounds": 0}, "rounds=0"),
        ({"rates": ()}, "at least one"),
        ({"rates": (0.1, -1.0)}, "-1.0"),
        ({"rates": tuple(range(1, 10))}, "81 networks"),
        ({"descent_rates": (0.0,)}, r"0\.0"),
        ({"descent_steps": 4}, "descent_steps=4"),
        ({"planted": 0.7}, r"planted=0\.7"),
        ({"planted": math.nan}, "planted=nan"),
        ({"gradient_images": 0}, "gradient_images=0"),
        ({"batch_size": 1199}, "1199"),
        ({"layer_sizes": (784, 9)}, "must end with 10"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_bad_settings_are_refused(digits, settings, message):
    with pytest.raises(InputError, match=message):
        control.validate(replace(control.Config(**TINY), **settings), digits)


def test_programs_get_the_arrays_of_the_run_in_their_order(digits, monkeypatch):
    calls = []

    def run_program(*arguments):
        if arguments[0] == "-c":
            return "numpy jax\n", 0.5
        with np.load(arguments[1]) as arrays:
            calls.append((arguments[0], list(arrays.values())))
        return "test accuracy 0.9", 1.0

    monkeypatch.setattr(programs, "run_program", run_program)
    config = control.Config(programs=("flax_nnx",), rounds=1)
    *_, row = programs.measure(SimpleNamespace(config=config, data=digits))
    [(path, arrays)] = calls
    assert path == str(programs.FOLDER / "flax_nnx.py")
    for array, expected in zip(arrays, (*digits.train, *digits.test), strict=True):
        np.testing.assert_array_equal(array, expected)
    assert (row["packages"], row["import_seconds"]) == (["numpy", "jax"], 0.5)


@pytest.mark.slow
@pytest.mark.keras
def test_keras_is_timed_without_what_tensorflow_does_not_bring(digits):
    # Oracle: what the package says that it requires.
    required = {re.split(r"\W", text.lower())[0] for text in requires("tensorflow")}
    assert not required & set(map(str.lower, programs.WITHOUT["keras_fit"]))
    config = control.Config(programs=("keras_fit",), rounds=1)
    *_, row = programs.measure(SimpleNamespace(config=config, data=digits))
    assert row["packages"] == ["numpy", "tensorflow", "keras"]
    assert row["accuracy"] > 0.6  # after one epoch of 37 steps; a guess has 0.1


def test_numpys_program_loads_no_framework():
    # Its seconds are its own: no other program's imports are in them.
    imports = programs.imports_of(programs.FOLDER / "numpy_from_scratch.py")
    line, _ = programs.run_program("-c", f"{imports}\n{programs.LOADED}")
    assert line == "numpy\n"


def test_ratios_are_those_of_the_same_round():
    # Oracle: by hand; the third round was cut short before Keras's turn.
    seconds = {"jax": (1.0, 2.0, 4.0), "keras": (3.0, 2.0)}
    about = {"task": "product", "images": 9, "networks": None}
    rows = [{"part": "way", "way": way, **about} for way in seconds]
    rows += [
        {"part": "beside_keras", "task": "product", "way": way, "seconds": each}
        for way, measured in seconds.items()
        for each in measured
    ]
    ways = control.results(rows)["control"]["beside_keras"]["product"]["ways"]
    assert ways["jax"]["seconds_median"] == 2.0
    assert ways["keras"]["ratio"] == [3.0, 1.0]
    assert ways["keras"]["ratio_median"] == 2.0
    assert ways["keras"]["ratio_range"] == [1.0, 3.0]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One run on digits, what it left behind, and the keys that it drew with.

    Keras runs in this process, where TensorFlow loads once for all tests.
    """
    output = tmp_path_factory.mktemp("control") / "run"
    keys, precisions, calls = [], set(), []
    normal = jax.random.normal

    def recorded_normal(key, *args, **kwargs):
        precisions.add(jax.config.jax_default_matmul_precision)
        jax.debug.callback(lambda words: keys.append(words.tolist()), words_of(key))
        return normal(key, *args, **kwargs)

    def iterate(function, *args, **options):
        calls.append(options)
        sent = []
        function(sent.append, *pickle.loads(pickle.dumps(args)))
        yield from sent

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(programs, "without_cache", contextlib.nullcontext)
        patch.setattr(jax.random, "normal", recorded_normal)
        patch.setattr(process, "iterate", iterate)
        content = control.main(control.Config(**TINY, output=output))
        jax.effects_barrier()
    with open(output / "gradient_norms.csv", newline="") as stream:
        ranking = list(csv.DictReader(stream))
    lines = (output / "metrics.jsonl").read_text().splitlines()
    return SimpleNamespace(
        path=output,
        content=content,
        rows=[json.loads(line) for line in lines],
        ranking=ranking,
        keys=keys,
        precisions=precisions,
        calls=calls,
    )


@pytest.fixture(scope="module")
def train(digits):
    """What the run trains on."""
    return Batch(digits.train.image[:EXAMPLES], digits.train.label[:EXAMPLES])


def words_of(key):
    return jax.random.key_data(jax.random.clone(key))


def test_the_folder_holds_what_was_promised(finished):
    names = {file.name for file in finished.path.iterdir()} - {".lock"}
    pictures = {"rates.png", "sharpness.png", "surprising.png"}
    files = {"config.json", "metrics.jsonl", "results.json", "report.html"}
    assert names == {*files, *pictures, "gradient_norms.csv"}
    assert json.loads((finished.path / "results.json").read_text())["seed"] == 1
    html = (finished.path / "report.html").read_text()
    assert html.count("data:image/png;base64,") == len(pictures)


def test_no_key_is_drawn_from_twice(finished):
    # Those of the initial weights and of the order of the images belong to others.
    keys = training.run_keys(TINY["seed"])
    others = [keys.init, keys.data, keys.extra, jax.random.key(TINY["seed"])]
    others += list(jax.random.split(keys.init, 4))
    others += [jax.random.fold_in(keys.data, epoch) for epoch in range(100)]
    others = {tuple(words_of(key).tolist()) for key in others}
    drawn = {tuple(words) for words in finished.keys}
    assert not drawn & others
    num_sharpness = EPOCHS + 1 + 2  # before and after epochs, and along descent
    num_leaves = 4 * KERAS  # of the vector
    assert len(drawn) == len(finished.keys) == num_sharpness + num_leaves


def test_what_is_compared_is_computed_in_float32(finished):
    # An accelerator would round to fewer bits by default.
    assert finished.precisions == {"highest"}


def test_the_programs_ran_and_their_lines_were_counted(finished):
    ease = finished.content["ease"]
    [(name, entry)] = ease["programs"].items()
    # Oracle: non-blank lines below the module's docstring that are no comment;
    # the program's other docstrings are one line each.
    text = (programs.FOLDER / f"{name}.py").read_text().split('"""', 2)[2]
    lines = [line.strip() for line in text.splitlines()]
    code = [line for line in lines if line and line[0] != "#" and '"""' not in line]
    assert entry["lines"] == len(code)
    assert entry["accuracy"][0] > 0.6  # of digits after one epoch; a guess has 0.1
    assert entry["seconds_median"] == entry["seconds"][0] > 0
    assert entry["seconds_range"] is None  # of one round
    assert entry["packages"] == ["numpy"]


def test_the_combinations_can_be_recounted(finished):
    rates = finished.content["control"]["rates"]
    assert [list(choice) for choice in rates["rates"]] == CHOICES
    assert rates["test_seen"] == 360
    assert all(0 < correct <= 360 for correct in rates["test_correct"])
    first, last = rates["epochs"][0], rates["epochs"][-1]
    assert np.all(np.less(last["train_loss"], first["train_loss"]))
    assert len(rates["epochs"]) == EPOCHS
    sharpness = finished.content["control"]["sharpness"]["records"]
    assert [record["epoch"] for record in sharpness] == list(range(EPOCHS + 1))
    assert sharpness[0]["learning_rates"] == [0.02, 0.1]
    before, after = (record["sharpness"] for record in sharpness[:2])
    assert before[0] == before[1]  # the same weights
    assert after[0] != after[1]


def test_every_network_learns_with_its_own_rates(finished, train):
    # Oracle: backpropagation and SGD with a rate a layer, in float64, for an epoch.
    keys = training.run_keys(TINY["seed"])
    start = relu_softmax.init(keys.init, SIZES)
    order = np.asarray(training.epoch_order(keys.data, 0, EXAMPLES))
    epoch = next(row for row in finished.rows if row["part"] == "rates")
    for index in (1, 2):  # those with another rate in each layer
        network, total = oracles.network_of(start), 0.0
        for indices in np.split(order, EXAMPLES // BATCH_SIZE):
            batch = Batch(train.image[indices], train.label[indices])
            network, loss = step_with_rates(network, batch, CHOICES[index])
            total += loss * BATCH_SIZE
        # float32 rounding, carried through 15 updates
        measured = epoch["train_loss"][index]
        assert measured == pytest.approx(total / EXAMPLES, rel=1e-5)


def step_with_rates(network, batch, rates):
    loss, grads = oracles.batch_gradients(oracles.relu_backprop, network, *batch)
    stepped = [
        tuple(array - rate * grad for array, grad in zip(pair, pair_grads, strict=True))
        for pair, pair_grads, rate in zip(network, grads, rates, strict=True)
    ]
    return stepped, loss


def test_the_ranking_is_that_of_the_examined_network(finished, train):
    # Oracle: the network trained by NumPy in float64, and its gradients.
    keys = training.run_keys(TINY["seed"])
    network = oracles.network_of(relu_softmax.init(keys.init, SIZES))
    for epoch in range(EPOCHS):
        order = np.asarray(training.epoch_order(keys.data, epoch, EXAMPLES))
        sizes = {"batch_size": BATCH_SIZE, "rate": 0.1}
        network, _, _ = oracles.sgd_epoch(
            oracles.relu_backprop, network, *train, order, **sizes
        )
    records = [int(row["record"]) for row in finished.ranking]
    assert sorted(records) == list(range(EXAMPLES))
    norms = [float(row["gradient_norm"]) for row in finished.ranking]
    assert norms == sorted(norms, reverse=True)
    for row in [*finished.ranking[:5], *finished.ranking[-5:]]:
        image, label = (array[int(row["record"])] for array in train)
        loss, logits, grads = oracles.relu_backprop(network, image, label)
        length = math.sqrt(sum(np.sum(a**2) for pair in grads for a in pair))
        # float32 through 75 updates
        assert float(row["gradient_norm"]) == pytest.approx(length, rel=1e-3)
        assert float(row["loss"]) == pytest.approx(loss, rel=1e-3)
        assert int(row["answer"]) == logits.argmax()
        assert int(row["label"]) == label
    shown = finished.content["control"]["gradients"]["largest_norms"]
    expected = [int(row["record"]) for row in finished.ranking[: len(shown)]]
    assert [entry["record"] for entry in shown] == expected
    assert len(shown) == gradients.NUM_SHOWN


def test_planted_errors_are_found_better_than_by_chance(finished):
    planted = finished.content["control"]["planted"]
    assert planted["planted"] == 9  # a hundredth of 900
    assert planted["found_by_chance"] == pytest.approx(0.09)
    assert 2 <= planted["found_by_norm"] <= 9  # by chance in 1 of 270 cases
    assert 3 <= planted["found_by_loss"] <= 9


def test_descent_is_recorded(finished):
    descent = finished.content["control"]["descent"]
    assert [record["step"] for record in descent["records"]] == [5, 10]
    assert descent["images"] == EXAMPLES
    for column in (0, 1):  # both rates are small enough to descend
        first, last = (record["loss"][column] for record in descent["records"])
        assert last < first < 1.2 * math.log(10)  # log(10) is a guess's loss


@pytest.mark.keras
def test_keras_computes_the_same(finished):
    # Oracle: tf.keras, on the same weights and images.
    [options] = finished.calls  # a process of its own, once
    assert options == {"without": process.KERAS_DOES_WITHOUT, "lockstep": True}
    tasks = finished.content["control"]["beside_keras"]
    ways = {(name, way) for name, task in tasks.items() for way in task["ways"]}
    assert ways == set(beside_keras.WAYS)
    for task in tasks.values():
        for way, entry in task["ways"].items():
            assert len(entry["seconds"]) == TINY["rounds"]
            if way not in ("jax", "one_by_one"):
                # float32, sums of 784 terms in another order
                assert entry["apart"] < 1e-4 * entry["size"]
                assert entry["size"] > 0.01  # there is something to differ


def test_a_run_is_redrawn_without_training(finished, tmp_path, monkeypatch):
    shutil.copytree(finished.path, tmp_path / "run")
    for name in ("results.json", "report.html", "rates.png"):
        (tmp_path / "run" / name).unlink()
    monkeypatch.setattr(control, "measure", untouched)
    content = control.main(control.Config(redraw=tmp_path / "run"))
    expected = json.loads(json.dumps(finished.content))
    assert content["control"] == expected["control"]
    assert content["ease"] == expected["ease"]
    assert (tmp_path / "run" / "rates.png").read_bytes().startswith(b"\x89PNG")


def untouched(run):
    """Rows that nobody may ask for."""
    pytest.fail(f"{run.name} is measured again")
    yield


def test_whatever_was_reached_can_be_shown(finished, train):
    # A run may end after any row.
    shown = []
    for length in range(len(finished.rows) + 1):
        content = control.results(finished.rows[:length])
        json.dumps(content, allow_nan=False)
        sections = list(page.sections(train.image, **content))
        for section in sections:
            is_new = section.title not in shown
            if isinstance(section, Table):
                assert {len(row) for row in section.rows} == {len(section.header)}
            elif is_new:
                assert section.figure().axes
            if is_new:
                shown.append(section.title)
        assert page.lead(**content)
    assert sum(isinstance(section, Picture) for section in sections) == 3


def test_numbers_that_are_not_finite_stand_as_dashes(finished, train):
    rows = [dict(row) for row in finished.rows]
    for row in rows:
        if row["part"] == "descent":
            row["sharpness"] = [{"eigenvalue": None, "residual": None}] * 2
        if row["part"] == "way":
            row["apart"] = None
    content = control.results(rows)
    shown = {
        section.title: section for section in page.sections(train.image, **content)
    }
    assert shown["Sharpness of the loss"].figure().axes
    assert page.lead({"programs": {}}, {}).count("-") > 5
    if KERAS:
        table = page.keras_table(content["control"]["beside_keras"])
        assert {row[-1] for row in table.rows} == {"-"}
