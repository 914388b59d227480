"""Neurons against truth tables, Python integers, NumPy in float64 and SciPy."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from scipy.special import expit

from experiments.neurons import (
    digit_pairs,
    importance,
    logic_check,
    loops,
    small_changes,
)
from experiments.neurons.convergence import BLOCK, learn, make_examples
from jaxnets.errors import InputError
from jaxnets.neurons import cascade, gates, sigmoid, ten_class
from jaxnets.neurons.cascade import Timing, spread
from jaxnets.neurons.learning import learn_pass, neurons_by_pass, silent
from jaxnets.neurons.perceptron import Neuron, all_inputs, fire, with_threshold
from jaxnets.pixels import to_vectors
from jaxnets.types import Batch, Dense

BITS = [(0, 0), (0, 1), (1, 0), (1, 1)]


def slow_rule(inputs, targets, max_passes):
    """The learning rule with Python's integers; the last is the mistakes by pass."""
    weights, bias, mistakes = [0] * len(inputs[0]), 0, []
    for _ in range(max_passes):
        wrong = 0
        for row, target in zip(inputs.tolist(), targets.tolist(), strict=True):
            total = sum(w * x for w, x in zip(weights, row, strict=True)) + bias
            error = target - int(total > 0)
            wrong += error != 0
            weights = [w + error * x for w, x in zip(weights, row, strict=True)]
            bias += error
        mistakes.append(wrong)
        if wrong == 0:
            break
    return weights, bias, mistakes


def separable(inputs, targets):
    """Whether a plane divides the classes: SciPy's linear program finds one."""
    signs = np.where(targets == 1, -1.0, 1.0)[:, None]
    rows = signs * np.column_stack([inputs, np.ones(len(inputs))])
    found = scipy.optimize.linprog(
        np.zeros(rows.shape[1]),
        A_ub=rows,
        b_ub=-np.ones(len(rows)),
        bounds=(None, None),
    )
    return found.status == 0


# The perceptron


@pytest.mark.parametrize("threshold", [-2.0, 0.0, 1.0, 2.5])
def test_a_perceptron_fires_above_its_threshold_and_not_at_it(threshold):
    # Oracle: the rule, spelled out in Python. Threshold 1 meets equal sums.
    weights = [1.0, -2.0, 3.0]
    neuron = with_threshold(weights, threshold)
    inputs = np.array(list(itertools.product((0, 1), repeat=3)))
    expected = [
        int(sum(w * x for w, x in zip(weights, row, strict=True)) > threshold)
        for row in inputs.tolist()
    ]
    assert fire(neuron, inputs).tolist() == expected
    assert jax.jit(fire)(neuron, inputs).tolist() == expected
    assert [int(fire(neuron, row)) for row in inputs] == expected
    assert fire(neuron, inputs.reshape(2, 4, 3).astype(bool)).shape == (2, 4)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([0.5, 1], "must be 0 or 1, not 0.5"),
        ([[0, 1], [2, 0]], "must be 0 or 1, not 2"),
        ([-1, 0], "not -1"),
        ([np.nan, 0], "not nan"),
        ([0, 1, 1], "must hold 2 values"),
        ([[0], [1]], "must hold 2 values"),
        (1, "must hold 2 values"),
    ],
)
def test_a_perceptron_refuses_other_inputs(inputs, message):
    with pytest.raises(InputError, match=message):
        fire(gates.NAND, inputs)


def test_a_wrong_length_is_refused_under_jit_too():
    with pytest.raises(InputError, match="must hold 2 values"):
        jax.jit(fire)(gates.NAND, jnp.zeros((5, 3)))


def test_all_inputs_are_all_of_them():
    assert sorted(map(tuple, all_inputs(2).tolist())) == BITS
    assert len({tuple(row) for row in all_inputs(5).tolist()}) == 32
    with pytest.raises(InputError, match="num_inputs=0"):
        all_inputs(0)


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
    first, second = np.array(BITS).T
    assert gate(first, second).tolist() == truth
    assert jax.jit(gate)(first, second).tolist() == truth
    assert gates.not_gate(np.array([0, 1])).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("circuit", "num_inputs", "num_perceptrons"),
    [(gates.xor_gate, 2, 4), (gates.half_adder, 2, 5), (gates.full_adder, 3, 9)],
)
def test_circuits_hold_nothing_but_so_many_nands(circuit, num_inputs, num_perceptrons):
    # Oracle: the traced program. A perceptron is one product, and no other operation
    # makes bits: without NAND the sum cannot be had.
    program = str(jax.make_jaxpr(circuit)(*[jnp.int32(0)] * num_inputs))
    assert program.count("dot_general") == num_perceptrons
    for operation in (" xor ", " and ", " or ", " not "):
        assert operation not in program


@pytest.mark.parametrize("num_bits", [1, 2, 3, 4, 5, 6])
def test_the_adder_adds_all_numbers(num_bits):
    # Oracle: Python's integers.
    pairs = list(itertools.product(range(2**num_bits), repeat=2))
    first, second = np.array(pairs).T
    total = jax.jit(gates.add_bits)(
        gates.to_bits(first, num_bits), gates.to_bits(second, num_bits)
    )
    assert total.shape == (num_bits + 1, len(pairs))
    assert gates.from_bits(total).tolist() == [a + b for a, b in pairs]


@pytest.mark.parametrize(
    ("numbers", "num_bits", "message"),
    [
        (8, 3, "between 0 and 7"),
        (-1, 3, "between 0 and 7"),
        (1.5, 3, "whole numbers"),
        (0, 0, "num_bits=0"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(numbers, num_bits, message):
    with pytest.raises(InputError, match=message):
        gates.to_bits(numbers, num_bits)


def test_the_logic_check_notices_a_wrong_gate(monkeypatch):
    assert all(c["right"] == c["inputs"] for c in logic_check.check(2).values())
    monkeypatch.setattr(gates, "NAND", with_threshold([2.0, 2.0], 3))  # it is AND
    assert any(c["right"] < c["inputs"] for c in logic_check.check(2).values())


# Learning


@pytest.mark.parametrize("seed", range(4))
def test_learning_is_the_rule_weight_for_weight(seed):
    # Oracle: Python's integers; equal, as whole numbers are exact in float32. The
    # first two are separable by construction, random labels of 70 rows are not.
    rng = np.random.default_rng(seed)
    inputs = rng.integers(0, 2, (70, 6)).astype(np.uint8)
    targets = (inputs @ [3, -2, 1, 4, -5, 1] > 1).astype(np.int32)
    if seed >= 2:
        targets = rng.integers(0, 2, 70)
    weights, bias, mistakes = slow_rule(inputs, targets, 30)
    for num_rows in (None, 200):
        examples = make_examples(inputs, targets, num_rows)
        learned = jax.jit(learn, static_argnums=1)(examples, 30)
        assert learned.neuron.weights.tolist() == weights
        assert float(learned.neuron.bias) == bias
        assert int(learned.passes) == len(mistakes)
        expected = mistakes + [-1] * (30 - len(mistakes))
        assert learned.mistakes.tolist() == expected
        assert learned.converged == (mistakes[-1] == 0)
    assert learned.converged == separable(inputs, targets) == (seed < 2)

    plain = neurons_by_pass(inputs, targets, len(mistakes))
    assert plain.weights[-1].tolist() == weights
    wrong = learn_pass(silent(6), inputs, targets)[1]
    assert int(wrong) == mistakes[0]


def test_the_rule_ends_where_a_plane_divides_and_only_there():
    # Oracles: SciPy's linear program; Novikoff's bound for AND, whose plane
    # x + y = 1.5 leaves a margin of 1/2 over |(1, 1, 1.5)|, rows at most sqrt(3) long.
    learned = logic_check.learn_gates(60)
    for name, truth in logic_check.TRUTH.items():
        targets = np.array([truth(a, b) for a, b in BITS])
        assert learned[name]["converged"] == separable(np.array(BITS), targets), name
    assert sum(learned["AND"]["mistakes"]) <= 3 * 4.25 / 0.25
    assert learned["AND"]["returns"] is None

    xor = learned["XOR"]
    assert len(xor["mistakes"]) == xor["passes"] == 60
    first, again = xor["returns"]
    inputs = all_inputs(2)
    targets = inputs[:, 0] ^ inputs[:, 1]
    states = [slow_rule(inputs, targets, passes)[:2] for passes in (first, again)]
    assert states[0] == states[1]


def test_first_return_finds_the_first_and_may_find_none():
    assert logic_check.first_return(np.array([[0.0], [1], [2], [1], [0]])) == [2, 4]
    assert logic_check.first_return(np.array([[0.0], [1]])) is None


def test_with_a_sigmoid_the_rule_descends_on_the_cross_entropy():
    # Oracle: the same steps in NumPy float64.
    rng = np.random.default_rng(0)
    inputs = rng.integers(0, 2, (40, 5)).astype(np.uint8)
    targets = rng.integers(0, 2, 40)
    weights, bias = np.zeros(5), 0.0
    for row, target in zip(inputs, targets, strict=True):
        error = target - expit(row @ weights + bias)
        weights, bias = weights + 0.3 * error * row, bias + 0.3 * error
    neuron, _ = learn_pass(
        silent(5), inputs, targets, activation=jax.nn.sigmoid, rate=0.3
    )
    # float32 rounding of 40 steps
    np.testing.assert_allclose(neuron.weights, weights, atol=1e-6)
    np.testing.assert_allclose(neuron.bias, bias, atol=1e-6)
    examples = make_examples(inputs, targets)  # fills up a block: no effect
    assert examples.inputs.shape == (2, BLOCK, 5)
    padded = digit_pairs.sigmoid_learn(examples, 1, 0.3)
    np.testing.assert_array_equal(padded.weights, neuron.weights)


@pytest.mark.parametrize(
    ("inputs", "targets", "num_rows", "message"),
    [
        (np.full((2, 2), 0.5), [0, 1], None, "must be 0 or 1, not 0.5"),
        (np.zeros((2, 2)), [0, 2], None, "targets must be 0 or 1"),
        (np.zeros((2, 2)), [0, 1, 1], None, r"2 examples but targets \[3\]"),
        (np.zeros((0, 2)), [], None, "at least one"),
        (np.zeros(2), [0, 1], None, r"must be \[examples, inputs\]"),
        (np.zeros((2, 2)), [0, 1], 1, "num_rows=1"),
    ],
)
def test_examples_that_make_no_sense_are_refused(inputs, targets, num_rows, message):
    with pytest.raises(InputError, match=message):
        make_examples(inputs, targets, num_rows)


# The sigmoid neuron


def random_neuron(rng, size=6):
    return Neuron(
        rng.normal(size=size).astype(np.float32), np.float32(rng.normal())
    ), rng.uniform(size=size).astype(np.float32)


def test_a_sigmoid_neuron_and_its_linear_prediction():
    # Oracles: SciPy in float64, and central differences of it.
    rng = np.random.default_rng(1)
    neuron, inputs = random_neuron(rng)
    change, _ = random_neuron(rng)
    weights, bias = (np.asarray(part, np.float64) for part in neuron)

    def moved(size):
        total = inputs @ (weights + size * change.weights) + bias + size * change.bias
        return expit(total)

    # float32, 6-term sums
    np.testing.assert_allclose(sigmoid.output(neuron, inputs), moved(0), rtol=1e-6)
    slope = (moved(1e-5) - moved(-1e-5)) / 2e-5
    predicted = sigmoid.predicted_change(neuron, inputs, change)
    np.testing.assert_allclose(predicted, slope, rtol=1e-5)
    outputs = sigmoid.output(sigmoid.scaled(neuron, 1e4), inputs)
    assert float(outputs) == float(weights @ inputs + bias > 0)


@pytest.mark.parametrize("inputs", [[0.2, 1.5], [-0.1, 0], [np.nan, 0], [255, 0]])
def test_a_sigmoid_neuron_refuses_inputs_beyond_0_and_1(inputs):
    with pytest.raises(InputError, match="between 0 and 1, not"):
        sigmoid.output(gates.NAND, inputs)
    with pytest.raises(InputError, match="must hold 2 values"):
        sigmoid.output(gates.NAND, [0.5])


def test_small_changes_are_small_and_linear_and_jumps_are_jumps():
    # Oracle: Taylor's theorem, so an error of second order.
    measured = small_changes.measure(jax.random.key(0), 300, 6)
    assert measured["order_of_error"] == pytest.approx(2, abs=0.1)
    for row in measured["sizes"]:
        # A sigmoid's slope is at most 1/4, an input vector at most sqrt(7) long.
        assert row["largest_change"] <= row["size"] * 7**0.5 / 4
        # Oracle: weights w and a direction u are normal and uniform, so that a sum's
        # share of its deviation in u is a coordinate t of the unit sphere in 7
        # dimensions, t^2 ~ Beta(1/2, 3); it crosses 0 where |w| < size |t|.
        share = scipy.stats.beta(0.5, 3).expect(
            lambda q, size=row["size"]: scipy.stats.norm.cdf(size * q**0.5) - 0.5
        )
        deviation = math.sqrt(share * (1 - share) / 300)
        assert row["jumps"] == pytest.approx(share, abs=4 * deviation)
        assert row["jump_size"] == (1 if row["jumps"] else 0)
    assert measured["sizes"][-1]["jumps"] > 0.05
    gaps = [row["mean_gap"] for row in measured["approach"]]
    assert gaps == sorted(gaps, reverse=True)
    edge = measured["rounds_to_one_at"]
    below, above = (jax.nn.sigmoid(jnp.float32(edge + d)) for d in (-0.02, 0.02))
    assert below < 1 == above


# Importance


def test_influence_is_the_chance_to_decide():
    # Oracle: sums over all inputs in Python.
    rng = np.random.default_rng(2)
    neuron, probability = random_neuron(rng, 4)
    expected = np.zeros(4)
    for row in itertools.product((0, 1), repeat=4):
        chances = zip(row, probability, strict=True)
        chance = np.prod([p if bit else 1 - p for bit, p in chances])
        for place in range(4):
            other = [x ^ (i == place) for i, x in enumerate(row)]
            outputs = [
                np.dot(neuron.weights, r) + neuron.bias > 0 for r in (row, other)
            ]
            redrawn = probability[place] if other[place] else 1 - probability[place]
            expected[place] += chance * redrawn * (outputs[0] != outputs[1])
    found = importance.influence(neuron, probability)
    np.testing.assert_allclose(found, expected, atol=1e-6)  # float32, 16 terms


def test_weights_order_inputs_that_are_alike_and_not_others():
    # Oracle: a theorem on linear threshold functions of fair bits: the larger weight
    # never has the smaller influence.
    measured = importance.measure(jax.random.key(3), 100, 6)
    fair, other = measured["equally often 1"], measured["some often 1, some rarely"]
    assert fair["pairs"] == other["pairs"] == 100 * 15
    assert fair["reversed"] == 0 < other["reversed"]
    counted = importance.orders(
        np.array([[1.0, -2.0, 3.0]]), np.array([[0.1, 0.1, 0.05]])
    )
    assert counted == {"pairs": 3, "kept": 0, "equal": 1, "reversed": 2}


# Ten classes


def test_ten_classes_learn_as_slow_integers_do(digits):
    # Oracle: the rule in NumPy, exact for binary inputs; the mean after every step.
    rng = np.random.default_rng(0)
    order = rng.permutation(150)
    kernel, bias = np.zeros((784, 10)), np.zeros(10)
    total, mistakes, expected = np.zeros((784, 10)), 0, []
    for _ in range(2):
        for place in order:
            bits = (digits.train.image[place].ravel() > 127).astype(float)
            label, guess = digits.train.label[place], np.argmax(bits @ kernel + bias)
            if guess != label:
                mistakes += 1
                kernel[:, label] += bits
                kernel[:, guess] -= bits
                bias[label] += 1
                bias[guess] -= 1
            total += kernel
        expected.append(mistakes)
    epoch = jax.jit(ten_class.make_learn_epoch(ten_class.ink))
    learner = ten_class.start(784, 10)
    wrong = []
    for _ in range(2):
        learner, count = epoch(learner, digits.train, order)
        wrong.append(int(count))
    assert np.cumsum(wrong).tolist() == expected
    np.testing.assert_array_equal(learner.layer.kernel, kernel)
    np.testing.assert_array_equal(learner.layer.bias, bias)
    # float32 sums of about 100 changes
    np.testing.assert_allclose(learner.average.kernel, total / 300, atol=1e-4)
    count_correct = ten_class.make_count_correct(ten_class.ink)
    bits = (digits.test.image.reshape(-1, 784) > 127).astype(float)
    right = np.argmax(bits @ kernel + bias, axis=1) == digits.test.label
    assert int(count_correct(learner.layer, digits.test)) == right.sum() > 150


def test_ten_classes_learn_on_grey_pixels(digits):
    epoch = jax.jit(ten_class.make_learn_epoch(to_vectors))
    order = np.arange(len(digits.train.label))
    learner, _ = epoch(ten_class.start(784, 10), digits.train, order)
    count_correct = ten_class.make_count_correct(to_vectors)
    correct = int(count_correct(learner.average, digits.test))
    assert correct > 0.8 * len(digits.test.label)


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


@pytest.mark.parametrize(
    "timing", [Timing(1, 1, 1), Timing(3, 2, 1), Timing(2, 5, 4), Timing(6, 1, 3)]
)
def test_a_cascade_is_what_slow_neurons_do(timing):
    # Oracle: Python, neuron by neuron; whole weights, so equal.
    rng = np.random.default_rng(timing.duration)
    kernel = rng.integers(-1, 3, (9, 9)).astype(np.float32)
    bias = -rng.integers(1, 4, 9).astype(np.float32)
    stimulus = rng.random((40, 9)) < 0.05
    stimulus[0, 0] = True
    expected = slow_cascade(kernel, bias, stimulus, timing)
    assert expected.sum() > stimulus.sum()
    found = jax.jit(spread, static_argnums=2)(Dense(kernel, bias), stimulus, timing)
    np.testing.assert_array_equal(found, expected)
    whole = [row for row in loops.bursts(expected) if row[2] < 40]
    assert {end - begin for _, begin, end in whole} == {timing.duration}


def test_without_a_stimulus_there_is_silence():
    net = jax.jit(
        lambda key: cascade.random_net(key, 30, links=3, reach=5, backward=0.5)
    )(jax.random.key(0))
    assert not spread(net, np.zeros((50, 30), bool), Timing()).any()


@pytest.mark.parametrize("timing", [Timing(1, 1, 1), Timing(2, 3, 2), Timing(5, 2, 1)])
def test_a_pulse_goes_round_a_ring(timing):
    # Oracle: arithmetic. Neuron i fires first at i * delay; round after round.
    size, rounds = 7, 3
    steps = rounds * size * timing.delay
    stimulus = np.zeros((steps, size), bool)
    stimulus[0, 0] = True
    fires = np.asarray(spread(cascade.ring(size), stimulus, timing))
    for neuron in range(size):
        begins = [(lap * size + neuron) * timing.delay for lap in range(rounds)]
        expected = np.zeros(steps, bool)
        for begin in begins:
            expected[begin : begin + timing.duration] = True
        np.testing.assert_array_equal(fires[:, neuron], expected)


def test_an_output_acts_after_the_delay_and_not_in_the_same_step():
    # Oracle: a neuron that excites itself and another one, followed by hand.
    net = Dense(np.array([[1, 1], [0, 0]], np.float32), np.full(2, -0.5, np.float32))
    stimulus = np.zeros((8, 2), bool)
    stimulus[1, 0] = True
    fires = np.asarray(spread(net, stimulus, Timing(duration=2, delay=3, rest=1)))
    assert fires[:, 0].tolist() == [0, 1, 1, 0, 1, 1, 0, 1]
    assert fires[:, 1].tolist() == [0, 0, 0, 0, 1, 1, 0, 1]
    changed = stimulus.copy()
    changed[5, 1] = True  # what comes later changes nothing before
    later = np.asarray(spread(net, changed, Timing(2, 3, 1)))
    np.testing.assert_array_equal(later[:5], fires[:5])


@pytest.mark.parametrize(
    ("timing", "shape", "message"),
    [
        (Timing(duration=0), (5, 4), "duration of 0 must be 1 step or more"),
        (Timing(delay=0), (5, 4), "delay of 0"),
        (Timing(delay=-2), (5, 4), "delay of -2"),
        (Timing(rest=0), (5, 4), "rest of 0"),
        (Timing(duration=1.5), (5, 4), "duration of 1.5"),
        (Timing(), (5, 3), r"must be \[steps, 4\]"),
        (Timing(), (4,), r"must be \[steps, 4\]"),
    ],
)
def test_impossible_cascades_are_refused(timing, shape, message):
    with pytest.raises(InputError, match=message):
        spread(cascade.ring(4), np.zeros(shape, bool), timing)
    with pytest.raises(InputError, match="from each neuron to each"):
        spread(Dense(np.zeros((3, 4)), np.zeros(4)), np.zeros((5, 4)), Timing())


def test_a_random_net_has_loops_only_where_links_lead_back():
    draw = jax.jit(
        lambda key, back: cascade.random_net(key, 20, links=3, reach=4, backward=back)
    )
    kernel = draw(jax.random.key(1), 0.0).kernel
    rows, columns = np.nonzero(np.asarray(kernel))
    assert (columns - rows > 0).all() and (columns - rows <= 4).all()
    assert 30 < len(rows) <= 60
    kernel = draw(jax.random.key(1), 1.0).kernel
    rows, columns = np.nonzero(np.asarray(kernel))
    assert (rows - columns > 0).all() and (rows - columns <= 4).all()


def test_without_time_a_loop_has_no_answer_or_several():
    # Oracles: a NOT fed by itself; two neurons that hold each other; the proof that
    # a net without loops has one answer, found layer by layer.
    inverter = Dense(np.array([[-2.0]]), np.array([1.0]))
    assert int(loops.num_consistent(inverter)) == 0
    latch = Dense(np.array([[0, 1.0], [1.0, 0]]), np.full(2, -0.5))
    assert int(loops.num_consistent(latch)) == 2
    counted = loops.consistency(jax.random.key(0))
    assert counted["feedforward"]["one"] == counted["nets"]
    looped = counted["with loops"]
    assert looped["none"] > 0 < looped["several"]
    assert sum(looped.values()) == counted["nets"]


def test_a_summary_can_be_counted_by_hand():
    raster = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0]], bool)
    assert loops.bursts(raster).tolist() == [[0, 0, 2], [0, 4, 5], [1, 1, 3]]
    assert loops.summary(raster) == {
        "steps": 5,
        "reached": 2,
        "bursts": 3,
        "burst_lengths": [2],
        "last_active_step": 4,
        "most_at_once": 2,
    }
    assert loops.summary(raster[3:4])["last_active_step"] is None


# Two digits


def test_a_pair_is_tested_on_all_its_images(digits):
    # Oracle: NumPy's counts of the labels.
    few = digits._replace(
        train=Batch(*(a[:200] for a in digits.train)),
    )
    measured = digit_pairs.measure(few, max_passes=20, sigmoid_passes=2, rate=0.01)
    row, (right, smooth_right) = next(measured)
    assert row["digits"] == [0, 1]
    assert row["examples"] == np.isin(few.train.label, (0, 1)).sum()
    assert row["test_seen"] == np.isin(digits.test.label, (0, 1)).sum() == len(right)
    assert row["test_correct"] == right.sum() > 0.8 * len(right)
    assert row["sigmoid_correct"] == smooth_right.sum() > 0.8 * len(right)
    assert 0 <= row["unsure_wrong"] <= min(row["unsure"], (~smooth_right).sum())
    bits, targets = digit_pairs.of_pair(few.train, (0, 1))
    assert row["passes"] == len(slow_rule(bits, targets, 20)[2])
    of_one = digits._replace(train=Batch(*(a[:1] for a in digits.train)))
    with pytest.raises(InputError, match="all of one class"):
        digit_pairs.check(of_one)
