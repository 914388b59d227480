"""What `diagnose` says of runs whose fault is known, and of healthy ones.

The runs are small NumPy networks, or figures set by hand, so that each fault is
certain. `test_bugs` diagnoses programs that were trained with a mistake in them.
"""

import jax
import numpy as np
import optax
import pytest
import sklearn.metrics

from jaxnets import diagnose as measures
from jaxnets import row_rnn
from jaxnets.diagnose import Run, diagnose
from jaxnets.errors import InputError
from jaxnets.types import Dense

IMAGES, CLASSES = 400, 10
ENTROPY = jax.jit(optax.losses.softmax_cross_entropy_with_integer_labels)


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


@pytest.fixture
def rng():
    return np.random.default_rng(1)


@pytest.fixture
def labels(rng):
    return rng.integers(0, CLASSES, IMAGES)


def one_hot(labels):
    return np.eye(CLASSES)[labels]


def good_outputs(rng, labels, wrong=20):
    """Activations near the one-hot rows; the first few images are taken for others."""
    shown = labels.copy()
    shown[:wrong] = (shown[:wrong] + 1) % CLASSES
    return np.clip(one_hot(shown) * 0.9 + rng.uniform(0, 0.08, (IMAGES, CLASSES)), 0, 1)


def params(rng, scale=1.0, hidden=12):
    return (
        Dense(rng.normal(size=(20, hidden)) * scale, rng.normal(size=hidden)),
        Dense(rng.normal(size=(hidden, CLASSES)) * scale, rng.normal(size=CLASSES)),
    )


def healthy(rng, labels, **settings):
    """A run that learned: everything known, nothing wrong, unless set otherwise."""
    outputs = settings.pop("outputs", good_outputs(rng, labels))
    run = {
        "cost": "quadratic",
        "labels": labels,
        "answers": outputs.argmax(axis=1),
        "accuracy": np.mean(outputs.argmax(axis=1) == labels),
        "seen": IMAGES,
        "loss": np.mean(np.sum((outputs - one_hot(labels)) ** 2, axis=1)) / 2,
        "train_loss": [0.3, 0.1, 0.06],
        "train_seen": 2000,
        "first": params(np.random.default_rng(2)),
        "last": params(np.random.default_rng(3)),
        "outputs": outputs,
        "first_outputs": sigmoid(rng.normal(size=(IMAGES, CLASSES)) * 3),
        "hidden": [sigmoid(rng.normal(size=(IMAGES, 12)) * 8)],
        "inputs": rng.uniform(0, 1, (50, 20)),
    }
    return Run(**{**run, **settings})


def kinds(run):
    return [finding.kind for finding in diagnose(run)]


def test_nothing_is_found_where_nothing_is_wrong(rng, labels):
    assert diagnose(healthy(rng, labels)) == []
    little = Run("quadratic", labels, labels, accuracy=1.0, seen=IMAGES)
    assert diagnose(little) == []


def test_images_left_out_of_the_evaluation(rng, labels):
    [finding] = diagnose(healthy(rng, labels, seen=384))
    assert finding.kind == "evaluated"
    assert "384 of 400" in finding.text and "dropped" in finding.text
    [finding] = diagnose(healthy(rng, labels, seen=448))
    assert finding.kind == "evaluated"
    assert "448 images" in finding.text and "dropped" not in finding.text


def test_an_evaluation_that_counts_something_else(rng, labels):
    # Oracle: scikit-learn's accuracy of the same outputs.
    run = healthy(rng, labels, accuracy=0.1041)
    [finding] = diagnose(run)
    right = sklearn.metrics.accuracy_score(labels, run.outputs.argmax(axis=1))
    assert finding.kind == "evaluation"
    assert "10.41%" in finding.text
    assert f"{right:.2%}" in finding.text
    # Without outputs the loss alone contradicts it, and a fitting score it does not.
    assert kinds(run._replace(outputs=None)) == ["evaluation"]
    assert kinds(run._replace(outputs=None, accuracy=right)) == []


@pytest.mark.parametrize(("off", "found"), [(1, []), (2, []), (3, ["evaluation"])])
def test_a_tie_or_two_of_few_images_may_fall_either_way(rng, labels, off, found):
    run = healthy(rng, labels)
    right = np.sum(run.outputs.argmax(axis=1) == labels)
    assert kinds(run._replace(accuracy=(right - off) / IMAGES)) == found


@pytest.mark.parametrize("cost", ["quadratic", "cross_entropy"])
def test_no_loss_contradicts_its_own_accuracy(rng, labels, cost):
    # The bound of the evaluation's check, on outputs of every quality.
    for noise in np.geomspace(0.01, 30, 30):
        raw = 5 * one_hot(labels) + noise * rng.normal(size=(IMAGES, CLASSES))
        outputs = sigmoid(raw - 2) if cost == "quadratic" else raw
        run = Run(
            cost=cost,
            labels=labels,
            answers=outputs.argmax(axis=1),
            accuracy=np.mean(outputs.argmax(axis=1) == labels),
            seen=IMAGES,
            loss=measures.mean_loss(cost, outputs, labels),
        )
        assert "evaluation" not in kinds(run)


def test_parameters_that_stay(rng, labels):
    first = params(rng)
    assert "untrained" in kinds(healthy(rng, labels, first=first, last=first))
    assert "untrained" in kinds(healthy(rng, labels, train_seen=0))
    # Without the first ones a training loss that stands still tells.
    still = {"first": None, "train_loss": [1.5, 1.5, 1.5]}
    assert "untrained" in kinds(healthy(rng, labels, **still))
    assert kinds(healthy(rng, labels, first=None)) == []


def equal_columns(rng, num_in, num_out):
    return np.repeat(rng.normal(size=(num_in, 1)), num_out, axis=1)


def test_weights_that_are_all_equal(rng, labels):
    hidden, output = params(rng)
    equal = Dense(equal_columns(rng, 20, 12), np.ones(12))
    assert kinds(healthy(rng, labels, last=(equal, output))) == ["equal_weights"]
    # Different biases tell neurons apart.
    apart = equal._replace(bias=hidden.bias)
    assert kinds(healthy(rng, labels, last=(apart, output))) == []
    # The output's neurons have different targets, and may start from equal weights,
    # whether a hidden layer is as wide as there are classes or there is none.
    zeros = Dense(np.zeros((CLASSES, CLASSES)), np.zeros(CLASSES))
    wide = Dense(rng.normal(size=(20, CLASSES)), np.zeros(CLASSES))
    for last in [(zeros,), (wide, zeros)]:
        assert kinds(healthy(rng, labels, first=None, last=last)) == []
    same = wide._replace(kernel=equal_columns(rng, 20, CLASSES))
    run = healthy(rng, labels, first=None, last=(same, zeros))
    assert kinds(run) == ["equal_weights"]


def test_parameters_may_be_any_pytree(rng, labels):
    def nested(seed, hidden=None):
        rng = np.random.default_rng(seed)
        return {
            "output": {"kernel": rng.normal(size=(12, CLASSES)), "scale": np.ones(12)},
            "rows": {
                "from_input": rng.normal(size=(20, 12)) if hidden is None else hidden,
                "from_state": np.zeros((12, 12)),  # alone it would look equal
                "bias": np.zeros(12),
            },
            "temperature": np.float32(seed),
        }

    first, last = nested(1), nested(2)
    assert kinds(healthy(rng, labels, first=first, last=last)) == []
    assert "untrained" in kinds(healthy(rng, labels, first=first, last=first))
    equal = nested(2, equal_columns(rng, 20, 12))
    assert kinds(healthy(rng, labels, first=first, last=equal)) == ["equal_weights"]


def recurrent(rng):
    """Weights on the state that begin as the identity, as `row_rnn.init`'s do."""
    hidden, output = rng.normal(scale=0.2, size=(28, 12)), rng.normal(size=(12, 10))
    kernels = [np.concatenate([hidden, np.eye(12)]), output / 3]
    return tuple(
        Dense(kernel.astype(np.float32), np.zeros(kernel.shape[1], np.float32))
        for kernel in kernels
    )


def test_a_recurrent_network(rng, labels):
    images = rng.integers(0, 256, (IMAGES, 28, 28), dtype=np.uint8)
    first, last = (recurrent(np.random.default_rng(n)) for n in (0, 1))
    outputs = np.asarray(jax.jit(row_rnn.apply)(last, images))
    rows = images.swapaxes(0, 1) / np.float32(255)
    run = Run(
        cost="cross_entropy",
        labels=outputs.argmax(axis=1),  # as after a training that succeeded
        answers=outputs.argmax(axis=1),
        accuracy=1.0,
        seen=IMAGES,
        first=first,
        last=last,
        outputs=outputs,
        hidden=[np.asarray(jax.jit(row_rnn.states)(last[0], rows))],
    )
    assert kinds(run) == []
    assert kinds(run._replace(last=first)) == ["untrained"]
    zeros = last[0]._replace(kernel=np.zeros((40, 12)))
    assert kinds(run._replace(last=(zeros, last[1]))) == ["equal_weights"]


def test_a_network_without_hidden_layers(rng, labels):
    first, last = ((params(np.random.default_rng(n))[1],) for n in (2, 3))
    for hidden in ((), [], [np.empty((IMAGES, 0))]):
        run = healthy(rng, labels, first=first, last=last, hidden=hidden)
        assert kinds(run) == []
    assert np.isnan(measures.flat_share("quadratic", []))


@pytest.mark.parametrize(
    ("largest", "found"), [(1.0, []), (3.0, []), (255.0, ["byte_range"])]
)
def test_pixels_left_as_bytes(rng, labels, largest, found):
    inputs = rng.uniform(0, 1, (50, 20))
    inputs *= largest / inputs.max()
    assert kinds(healthy(rng, labels, inputs=inputs)) == found


@pytest.mark.parametrize(
    ("factor", "found"), [(1.0, []), (0.2, ["other_cost"]), (10, ["other_cost"])]
)
def test_a_cost_that_is_not_the_recipes(rng, labels, factor, found):
    run = healthy(rng, labels)
    findings = diagnose(run._replace(loss=run.loss * factor))
    assert [finding.kind for finding in findings] == found
    if found:
        assert f"{run.loss:.3g}" in findings[0].text
        assert f"{run.loss * factor:.3g}" in findings[0].text


def test_a_perfect_networks_loss_is_not_divided_by(labels):
    logits = 200 * one_hot(labels)  # the rest of the softmax is below float64's ends
    run = Run("cross_entropy", labels, labels, 1.0, IMAGES, 1e-7, outputs=logits)
    assert diagnose(run) == []


def test_a_loss_that_goes_up(rng, labels):
    worse = 1 - one_hot(labels) * 0.9
    run = healthy(rng, labels, outputs=worse, train_loss=[3.0, 4.0, 4.4])
    assert kinds(run)[0] == "diverging"
    without = run._replace(outputs=None, first_outputs=None)
    assert "diverging" in kinds(without)
    assert kinds(healthy(rng, labels, train_loss=[0.5, np.inf]))[0] == "diverging"


def test_outputs_that_are_no_numbers_are_not_called_saturated(rng, labels):
    nothing = np.full((IMAGES, CLASSES), np.nan)
    run = healthy(rng, labels, outputs=nothing, train_loss=[np.nan], loss=np.nan)
    found = kinds(run)
    assert found[0] == "diverging"
    assert "saturated" not in found
    # Nor is the score said to be wrong by a loss that is no number.
    found = kinds(run._replace(outputs=None, accuracy=0.1))
    assert found[0] == "diverging" and "evaluation" not in found


def test_neurons_at_their_ends(rng, labels):
    at_the_ends = [rng.integers(0, 2, (IMAGES, 12)).astype(float)]
    assert kinds(healthy(rng, labels, hidden=at_the_ends)) == ["saturated"]
    # Outputs that are 0 whatever the image, as after steps that are too large.
    nothing = np.full((IMAGES, CLASSES), 1e-9)
    nothing[:, 3] = 2e-9
    run = healthy(rng, labels, outputs=nothing, train_loss=[0.5, 0.5, 0.499])
    assert kinds(run) == ["saturated", "collapsed"]


def test_labels_out_of_step(rng, labels):
    hedged = 0.1 + rng.normal(size=(IMAGES, CLASSES)) * 0.03
    run = healthy(rng, labels, outputs=hedged, train_loss=[0.48, 0.46, 0.452])
    assert kinds(run) == ["labels"]
    # It came down to a guess's loss a moment ago, or it has always been there.
    for losses in ([1.9, 0.7, 0.46], [0.46]):
        run = healthy(rng, labels, outputs=hedged, train_loss=losses)
        assert kinds(run) == []
    started = run._replace(
        first_outputs=hedged + 0.01, train_loss=[0.453, 0.452, 0.451]
    )
    assert kinds(started) == []
    # Test labels alone: the network learned, and the test says that it did not.
    apart = healthy(rng, labels, outputs=good_outputs(rng, rng.permutation(labels)))
    assert kinds(apart) == ["labels"]


def test_one_answer_to_everything(labels):
    answers = np.full(IMAGES, 7)
    run = Run("quadratic", labels, answers, np.mean(labels == 7), IMAGES)
    [finding] = diagnose(run)
    assert finding.kind == "collapsed"
    assert "7 to 100.0%" in finding.text


def test_digits_that_are_never_answered(labels):
    answers = np.where(np.isin(labels, (2, 5)), 8, labels)
    run = Run("quadratic", labels, answers, np.mean(labels == answers), IMAGES)
    assert diagnose(run) == [("never_answered", "it never answers 2, 5")]


def one_sided(rng, share):
    """Labels of which a share is 3, the others of all classes."""
    common = rng.uniform(size=IMAGES) < share
    return np.where(common, 3, rng.integers(0, CLASSES, IMAGES))


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9, 0.97, 1.0])
@pytest.mark.parametrize("cost", ["quadratic", "cross_entropy"])
def test_a_good_network_is_as_one_sided_as_its_labels(rng, share, cost):
    labels = one_sided(rng, share)
    outputs = np.where(one_hot(labels) > 0, 1 - 1e-7, 1e-7)
    if cost == "cross_entropy":
        outputs = np.log(outputs)
    run = healthy(
        rng,
        labels,
        cost=cost,
        outputs=outputs,
        loss=measures.mean_loss(cost, outputs, labels),
        train_loss=[0.3, 0.01, 0.001],
        hidden=(),
    )
    assert kinds(run) == []
    little = Run(cost, labels, labels, accuracy=1.0, seen=IMAGES)
    assert kinds(little) == []


def test_a_network_that_answers_the_commonest_label_alone_has_collapsed(rng):
    labels = one_sided(rng, 0.9)
    run = Run("quadratic", labels, np.full(IMAGES, 3), np.mean(labels == 3), IMAGES)
    assert kinds(run) == ["collapsed"]
    # Of a few other images nothing can be told, and of none nothing is missed.
    few = np.where(np.arange(IMAGES) < 9, 1, 3)
    for other in (few, np.full(IMAGES, 3)):
        run = run._replace(labels=other, accuracy=np.mean(other == 3))
        assert kinds(run) == []


def test_chance_is_what_the_labels_frequencies_give(rng):
    # Two classes of which one has 60 %: 62 % right is a guess's, 80 % is not.
    labels = np.where(np.arange(IMAGES) < 0.6 * IMAGES, 8, 3)
    outputs = np.full((IMAGES, CLASSES), 1e-3)
    outputs[:, 8], outputs[:, 3] = 0.6, 0.4

    def answering(share):
        shown = np.where(rng.uniform(size=IMAGES) < share, labels, 11 - labels)
        changed = outputs.copy()
        changed[np.arange(IMAGES), shown] += 0.3
        return healthy(
            rng, labels, outputs=changed, train_loss=[0.4, 0.24, 0.24], hidden=()
        )

    assert "labels" in kinds(answering(0.62))
    assert "labels" not in kinds(answering(0.85))


@pytest.mark.parametrize(
    "change",
    [
        {"labels": np.empty(0, int), "answers": np.empty(0, int), "outputs": None},
        {"outputs": np.ones((IMAGES - 1, CLASSES))},
        {"outputs": np.ones((IMAGES, 3))},
    ],
)
def test_a_run_that_does_not_fit_together_is_refused(rng, labels, change):
    with pytest.raises(InputError):
        diagnose(healthy(rng, labels, first_outputs=None)._replace(**change))


@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_losses_are_those_of_other_libraries(rng, labels, scale):
    # Oracles: optax and scikit-learn; rtol: optax computes in float32.
    raw = rng.normal(size=(IMAGES, CLASSES)) * scale
    quadratic = measures.mean_loss("quadratic", sigmoid(raw), labels)
    expected = sklearn.metrics.mean_squared_error(one_hot(labels), sigmoid(raw))
    assert quadratic == pytest.approx(expected * CLASSES / 2)
    entropy = ENTROPY(raw.astype(np.float32), labels.astype(np.int32))
    assert measures.mean_loss("cross_entropy", raw, labels) == pytest.approx(
        float(entropy.mean()), rel=1e-5
    )


@pytest.mark.parametrize("cost", ["quadratic", "cross_entropy"])
def test_a_guess_is_the_best_constant_output(rng, cost):
    # Oracle: the loss of other constants, in the neighbourhood and far away.
    labels = rng.choice(CLASSES, IMAGES, p=np.arange(1, 11) / 55)
    share = np.bincount(labels, minlength=CLASSES) / IMAGES
    guess = measures.guess_loss(cost, labels)

    def constant(values):
        outputs = np.repeat(values[None, :], IMAGES, axis=0)
        return measures.mean_loss(cost, outputs, labels)

    best = share if cost == "quadratic" else np.log(share)
    assert constant(best) == pytest.approx(guess)
    for size in (0.01, 0.3):
        assert constant(best + size * rng.normal(size=CLASSES)) > guess


def test_error_slope_is_the_gradient_over_the_error(rng, labels):
    # Oracle: the quadratic cost's slope at the weighted input, by central differences.
    z = rng.normal(size=(IMAGES, CLASSES)) * 2
    step = 1e-5

    def cost(weighted):
        return (sigmoid(weighted) - one_hot(labels)) ** 2 / 2

    gradient = (cost(z + step) - cost(z - step)) / (2 * step)
    errors = np.abs(sigmoid(z) - one_hot(labels))
    expected = np.abs(gradient).sum() / errors.sum()
    assert measures.error_slope(sigmoid(z), labels) == pytest.approx(expected, rel=1e-6)


def test_change_is_a_root_mean_square(rng):
    first = params(rng)
    last = tuple(Dense(layer.kernel + 3.0, layer.bias - 3.0) for layer in first)
    assert measures.change(first, last) == pytest.approx(3.0)
