"""Neurons against truth tables, Python's integers, NumPy in float64 and SciPy."""

import itertools
from functools import partial

import chex
import jax
import numpy as np
import pytest
from scipy.special import expit
from small import order_of

from jaxnets.data import first_examples
from jaxnets.errors import InputError
from jaxnets.neurons import cascade, gates, sigmoid, ten_class
from jaxnets.neurons.cascade import Timing, spread
from jaxnets.neurons.learning import NO_EXAMPLE, learn_pass, silent
from jaxnets.neurons.perceptron import Neuron, fire
from jaxnets.pixels import to_vectors
from jaxnets.training import run_keys
from jaxnets.types import Batch, Dense

BITS = np.array([(0, 0), (0, 1), (1, 0), (1, 1)])


def slow_rule(inputs, targets, max_passes):
    """The learning rule with Python's integers; the last is the mistakes by pass."""
    weights, bias, mistakes = [0] * len(inputs[0]), 0, []
    while len(mistakes) < max_passes and 0 not in mistakes:
        wrong = 0
        for row, target in zip(inputs.tolist(), targets.tolist(), strict=True):
            total = sum(w * x for w, x in zip(weights, row, strict=True)) + bias
            error = target - int(total > 0)
            wrong += error != 0
            weights = [w + error * x for w, x in zip(weights, row, strict=True)]
            bias += error
        mistakes.append(wrong)
    return weights, bias, mistakes


# The perceptron


@pytest.mark.parametrize("threshold", [-2.0, 0.0, 1.0, 2.5])
def test_a_perceptron_fires_above_its_threshold_and_not_at_it(threshold):
    # Oracle: the rule, spelled out in Python. Threshold 1 meets equal sums.
    weights = [1.0, -2.0, 3.0]
    neuron = Neuron(np.array(weights, np.float32), np.float32(-threshold))
    inputs = np.array(list(itertools.product((0, 1), repeat=3)))
    expected = [
        int(sum(w * x for w, x in zip(weights, row, strict=True)) > threshold)
        for row in inputs.tolist()
    ]
    assert jax.jit(fire)(neuron, inputs).tolist() == expected
    assert int(fire(neuron, inputs[3])) == expected[3]
    many = jax.ShapeDtypeStruct((2, 4, 3), bool)
    assert jax.eval_shape(fire, neuron, many).shape == (2, 4)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([0.5, 1], "0 or 1, not 0.5"),
        ([[0, 1], [2, 0]], "0 or 1, not 2"),
        ([np.nan, 0], "not nan"),
        ([0, 1, 1], "2 values"),
        ([[0], [1]], "2 values"),
        (1, "2 values"),
    ],
)
def test_a_perceptron_refuses_other_inputs(inputs, message):
    with pytest.raises(InputError, match=message):
        fire(gates.NAND, inputs)


def test_a_wrong_length_is_refused_under_jit_too():
    with pytest.raises(InputError, match="2 values"):
        jax.jit(fire)(gates.NAND, np.zeros((5, 3)))


# Logic


@pytest.mark.parametrize(
    ("gate", "truth"),
    [
        (gates.nand, [1, 1, 1, 0]),
        (gates.and_gate, [0, 0, 0, 1]),
        (gates.or_gate, [0, 1, 1, 1]),
        (gates.nor_gate, [1, 0, 0, 0]),
        (gates.xor_gate, [0, 1, 1, 0]),
    ],
)
def test_gates_have_their_truth_tables(gate, truth):
    first, second = BITS.T
    assert gate(first, second).tolist() == truth
    assert jax.jit(gate)(first, second).tolist() == truth
    assert gates.not_gate(first).tolist() == [1, 1, 0, 0]


def test_gates_refuse_what_is_no_bit():
    with pytest.raises(InputError, match=r"not 0\.5"):
        gates.and_gate(0.5, 1)


@pytest.mark.parametrize(
    ("circuit", "num_inputs", "num_perceptrons"),
    [(gates.xor_gate, 2, 4), (gates.half_adder, 2, 5), (gates.full_adder, 3, 9)],
)
def test_circuits_hold_nothing_but_so_many_nands(circuit, num_inputs, num_perceptrons):
    # Oracle: the traced program. A perceptron is one product, and no other operation
    # makes bits: without NAND the sum cannot be had.
    program = str(jax.make_jaxpr(circuit)(*[np.int32(0)] * num_inputs))
    assert program.count("dot_general") == num_perceptrons
    for operation in (" xor ", " and ", " or ", " not "):
        assert operation not in program


@pytest.mark.parametrize("num_bits", [1, 5])
def test_the_adder_adds_all_numbers(num_bits):
    # Oracle: Python's integers.
    pairs = np.array(list(itertools.product(range(2**num_bits), repeat=2)))
    places = np.arange(num_bits)[:, None]
    first, second = (numbers >> places & 1 for numbers in pairs.T)
    total = jax.jit(gates.add_bits)(first, second)
    assert total.shape == (num_bits + 1, len(pairs))
    numbers = [sum(bit << i for i, bit in enumerate(bits)) for bits in total.T.tolist()]
    assert numbers == [a + b for a, b in pairs.tolist()]


# Learning


def test_a_pass_is_the_rule_weight_for_weight():
    # Oracle: Python's integers; equal, as whole numbers are exact in float32.
    rng = np.random.default_rng(0)
    inputs = rng.integers(0, 2, (70, 6)).astype(np.uint8)
    targets = rng.integers(0, 2, 70).astype(np.int32)
    weights, bias, mistakes = slow_rule(inputs, targets, 2)
    filled = np.insert(inputs, [0, 20], 1, axis=0)  # rows that are no examples
    marked = np.insert(targets, [0, 20], NO_EXAMPLE)
    one_pass = jax.jit(learn_pass)
    neuron, first = one_pass(jax.device_get(silent(6)), filled, marked)
    neuron, second = one_pass(neuron, filled, marked)
    assert [int(first), int(second)] == mistakes
    assert (neuron.weights.tolist(), float(neuron.bias)) == (weights, bias)


def test_with_a_sigmoid_the_rule_descends_on_the_cross_entropy():
    # Oracle: the same steps in NumPy float64.
    rng = np.random.default_rng(0)
    inputs = rng.integers(0, 2, (40, 5)).astype(np.uint8)
    targets = rng.integers(0, 2, 40)
    weights, bias = np.zeros(5), 0.0
    for row, target in zip(inputs, targets, strict=True):
        error = target - expit(row @ weights + bias)
        weights, bias = weights + 0.3 * error * row, bias + 0.3 * error
    descend = partial(learn_pass, activation=jax.nn.sigmoid, rate=0.3)
    neuron, _ = jax.jit(descend)(silent(5), inputs, targets)
    # float32 rounding of 40 steps
    np.testing.assert_allclose(neuron.weights, weights, atol=1e-6)
    np.testing.assert_allclose(neuron.bias, bias, atol=1e-6)


# The sigmoid neuron


def test_a_sigmoid_neuron_and_its_linear_prediction():
    # Oracles: SciPy in float64, and central differences of it.
    rng = np.random.default_rng(1)
    weights, delta, inputs = rng.normal(size=(3, 6)).astype(np.float32)
    inputs = expit(inputs)
    neuron, change = Neuron(weights, np.float32(0.3)), Neuron(delta, np.float32(-0.7))

    def moved(size):
        total = inputs.astype(np.float64) @ (weights + size * delta.astype(np.float64))
        return expit(total + 0.3 - 0.7 * size)

    # float32, 6-term sums
    np.testing.assert_allclose(sigmoid.output(neuron, inputs), moved(0), rtol=1e-6)
    slope = (moved(1e-5) - moved(-1e-5)) / 2e-5
    predicted = sigmoid.predicted_change(neuron, inputs, change)
    np.testing.assert_allclose(predicted, slope, rtol=1e-5)
    steep = Neuron(1e4 * weights, np.float32(3e3))  # the perceptron is its limit
    assert float(sigmoid.output(steep, inputs)) == float(inputs @ weights + 0.3 > 0)


@pytest.mark.parametrize("inputs", [[0.2, 1.5], [-0.1, 0], [np.nan, 0], [255, 0]])
def test_a_sigmoid_neuron_refuses_inputs_beyond_0_and_1(inputs):
    with pytest.raises(InputError, match="between 0 and 1, not"):
        sigmoid.output(gates.NAND, inputs)
    with pytest.raises(InputError, match="2 values"):
        sigmoid.output(gates.NAND, [0.5])


# Ten classes


def slow_ten_classes(pixels, labels, orders):
    """The rule image by image in float64: mistakes, layer, mean over all steps."""
    layer, mean = (Dense(np.zeros((pixels.shape[1], 10)), np.zeros(10)) for _ in "12")
    mistakes, steps = [], 0
    for order in orders:
        mistakes.append(0)
        for place in order:
            row, label = pixels[place], labels[place]
            guess = np.argmax(row @ layer.kernel + layer.bias)
            if guess != label:
                mistakes[-1] += 1
                for neuron, sign in ((label, 1), (guess, -1)):
                    layer.kernel[:, neuron] += sign * row
                    layer.bias[neuron] += sign
            steps += 1
            for average, now in zip(mean, layer, strict=True):
                np.add(average, (now - average) / steps, out=average)
    return mistakes, layer, mean


LEARN_EPOCH = jax.jit(ten_class.make_learn_epoch(to_vectors))
COUNT_CORRECT = jax.jit(ten_class.count_correct, static_argnums=2)


@pytest.mark.parametrize("binary", [True, False])
def test_ten_classes_learn_as_if_image_came_after_image(digits, binary):
    # Oracle: NumPy in float64. Binary sums are whole numbers, so equal; grey ones are
    # float32 sums of some tens of changes. 150 images are two blocks and a rest.
    order = np.random.default_rng(0).permutation(150).astype(np.int32)
    data = digits.train
    if binary:
        data = data._replace(image=np.where(data.image > 127, 255, 0).astype(np.uint8))
    pixels = data.image.reshape(-1, 784) / 255
    mistakes, layer, mean = slow_ten_classes(pixels, data.label, [order] * 2)
    filled = np.append(order, [1198, 5000]).astype(np.int32)  # those are no examples
    learner, counts = ten_class.start(784, 10), []
    for _ in range(2):
        learner, count = LEARN_EPOCH(learner, data, filled)
        counts.append(int(count))
    assert counts == mistakes
    tolerance = 0 if binary else 1e-4
    chex.assert_trees_all_close(learner.layer, layer, atol=tolerance, rtol=0)
    chex.assert_trees_all_close(learner.average, mean, atol=1e-4, rtol=0)
    right = np.argmax(pixels @ layer.kernel + layer.bias, axis=1) == data.label
    assert int(COUNT_CORRECT(learner.layer, data, to_vectors)) == (
        pytest.approx(right.sum(), abs=0 if binary else 1)
    )


def test_ink_is_darker_than_half(digits):
    images = digits.train.image[:50]
    expected = images.reshape(50, 784) > 127
    np.testing.assert_array_equal(jax.jit(ten_class.ink)(images), expected)


def test_two_classes_are_the_perceptron_learning_rule():
    # Oracle: Python's integers, on random labels that no plane divides.
    rng = np.random.default_rng(2)
    bits = rng.integers(0, 2, (70, 6)).astype(np.uint8)
    targets = rng.integers(0, 2, 70).astype(np.int32)
    weights, bias, mistakes = slow_rule(bits, targets, 3)
    # In the shapes that are compiled already. Eight classes have no image: their sums
    # stay 0, and of two opposite sums the larger one wins, the first in a tie.
    images, labels = np.zeros((1198, 784), np.uint8), np.zeros(1198, np.int32)
    images[:70, :6], labels[:70] = bits * 255, targets
    data = Batch(images.reshape(1198, 28, 28), labels)
    order = np.append(np.arange(70), np.full(82, 1198)).astype(np.int32)
    learner, counts = ten_class.start(784, 10), []
    for _ in range(3):
        learner, count = LEARN_EPOCH(learner, data, order)
        counts.append(int(count))
    assert counts == mistakes
    kernel, biases = map(np.asarray, learner.layer)
    assert kernel[:6, 1].tolist() == weights
    assert float(biases[1]) == bias
    np.testing.assert_array_equal(kernel.sum(axis=1), 0)
    assert not kernel[:, 2:].any() and not kernel[6:].any()


def test_baselines_are_counted(digits):
    # Oracles: NumPy's counts; the rule by hand, with the order that is documented:
    # that of the seed's data key and the epoch.
    digits = first_examples(digits, 300)
    labels = digits.train.label
    frequent = np.bincount(labels).argmax()
    found = ten_class.baselines(digits, 3)
    assert found.most_frequent_class == frequent
    assert found.most_frequent_accuracy == np.mean(digits.test.label == frequent)
    pixels = digits.train.image.reshape(-1, 784) / 255
    key = run_keys(3).data
    orders = [order_of(key, epoch, len(labels)) for epoch in range(3)]
    average = slow_ten_classes(pixels, labels, orders)[2]
    sums = digits.test.image.reshape(-1, 784) / 255 @ average.kernel + average.bias
    right = np.mean(sums.argmax(axis=1) == digits.test.label)
    # One image of 360 may lie within rounding of the border.
    assert found.perceptron_accuracy == pytest.approx(right, abs=0.003)
    assert found.perceptron_epochs == 3
    with pytest.raises(InputError, match="labels"):
        shifted = digits.train._replace(label=labels + 1)
        ten_class.baselines(digits._replace(train=shifted), 3)


@pytest.mark.parametrize(
    "setting", [{"jax_enable_x64": True}, {"jax_numpy_dtype_promotion": "strict"}]
)
def test_neurons_are_float32_whatever_the_defaults(digits, setting):
    # Tracing is enough: there every dtype is decided, and a mismatch raises.
    [(name, value)] = setting.items()
    before = getattr(jax.config, name)
    jax.config.update(name, value)
    try:
        learned = jax.eval_shape(
            ten_class.make_learn_epoch(to_vectors),
            jax.eval_shape(lambda: ten_class.start(784, 10)),
            digits.train,
            np.arange(70, dtype=np.int32),
        )
        neuron = jax.eval_shape(lambda: silent(2))
        learned += jax.eval_shape(learn_pass, neuron, BITS, BITS[:, 0])
        jax.eval_shape(gates.add_bits, BITS, BITS.astype(np.uint8))
        jax.eval_shape(
            lambda fires: spread(cascade.ring(3), fires, Timing()),
            np.ones((4, 3), bool),
        )
    finally:
        jax.config.update(name, before)
    kinds = {leaf.dtype.name for leaf in jax.tree.leaves(learned)}
    assert kinds == {"float32", "int32"}


# Cascades


def slow_cascade(kernel, bias, stimulus, timing):
    """Each neuron's bursts from the bursts before, step by step in Python."""
    steps, num_neurons = stimulus.shape
    fires = np.zeros((steps, num_neurons), bool)
    deaf_until = [0] * num_neurons
    for now in range(steps):
        for neuron in range(num_neurons):
            then = now - timing.delay
            total = bias[neuron]
            if then >= 0:
                total += sum(kernel[i, neuron] for i in np.flatnonzero(fires[then]))
            wanted = total > 0 or stimulus[now, neuron]
            if wanted and now >= deaf_until[neuron]:
                fires[now : now + timing.duration, neuron] = True
                deaf_until[neuron] = now + timing.duration + timing.rest
    return fires


SPREAD = jax.jit(spread, static_argnums=2)  # of 9 neurons in 40 steps


@pytest.mark.parametrize("timing", [Timing(1, 1, 1), Timing(2, 5, 4)])
def test_a_cascade_is_what_slow_neurons_do(timing):
    # Oracle: Python, neuron by neuron; whole weights, so equal.
    rng = np.random.default_rng(timing.duration)
    kernel = rng.integers(-1, 3, (9, 9)).astype(np.float32)
    bias = -rng.integers(1, 4, 9).astype(np.float32)
    stimulus = rng.random((40, 9)) < 0.05
    stimulus[0, 0] = True
    expected = slow_cascade(kernel, bias, stimulus, timing)
    assert expected.sum() > stimulus.sum()
    fires = SPREAD(Dense(kernel, bias), stimulus, timing)
    np.testing.assert_array_equal(fires, expected)
    still = SPREAD(Dense(kernel, bias), np.zeros_like(stimulus), timing)
    assert not np.any(still)


@pytest.mark.parametrize("timing", [Timing(1, 1, 1), Timing(2, 3, 2)])
def test_a_pulse_goes_round_a_ring(timing):
    # Oracle: arithmetic. Neuron i fires first at i * delay; round after round.
    size, steps = 9, 40
    stimulus = np.zeros((steps, size), bool)
    stimulus[0, 0] = True
    fires = np.asarray(SPREAD(cascade.ring(size), stimulus, timing))
    for neuron in range(size):
        expected = np.zeros(steps, bool)
        for begin in range(neuron * timing.delay, steps, size * timing.delay):
            expected[begin : begin + timing.duration] = True
        np.testing.assert_array_equal(fires[:, neuron], expected)


def test_an_output_acts_after_the_delay_and_not_in_the_same_step():
    # Oracle: a neuron that excites itself and another one, followed by hand.
    net = Dense(np.array([[1, 1], [0, 0]], np.float32), np.full(2, -0.5, np.float32))
    stimulus = np.zeros((8, 2), bool)
    stimulus[1, 0] = True
    fires = np.asarray(SPREAD(net, stimulus, Timing(duration=2, delay=3, rest=1)))
    assert fires[:, 0].tolist() == [0, 1, 1, 0, 1, 1, 0, 1]
    assert fires[:, 1].tolist() == [0, 0, 0, 0, 1, 1, 0, 1]
    changed = stimulus.copy()
    changed[5, 1] = True  # what comes later changes nothing before
    later = np.asarray(SPREAD(net, changed, Timing(2, 3, 1)))
    np.testing.assert_array_equal(later[:5], fires[:5])


@pytest.mark.parametrize(
    ("timing", "shape", "message"),
    [
        (Timing(duration=0), (5, 4), "duration of 0"),
        (Timing(delay=-2), (5, 4), "delay of -2"),
        (Timing(rest=0), (5, 4), "rest of 0"),
        (Timing(duration=1.5), (5, 4), "duration of 1.5"),
        (Timing(), (5, 3), r"\[steps, 4\]"),
        (Timing(), (4,), r"\[steps, 4\]"),
    ],
)
def test_impossible_cascades_are_refused(timing, shape, message):
    four = Dense(np.zeros((4, 4), np.float32), np.zeros(4, np.float32))
    with pytest.raises(InputError, match=message):
        spread(four, np.zeros(shape, bool), timing)
    with pytest.raises(InputError, match=r"\[3, 4\]"):
        spread(Dense(np.zeros((3, 4)), np.zeros(4)), np.zeros((5, 4)), Timing())
