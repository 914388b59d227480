"""The experiment on neurons: its parts against oracles, and one run on digits."""

import copy
import csv
import itertools
import json
import math
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.stats
import small
from test_neurons import slow_rule

from experiments.neurons import __main__ as neurons
from experiments.neurons import learning, nets, random_neurons
from experiments.neurons import page as neurons_page
from experiments.neurons.results import (
    demonstrations,
    pair_summary,
    part,
    results,
    statements,
)
from jaxnets.errors import InputError
from jaxnets.neurons import gates
from jaxnets.neurons.learning import NO_EXAMPLE
from jaxnets.neurons.perceptron import Neuron
from jaxnets.training import run_keys
from jaxnets.types import Batch, Dense

PICTURES = ("small_changes", "learning", "cascades", "importance", "ten_classes")


def separable(inputs, targets):
    """Whether a plane divides the classes: SciPy's linear program finds one."""
    signs = np.where(targets == 1, -1.0, 1.0)[:, None]
    rows = signs * np.column_stack([inputs, np.ones(len(inputs))])
    solved = scipy.optimize.linprog(
        np.zeros(rows.shape[1]),
        A_ub=rows,
        b_ub=-np.ones(len(rows)),
        bounds=(None, None),
    )
    return solved.status == 0


# Logic and the learning rule


def test_all_inputs_are_all_of_them():
    assert nets.all_inputs(2).tolist() == [[0, 0], [1, 0], [0, 1], [1, 1]]
    assert len({tuple(row) for row in nets.all_inputs(5).tolist()}) == 32


def test_the_check_notices_a_wrong_gate(monkeypatch, finished):
    checked = finished.results["logic"]
    assert all(c["right"] == c["inputs"] for c in checked.values())
    assert checked["2-bit adder"]["inputs"] == 16
    wrong = Neuron(np.full(2, 2, np.float32), np.float32(-3))  # it is AND
    monkeypatch.setattr(gates, "NAND", wrong)
    assert any(c["right"] < c["inputs"] for c in nets.check_circuits(2).values())


def test_the_rule_ends_where_a_plane_divides_and_only_there():
    # Oracles: SciPy's linear program; Novikoff's bound for AND, whose plane
    # x + y = 1.5 leaves a margin of 1/2 over |(1, 1, 1.5)|, rows at most sqrt(3) long.
    learned = learning.learn_gates(60)
    inputs = nets.all_inputs(2)
    for name, (_, truth) in nets.GATES.items():
        targets = np.array([truth(a, b) for a, b in inputs.tolist()])
        assert learned[name]["converged"] == separable(inputs, targets), name
    assert sum(learned["AND"]["mistakes"]) <= 3 * 4.25 / 0.25
    assert learned["AND"]["returns"] is None

    xor = learned["XOR"]
    assert len(xor["mistakes"]) == xor["passes"] == 60
    targets = inputs[:, 0] ^ inputs[:, 1]
    states = [slow_rule(inputs, targets, passes)[:2] for passes in xor["returns"]]
    assert states[0] == states[1]
    assert learning.learn_gates(2)["XOR"]["returns"] is None


@pytest.mark.parametrize("seed", [0, 2])
def test_the_pairs_rule_is_python_s_rule_to_the_end(seed):
    # Oracles: Python's integers, and SciPy's linear program. The first is separable
    # by construction, random labels of 70 rows are not.
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, (70, 6)).astype(np.uint8)
    targets = (bits @ [3, -2, 1, 4, -5, 1] > 1).astype(np.int32)
    if seed:
        targets = rng.integers(0, 2, 70).astype(np.int32)
    weights, bias, mistakes = slow_rule(bits, targets, 30)
    filled = np.append(targets, [NO_EXAMPLE] * 5).astype(np.int32)
    images = np.append(bits, bits[:5], axis=0).reshape(75, 2, 3) * 255
    learned = learning.learn(Batch(images, filled), max_passes=30, num_passes=7)
    assert (learned.end.weights.tolist(), float(learned.end.bias)) == (weights, bias)
    assert learned.mistakes == mistakes
    assert (mistakes[-1] == 0) == separable(bits, targets) == (seed == 0)

    # By hand: the mean of the weights after each of the 7 x 70 steps.
    weights, total = np.zeros(7), np.zeros(7)
    inputs = np.column_stack([bits, np.ones(70)])
    for row, target in list(zip(inputs, targets, strict=True)) * 7:
        weights = weights + (target - (weights @ row > 0)) * row
        total += weights
    for neuron, expected in ((learned.last, weights), (learned.average, total / 490)):
        computed = np.append(neuron.weights, neuron.bias)
        np.testing.assert_allclose(computed, expected, rtol=1e-5, atol=1e-5)  # float32


def test_one_class_makes_no_pair(digits):
    one = digits._replace(train=Batch(*(leaf[:1] for leaf in digits.train)))
    with pytest.raises(InputError, match=r"1 training examples .* --examples"):
        learning.pairs_of(one)


# Small changes and importance


def test_influence_is_the_chance_to_decide():
    # Oracle: sums over all inputs in Python.
    rng = np.random.default_rng(2)
    weights, probability = rng.normal(size=4), rng.uniform(size=4)
    neuron = Neuron(weights.astype(np.float32), np.float32(0.3))
    expected = np.zeros(4)
    for row in itertools.product((0, 1), repeat=4):
        chances = zip(row, probability, strict=True)
        chance = np.prod([p if bit else 1 - p for bit, p in chances])
        for place in range(4):
            other = [x ^ (i == place) for i, x in enumerate(row)]
            fires, other_fires = (np.dot(weights, r) + 0.3 > 0 for r in (row, other))
            redrawn = probability[place] if other[place] else 1 - probability[place]
            expected[place] += chance * redrawn * (fires != other_fires)
    influence = random_neurons.influence(neuron, probability.astype(np.float32))
    np.testing.assert_allclose(influence, expected, atol=1e-6)  # float32, 16 terms


# Loops


def test_a_random_net_has_loops_only_where_links_lead_back():
    draw = jax.jit(
        lambda key, back: nets.random_net(key, 20, links=3, reach=4, backward=back)
    )
    for backward, direction in ((0.0, 1), (1.0, -1)):
        kernel = np.asarray(draw(jax.random.key(1), backward).kernel)
        rows, columns = np.nonzero(kernel)
        steps = direction * (columns - rows)
        assert 30 < len(rows) <= 60 and steps.min() > 0 and steps.max() <= 4


def test_without_time_a_loop_has_no_answer_or_several(finished):
    # Oracles: a NOT fed by itself; two neurons that hold each other; the proof that
    # a net without loops has one answer, found layer by layer.
    inverter = Dense(np.array([[-2.0]]), np.array([1.0]))
    assert int(nets.num_consistent(inverter)) == 0
    latch = Dense(np.array([[0, 1.0], [1.0, 0]]), np.full(2, -0.5))
    assert int(nets.num_consistent(latch)) == 2
    counted = finished.results["consistency"]
    assert counted["feedforward"]["one"] == counted["nets"]
    looped = counted["with loops"]
    assert looped["none"] > 0 < looped["several"]
    assert sum(looped.values()) == counted["nets"] > 1000


def test_a_summary_can_be_counted_by_hand():
    fires = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0]], bool)
    assert nets.bursts(fires).tolist() == [[0, 0, 2], [0, 4, 5], [1, 1, 3]]
    assert nets.summary(fires) == {
        "steps": 5,
        "reached": 2,
        "bursts": 3,
        "burst_lengths": [2],
        "last_active_step": 4,
        "most_at_once": 2,
    }
    assert nets.summary(fires[3:4])["last_active_step"] is None


# The run


def quick(output, **settings):
    """A run of some seconds."""
    standard = {
        "dataset": "digits",
        "examples": 300,
        "bits": 2,
        "max_passes": 30,
        "sigmoid_passes": 1,
        "seeds": (4, 1),
        "epochs": 2,
        "neurons": 30,
        "steps": 40,
    }
    return neurons.Config(**{**standard, "output": output, **settings})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One run, and what it left behind."""
    output = tmp_path_factory.mktemp("neurons") / "run"
    returned = neurons.main(quick(output))
    results = json.loads((output / "results.json").read_text())
    return small.left_behind(output, returned, results=results)


def test_keys_are_drawn_from_once():
    # In JAX split(key, n)[i] is fold_in(key, i), which has made keys coincide.
    keys = [*neurons.make_keys(1), *run_keys(1)[:2]]
    orders = [jax.random.fold_in(run_keys(1).data, epoch) for epoch in range(10)]
    numbers = {tuple(jax.random.key_data(key).tolist()) for key in (*keys, *orders)}
    assert len(numbers) == 4 + 2 + 10


def test_the_folder_holds_what_was_promised(finished):
    names = {str(f.relative_to(finished.path)) for f in finished.path.rglob("*.*")}
    assert names >= {
        *("config.json", "results.json", "report.html", "metrics.jsonl"),
        *("pairs.csv", "bursts.csv"),
        *(f"{picture}.png" for picture in (*PICTURES, "ten_weights")),
        *("weights/ten_last.npz", "weights/ten_average.npz"),
    }
    html = (finished.path / "report.html").read_text()
    assert html.count("data:image/png;base64,") == len(PICTURES) + 1


def test_results_hold_every_part(finished):
    # Oracle: the settings, and counts that follow from them.
    content = finished.results
    assert finished.returned == content
    assert (content["status"], content["dataset"]) == ("complete", "digits")
    assert content["logic"]["2-bit adder"] == {"inputs": 16, "right": 16}
    assert content["gate_learning"]["XOR"]["passes"] == 30
    assert len(content["pairs"]) == content["pair_summary"]["pairs"] == 45
    assert sum(pair["examples"] for pair in content["pairs"]) == 9 * 300
    assert content["pair_summary"]["test_seen"] == 9 * 360
    assert content["cascades"]["ring"]["burst_lengths"] == [neurons.TIMING.duration]
    ended = [pair["passes"] for pair in content["pairs"] if pair["converged"]]
    assert content["pair_summary"]["converged"] == len(ended) > 30
    for pair in content["pairs"]:
        errors = pair["test_seen"] - pair["sigmoid_correct"]
        assert pair["unsure_wrong"] <= min(pair["unsure"], errors)
        for name in ("sigmoid", "end", "average"):
            assert pair[f"{name}_correct"] > pair["test_seen"] / 2


def test_small_changes_are_small_and_linear_and_jumps_are_jumps(finished):
    # Oracle: Taylor's theorem, so an error of second order.
    measured = finished.results["small_changes"]
    number, inputs = measured["neurons"], measured["inputs"]
    assert measured["order_of_error"] == pytest.approx(2, abs=0.1)
    for row in measured["sizes"]:
        # A sigmoid's slope is at most 1/4, an input vector at most sqrt(11) long.
        assert row["largest_change"] <= row["size"] * (inputs + 1) ** 0.5 / 4
        # Oracle: weights w and a direction u are normal and uniform, so that a sum's
        # share of its deviation in u is a coordinate t of the unit sphere in 11
        # dimensions, t^2 ~ Beta(1/2, 5); it crosses 0 where |w| < size |t|.
        share = scipy.stats.beta(0.5, inputs / 2).expect(
            lambda q, size=row["size"]: scipy.stats.norm.cdf(size * q**0.5) - 0.5
        )
        deviation = math.sqrt(share * (1 - share) / number)
        assert row["jumps"] == pytest.approx(share, abs=4 * deviation)
        assert row["jump_size"] == (1 if row["jumps"] else 0)
    assert measured["sizes"][-1]["jumps"] > 0.05
    gaps = [row["mean_gap"] for row in measured["approach"]]
    assert gaps == sorted(gaps, reverse=True)
    edge = measured["rounds_to_one_at"]
    below, above = (jax.nn.sigmoid(jnp.float32(edge + d)) for d in (-0.02, 0.02))
    assert below < 1 == above


def test_weights_order_inputs_that_are_alike_and_not_others(finished):
    # Oracle: a theorem on linear threshold functions of fair bits: the larger weight
    # never has the smaller influence.
    measured = finished.results["importance"]
    fair, other = measured["equally often 1"], measured["some often 1, some rarely"]
    assert fair["pairs"] == other["pairs"] == 1000 * 45
    assert fair["reversed"] == 0 < other["reversed"]
    counted = random_neurons.orders(
        np.array([[1.0, -2.0, 3.0]]), np.array([[0.1, 0.1, 0.05]])
    )
    assert counted == {"pairs": 3, "kept": 0, "equal": 1, "reversed": 2}


def test_the_ten_classes_can_be_recounted(finished, digits):
    # Oracle: the written weights, applied by NumPy to scikit-learn's last images.
    run = finished.results["ten_classes"]["runs"]["grey"]
    assert run["seeds"] == [4, 1]
    pixels = digits.test.image.reshape(360, -1) / 255
    for name in ("last", "average"):
        with np.load(finished.path / "weights" / f"ten_{name}.npz") as weights:
            sums = pixels @ weights["kernel_0"] + weights["bias_0"]
        right = (sums.argmax(axis=1) == digits.test.label).mean()
        # One image of 360 may lie within rounding of the border.
        assert run[f"test_{name}"][-1] == pytest.approx(right, abs=0.003)
        assert right > 0.7
    keys = [
        (row["inputs"], row["seed"], row["epoch"])
        for row in part(finished.rows, "ten_classes")
    ]
    assert keys == list(itertools.product(("binary", "grey"), (4, 1), (1, 2)))


def test_files_repeat_the_results(finished):
    with open(finished.path / "pairs.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["digits"] for row in rows[:2]] == ["0-1", "0-2"]
    assert [int(row["average_correct"]) for row in rows] == [
        pair["average_correct"] for pair in finished.results["pairs"]
    ]
    with open(finished.path / "bursts.csv", newline="") as stream:
        nets = [row["net"] for row in csv.DictReader(stream)]
    for name, net in finished.results["cascades"].items():
        assert nets.count(name) == net["bursts"]


def test_a_run_is_redrawn_without_training(finished, monkeypatch, undrawn):
    def measure(run):
        raise AssertionError(f"{run.path} is measured again")
        yield

    monkeypatch.setattr(neurons, "measure", measure)
    assert neurons.main(neurons.Config(redraw=finished.path)) == finished.returned


# Statements and figures of stored rows


def holds(content):
    """Whether each statement holds, by how it begins and ends."""
    return {row["statement"]: row["holds"] for row in statements(content)}


def test_a_small_cap_proves_nothing(finished):
    # By hand: AND takes the rule six passes, and XOR's weights come back after four.
    ends = "the learning rule converges on NAND, AND, OR, NOR"
    never = "the learning rule never converges on XOR"
    short = learning.learn_gates(2)
    assert holds({"gate_learning": short}) == {ends: None, never: None}
    long = finished.results["gate_learning"]  # thirty passes are enough
    assert holds({"gate_learning": long}) == {ends: True, never: True}
    ended = {**short["XOR"], "converged": True}
    assert holds({"gate_learning": {**short, "XOR": ended}})[never] is False

    pairs = {**finished.results["pair_summary"], "converged": 44}
    every = "the learning rule converges on every two digits"
    assert holds({"pair_summary": pairs})[every] is None
    assert holds({"pair_summary": {**pairs, "converged": 45}})[every] is True


def test_pairs_are_corrected_for_their_number(finished):
    # Oracle: Holm by hand. 45 p-values of 0.01 are one of 45; one of 0.001 stays.
    pair = {**finished.results["pairs"][0], "sigmoid_correct": 9}
    for name in learning.PERCEPTRONS:
        pair |= {f"{name}_correct": 8, f"{name}_p": 0.01}
    alone = {**pair, "last_p": 0.001, "average_p": 0.001, "average_correct": 10}
    ways = pair_summary([alone] + [pair] * 44)["perceptrons"]
    assert {name: (way["better"], way["worse"]) for name, way in ways.items()} == {
        "end": (0, 0),
        "last": (1, 0),
        "average": (0, 1),
    }
    assert pair_summary([pair] * 4)["perceptrons"]["end"]["better"] == 4


def test_verdicts_follow_the_numbers(finished):
    content = finished.results
    pairs, small = content["pair_summary"], content["small_changes"]
    seen = pairs["test_seen"]
    needed = "two classes need an output other than 0 and 1"
    better = "a sigmoid neuron tells two digits apart better than a perceptron, "
    for hard, smooth, more, less, verdicts in (
        (seen, seen, 1, 0, (False, True)),
        (seen, seen, 0, 0, (False, None)),
        (seen, seen, 3, 1, (False, None)),
        (seen // 2, seen, 0, 2, (True, False)),
        (seen // 2, seen // 2, 0, 0, (None, None)),
    ):
        way = {"correct": hard, "better": more, "worse": less}
        ways = {"perceptrons": dict.fromkeys(learning.PERCEPTRONS, way)}
        judged = holds({"pair_summary": {**pairs, **ways, "sigmoid_correct": smooth}})
        ends = [judged[better + layer] for layer in learning.LAYERS.values()]
        assert (judged[needed], ends[0], ends[1]) == (*verdicts, verdicts[1])

    jumps = "it makes some perceptrons jump from 0 to 1 or back"
    for share, size, verdict in ((0.0, 0.0, None), (0.5, 0.5, False), (0.5, 1, True)):
        change = {"jumps": share, "jump_size": size}
        sizes = [{**row, **change} for row in small["sizes"]]
        assert holds({"small_changes": {**small, "sizes": sizes}})[jumps] is verdict
    never = "a sigmoid neuron's output is not 0 or 1"
    assert holds({"small_changes": small})[never] is False
    assert holds({"small_changes": {**small, "rounds_to_one_at": None}})[never] is True

    only = "only sigmoid neurons take values between 0 and 1"
    ten = content["ten_classes"]
    assert holds({"ten_classes": ten})[only] is False
    assert holds({"ten_classes": {**ten, "most_frequent_accuracy": 1.0}})[only] is True


def test_what_is_built_in_is_no_statement(finished):
    # Oracle: the reviewer's list. Bursts, cascades and loops are demonstrations.
    content = finished.results
    built = {key: content[key] for key in ("cascades", "consistency")}
    assert statements(built) == []
    assert len(demonstrations(built)) == len(content["demonstrations"]) == 3
    shares = [
        value
        for name, value in content["demonstrations"][-1]["numbers"].items()
        if name.startswith("with loops")
    ]
    assert sum(shares) == pytest.approx(100)


def test_a_broken_off_run_has_the_parts_that_it_reached(finished, digits):
    for number in (0, 1, 3, 7, 9, 54):
        rows = finished.rows[:number]
        content = results(rows, digits)
        run = SimpleNamespace(
            rows=rows, data=digits, read_weights=lambda *_: None, config=quick(None)
        )
        drawn = list(neurons_page.sections(run, content))
        tables = {section.title: section for section in drawn}
        stated = len(content["statements"]) + len(content["demonstrations"])
        assert len(tables["What is said of neurons"].rows) == stated
        assert neurons_page.lead(content)
        assert ("Two digits" in tables) == (number > 8)
        data_shown = {s.name for s in drawn if getattr(s, "has_data", False)}
        assert data_shown <= {"learning", "ten_classes", "ten_weights"}
        assert content["ten_classes"] is None
        assert len(content["pairs"]) == min(max(number - 8, 0), 45)


def test_figures_draw_unusual_rows(finished):
    rows = copy.deepcopy(part(finished.rows, "ten_classes"))
    for row in rows:
        row["validation_last"] = row["validation_average"] = None
    assert not neurons_page.ten_classes(rows).axes[0].lines
    pairs = copy.deepcopy(finished.results["pairs"])
    pairs[0]["converged"] = False
    neurons_page.learning(finished.results["gate_learning"], pairs)
    silent = {**part(finished.rows, "cascades")[0], "raster": []}
    neurons_page.cascades([silent])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bits": 0}, "bits=0 .* 1 and 8"),
        ({"bits": 9}, "bits=9"),
        ({"max_passes": 0}, "max_passes=0 .* 1"),
        ({"epochs": 0}, "epochs=0"),
        ({"sigmoid_passes": 0}, "sigmoid_passes=0"),
        ({"steps": 0}, "steps=0"),
        ({"neurons": 2}, "neurons=2 .* 3"),
        ({"rate": 0.0}, "rate=0.0"),
        ({"rate": float("nan")}, "rate=nan"),
        ({"seeds": ()}, "one or more"),
        ({"seeds": (1, 1)}, "each once"),
        ({"seeds": (-1,)}, "seed=-1"),
        ({"duration": 0}, "duration of 0"),
        ({"delay": 0}, "delay of 0"),
        ({"rest": 0}, "rest of 0"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        neurons.validate_config(quick(None, **settings))


@pytest.mark.slow
@pytest.mark.mnist
@pytest.mark.usefixtures("mnist", "undrawn")
def test_neurons_on_mnist(tmp_path):
    # Oracles: the published test set's counts; 88 % is what LeCun et al. (1998) give
    # a linear classifier, and 5,000 of the images are nearly enough for it.
    content = neurons.main(
        quick(tmp_path / "run", dataset="mnist", examples=5000, seeds=(0,))
    )
    first = content["pairs"][0]
    assert first["digits"] == [0, 1] and first["converged"]
    assert first["test_seen"] == 980 + 1135
    assert first["average_correct"] > 0.99 * first["test_seen"]
    [accuracy] = content["ten_classes"]["runs"]["grey"]["test_average"]
    assert accuracy > 0.85
    assert content["ten_classes"]["most_frequent_accuracy"] == 0.1135
