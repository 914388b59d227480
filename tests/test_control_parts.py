"""Looking inside a network: gradients one by one, curvature, rates a layer, lines."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
import scipy.linalg
from sklearn.neighbors import NearestNeighbors

from experiments.control import (
    curvature,
    layer_rates,
    line_counts,
    per_example,
    timed_programs,
)
from jaxnets import relu_softmax, training
from jaxnets.errors import InputError, ProcessFailed
from jaxnets.types import Batch

SIZES = (9, 5, 3)  # 68 weights: the whole Hessian can be had


def tiny(count=23):
    """A small network, and images 3x3 of three classes; the same every time."""
    rng = np.random.default_rng(5)
    images = rng.integers(0, 256, (count, 3, 3), np.uint8)
    data = Batch(images, rng.integers(0, 3, count, np.int32))
    return relu_softmax.init(jax.random.key(2), SIZES), data


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
    norms = jax.jit(
        lambda *args: per_example.gradient_norms(
            relu_softmax.loss_fn, *args, chunk=chunk
        )
    )
    # rtol: float32, sums of 68 squares
    np.testing.assert_allclose(norms(params, data), expected, rtol=1e-5)
    found = per_example.example_losses(relu_softmax.loss_fn, params, data)
    np.testing.assert_allclose(found, losses, rtol=1e-5)


def test_a_dense_layers_gradient_norm_is_input_times_delta():
    # Oracle: one layer's gradient is the outer product of the input, with a 1 for
    # the bias, and p - y; its norm is the product of their norms.
    _, data = tiny()
    params = relu_softmax.init(jax.random.key(4), (9, 3))
    vectors = data.image.reshape(-1, 9) / 255
    logits = vectors @ np.float64(params[0].kernel)
    delta = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    delta[np.arange(23), data.label] -= 1
    lengths = np.sqrt((vectors**2).sum(axis=1) + 1)
    found = per_example.gradient_norms(relu_softmax.loss_fn, params, data)
    expected = lengths * np.linalg.norm(delta, axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)  # float32


def test_the_largest_come_first_and_equals_in_order():
    scores = np.array([1.0, 5.0, 5.0, 9.0, 0.0])
    assert per_example.largest(scores, 4).tolist() == [3, 1, 2, 0]


def test_planted_errors_are_wrong_and_nowhere_else():
    labels = np.arange(1000, dtype=np.int32) % 10
    before = labels.copy()
    planted, rows = per_example.plant_errors(labels, 100, 10, seed=1)
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
        sum(data.label[other] == data.label[row] for other in found if other != row)
        for row, found in zip(rows, nearest, strict=True)
    ]
    found = per_example.neighbours_with_label(data, rows, 7)
    assert found.tolist() == expected


@pytest.mark.parametrize("chunk", [4, 23])  # 4 leaves a short chunk of 3
def test_hessian_vector_products_are_the_hessians(chunk):
    # Oracle: the whole Hessian by finite differences in float64.
    params, data = tiny()
    hessian = hessian_of(params, data)
    vector = relu_softmax.init(jax.random.key(8), SIZES)
    product = curvature.make_product(relu_softmax.loss_fn, data, chunk)
    found = flat_of(jax.jit(product)(params, vector))
    # atol: float32 against entries of up to 0.1, differences to 1e-8
    np.testing.assert_allclose(found, hessian @ flat_of(vector), atol=1e-6)


def test_sharpness_is_the_largest_eigenvalue():
    # Oracle: SciPy's eigenvalues of the Hessian by finite differences.
    params, data = tiny()
    largest = scipy.linalg.eigvalsh(hessian_of(params, data))[-1]

    def measure(iterations):
        return jax.jit(
            lambda *args: curvature.sharpness(
                relu_softmax.loss_fn, *args, iterations=iterations
            )
        )(params, data, jax.random.key(0))

    good, poor = measure(20), measure(2)
    np.testing.assert_allclose(good.eigenvalue, largest, rtol=1e-5)  # float32
    assert good.residual < 1e-3 * largest
    # Two products are not enough, and the residual says so.
    assert poor.eigenvalue < 0.999 * largest
    assert largest - poor.eigenvalue <= poor.residual


def test_lanczos_finds_both_ends_of_a_spectrum():
    # Oracle: the matrix is made from its eigenvalues.
    rng = np.random.default_rng(0)
    orthogonal = np.linalg.qr(rng.standard_normal((60, 60)))[0]
    values = np.r_[-7.0, np.linspace(-1, 1, 58), 5.0]
    matrix = jnp.float32(orthogonal * values @ orthogonal.T)
    start = jnp.float32(rng.standard_normal(60))
    diagonal, beside = curvature.lanczos(lambda v: matrix @ v, start, 25)
    found = scipy.linalg.eigvalsh_tridiagonal(diagonal, beside[:-1])
    np.testing.assert_allclose(found[[0, -1]], [-7, 5], rtol=1e-5)  # float32


def test_descent_takes_the_steps_of_gradient_descent():
    # Oracle: full-batch steps in float64.
    params, data = tiny()
    network = oracles.network_of(params)
    for _ in range(4):
        network = oracles.sgd_step(oracles.relu_backprop, network, *data, 0.5)
    loss, _ = oracles.batch_gradients(oracles.relu_backprop, network, *data)
    descent = jax.jit(curvature.make_descent(relu_softmax.loss_fn, 4))
    stepped, found, sharp = descent(params, 0.5, data, jax.random.key(0))
    np.testing.assert_allclose(flat_of(stepped), flat_of(network), atol=1e-6)  # float32
    np.testing.assert_allclose(found, loss, rtol=1e-5)
    largest = scipy.linalg.eigvalsh(hessian_of(stepped, data))[-1]
    np.testing.assert_allclose(sharp.eigenvalue, largest, rtol=1e-4)  # it moved


def test_combinations_are_all_there():
    rates = layer_rates.combinations((0.1, 0.5), 3)
    assert rates.shape == (8, 3)
    assert rates[0].tolist() == pytest.approx([0.1] * 3)
    assert rates[-1].tolist() == pytest.approx([0.5] * 3)
    assert len({tuple(row) for row in rates.tolist()}) == 8


def test_every_combination_becomes_what_it_becomes_alone(digits):
    # Oracle: backpropagation and SGD with a rate a layer, in float64.
    train = Batch(digits.train.image[:120], digits.train.label[:120])
    params = relu_softmax.init(jax.random.key(1), (784, 12, 10))
    key = jax.random.key(6)
    together = layer_rates.fit_rates(
        relu_softmax.loss_fn,
        params,
        layer_rates.combinations((0.02, 0.3), 2),
        train,
        [digits.validation],
        batch_size=50,  # the last batch has 20
        num_epochs=2,
        key=key,
    )
    *_, last = together
    for place, rates in enumerate(itertools.product((0.02, 0.3), repeat=2)):
        network = oracles.network_of(params)
        for epoch in range(2):
            order = np.asarray(training.epoch_order(key, epoch, 120))
            for rows in np.split(order, [50, 100]):
                network = step_with_rates(network, *(a[rows] for a in train), rates)
        found = jax.tree.map(lambda leaf, place=place: leaf[place], last.params)
        # float32 rounding, carried through 6 updates
        np.testing.assert_allclose(flat_of(found), flat_of(network), atol=1e-6)
    # Oracle: NumPy's forward pass of the last one, in float64.
    hidden = digits.validation.image.reshape(239, -1) / 255 @ network[0][0]
    logits = np.maximum(hidden + network[0][1], 0) @ network[1][0] + network[1][1]
    assert last.held_out[0].seen.tolist() == [239] * 4
    correct = np.sum(logits.argmax(axis=1) == digits.validation.label)
    # An image on the border may fall to the other side of it.
    assert abs(last.held_out[0].correct[3] - correct) <= 1


def step_with_rates(network, images, labels, rates):
    _, grads = oracles.batch_gradients(oracles.relu_backprop, network, images, labels)
    return [
        tuple(array - rate * grad for array, grad in zip(pair, pair_grads, strict=True))
        for pair, pair_grads, rate in zip(network, grads, rates, strict=True)
    ]


def test_rates_refuse_a_batch_that_does_not_fit(digits):
    params = relu_softmax.init(jax.random.key(1), (784, 10))
    rates = np.float32([[0.1]])
    settings = {"batch_size": 1199, "num_epochs": 1, "key": jax.random.key(6)}
    arguments = (relu_softmax.loss_fn, params, rates, digits.train, [])
    with pytest.raises(InputError, match="batch_size=1199"):
        next(layer_rates.fit_rates(*arguments, **settings))


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
    """Another."""; size = 3
'''


def test_lines_are_counted_by_hand():
    # Oracle: counted by hand: import, def, 4 of the text, 4 of return, class.
    # A docstring's line does not count, nor what shares it.
    assert line_counts.count(SOURCE) == (11, 5)


def test_comments_blanks_and_docstrings_change_nothing(tmp_path):
    plain = "@staticmethod\ndef f(x):\n    return [\n        x,\n    ]\n"
    dressed = (
        '# note\n\n@staticmethod\ndef f(x):\n    """Doc.\n\n    More.\n    """\n'
        "    # why\n\n    return [\n        x,  # this\n    ]\n"
    )
    assert line_counts.count(plain) == line_counts.count(dressed) == (5, 3)
    file = tmp_path / "some.py"
    file.write_text(f"import os\n\n\n{dressed}\n\nclass Other:\n    pass\n")
    assert line_counts.of_file(file) == (8, 6)
    assert line_counts.of_definitions(file, ["f"]) == (5, 3)
    assert line_counts.of_definitions(file, ["f", "Other"]) == (7, 5)
    with pytest.raises(LookupError, match=r"some\.py defines no g"):
        line_counts.of_definitions(file, ["g"])


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
    done = timed_programs.run(file, ["x"], {"DIGIT": "25"})
    assert done.accuracy == 1.25
    assert done.seconds >= 0.3
    assert timed_programs.imports_of(file) == "import os, sys, time"
    assert timed_programs.run("print()").accuracy is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise ValueError('broken')", r"exit code 1:[\s\S]*ValueError: broken"),
        ("print('no result')", r"exit code 0:\nprinted 'no result"),
    ],
)
def test_a_program_that_fails_is_told_with_its_output(tmp_path, text, message):
    file = tmp_path / "program.py"
    file.write_text(text)
    with pytest.raises(ProcessFailed, match=message):
        timed_programs.run(file)


def test_the_optimizer_takes_each_layers_own_step():
    # Oracle: the rule, by hand.
    params = relu_softmax.init(jax.random.key(0), SIZES)
    grads = jax.tree.map(jnp.ones_like, params)
    tx = layer_rates.layerwise_sgd(jnp.float32([0.5, 2.0]))
    updates, _ = tx.update(grads, tx.init(params), params)
    assert {float(value) for value in np.ravel(updates[0].kernel)} == {-0.5}
    assert {float(value) for value in updates[1].bias} == {-2.0}
