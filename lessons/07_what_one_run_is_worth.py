# %% [markdown]
r"""
# 7. What one run is worth

**One network scores a little more than another. Is it better?**

Every accuracy so far came from one seed. Another seed gives other weights to start
from, another order of the images, and another accuracy. This lesson trains the same
networks from many seeds at once, looks at the spread, and asks what can be concluded:
when one network is ahead, when the two are not told apart, and how a score is flattered
without a lie. At the end comes an outlook: a network with a loop, which reads an image
row by row.
"""

# %%
import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.kit import statistics
from jaxnets import (
    ensemble,
    models,
    optimizers,
    pixels,
    relu_softmax,
    row_rnn,
    training,
)
from lessons.kit import check, load, new_figure, show

# %% [markdown]
r"""
## Many networks as one

`jax.vmap` takes a function of one thing and gives the function of many: it adds an axis
to the arguments and to the results. Our networks are pure functions of plain values, so
it works on all of them. Here a function that makes one network from its seed makes ten
networks from ten seeds. Nobody had to write a loop into it.
"""

# %%
dataset = load()
seeds = range(10)
sizes = models.RELU_SOFTMAX.recipe.layer_sizes


def network_of(seed):
    """The first weights of one network."""
    return relu_softmax.init(jax.random.key(seed), sizes)


networks = jax.jit(jax.vmap(network_of))(jnp.arange(10))
print(f"The first kernel of ten networks: {networks[0].kernel.shape}.")

alone = network_of(4)
np.testing.assert_allclose(networks[0].kernel[4], alone[0].kernel, rtol=1e-6)  # float32

# %% [markdown]
r"""
### Exercise 7.1

Write the accuracies of many networks on the same images, by `vmap` or otherwise.
`apply` is a function of one network's parameters and the images, and gives outputs
[images, classes]. The leaves of `networks` have a first axis of networks.
"""


# %%
def accuracies(apply, networks, images, labels):
    """The share of right answers of each network: an array [networks]."""
    return ...


check("7.1", accuracies)

# %% [markdown]
r"""
The same goes for training. `ensemble.fit_many` is `training.fit` under `vmap`: each
network has a seed of its own, from which come its first weights and its order of the
images.

Three competitors: Model 1, Model 2 with its learning rate of 0.1, and Model 2 with
0.08. Each is trained from ten seeds, for ten epochs of at most 3,000 images, which is
little, so that it goes quickly. Which order do you expect? We look at the test set
after each epoch, which one must not do to decide anything. Here it is itself what is
studied.
"""

# %%
part = dataset.train.split(3_000)[0]
held_out = (dataset.validation.split(2_000)[0], dataset.test)


def train_many(model, rates):
    """Accuracies in percent [2, epochs, rates, seeds], of validation and test set."""
    network, recipe = model.network, model.recipe
    epochs = ensemble.fit_many(
        lambda key: network.init(key, recipe.layer_sizes),
        network.loss_fn,
        optax.sgd,
        part,
        held_out,
        seeds=list(seeds) * len(rates),
        batch_size=recipe.batch_size,
        num_epochs=10,
        learning_rates=np.repeat(rates, len(seeds)),
    )
    rows = [[100 * data.accuracy for data in epoch.held_out] for epoch in epochs]
    return np.array(rows).reshape(-1, 2, len(rates), len(seeds)).swapaxes(0, 1)


of_model_1 = train_many(models.SIGMOID_MSE, [3.0])
of_model_2 = train_many(models.RELU_SOFTMAX, [0.1, 0.08])
validation, test = {}, {}
for name, accuracy in (
    ("Model 1", of_model_1[:, :, 0]),
    ("Model 2, 0.1", of_model_2[:, :, 0]),
    ("Model 2, 0.08", of_model_2[:, :, 1]),
):
    validation[name], test[name] = accuracy  # each [epochs, seeds]
    last = test[name][-1]
    print(f"{name:13} {last.min():.2f} to {last.max():.2f} %, mean {last.mean():.2f} %")

# %% [markdown]
r"""
## Where the spread comes from

Two kinds of chance are at work. One is the seed: the rows above. The other is the test
set: its images are a sample, too, and on other images of the same kind the same network
would score otherwise. An accuracy $p$ on $N$ images has a standard error of

$$ \sqrt{\frac{p (1 - p)}{N}} $$

by the images alone. Wilson's interval is a better version of plus and minus two of
these, one that behaves near 100 %.
"""

# %%
num_images = len(dataset.test.label)
finals = {name: accuracy[-1] for name, accuracy in test.items()}
for name in finals:
    p = test[name][-1, 0] / 100  # the first seed
    error = np.sqrt(p * (1 - p) / num_images)
    low, high = statistics.wilson_interval(round(p * num_images), num_images)
    by_seed = np.std(test[name][-1], ddof=1)
    print(f"{name:13} seed 0: {100 * p:.2f} %, by images {100 * low:.2f} to ", end="")
    print(f"{100 * high:.2f}; error {100 * error:.2f}; seeds spread {by_seed:.2f}")
    assert low < p < high

# %% [markdown]
r"""
Two networks that read the same test images share the second kind of chance, and part of
it cancels in their difference. The first kind does not cancel. It is met by more
seeds.

### Exercise 7.2

Write the 95 % interval of the mean over $n$ seeds: $\bar x \pm t\, s / \sqrt n$, where
$s$ is the standard deviation with $n - 1$ in the denominator, and $t$ is such that
Student's distribution with $n - 1$ degrees of freedom has 2.5 % beyond it on either
side. `scipy.special.stdtrit(df, p)` gives the value below which a share `p` lies.
"""


# %%
def mean_interval(values):
    """The lower and the upper end, for an array [n]."""
    return ..., ...


check("7.2", mean_interval)

# %% [markdown]
r"""
## Ahead, or not told apart

Now the pairs. For each, the difference of the means with its 95 % interval, and a test
that does not mind a seed that got stuck (Mann and Whitney's). As three pairs are looked
at, and one of them may stand out by chance, the p-values are made stricter (by Holm's
method). A pair that passes has a winner on this test set. Of any other one can only say
that so many seeds do not tell them apart, which is not the same as being equal.
"""

# %%
shares = {name: values / 100 for name, values in finals.items()}
pairs = statistics.compare_pairs(shares)
for pair in pairs:
    low, high = (100 * end for end in pair.interval or (np.nan, np.nan))
    print(f"{pair.first} minus {pair.second}: {pair.verdict}.")
    print(
        f"  {100 * pair.difference:+.2f} points ({low:+.2f} to {high:+.2f}), ", end=""
    )
    print("p < 0.001." if pair.p_value < 0.001 else f"p = {pair.p_value:.3f}.")
    detectable = 100 * (pair.detectable or np.nan)
    print(f"  Of true differences of {detectable:.2f} points it finds 80%.")
    print(f"  One run of each: {pair.first} is ahead in {pair.wins:.0%} of all cases.")

# The interval by hand: the two spreads add up, and t is near 2.
one, two = finals["Model 1"], finals["Model 2, 0.1"]
error = np.sqrt(np.var(one, ddof=1) / len(one) + np.var(two, ddof=1) / len(two))
low, high = (100 * end for end in pairs[0].interval or (np.nan, np.nan))
if pairs[0].interval:  # none where a seed got stuck, far below all others
    assert 1.96 < (high - low) / 2 / error < 2.3
if dataset.name == "mnist":
    assert pairs[0].ahead == "Model 2, 0.1" and high < 0

# %% [markdown]
r"""
The last line of each pair answers the question at the top. Take one run of each network
and believe the result: that is how often you would have named the first one. Where the
share is near a half, a single run of each is a coin. Where it is 0 % or 100 %, one run
would have done; but you know that only now.

## How a score is flattered

Accuracy goes up and down from epoch to epoch. Report the best epoch instead of the last
one, and the score is a little higher, without any better network. It is higher because
the test set was asked many times and the friendliest answer was kept. The same holds
for the best seed.
"""

# %%
for name, accuracy in test.items():
    best_epoch = np.max(accuracy, axis=0)  # of each seed
    gain = best_epoch - accuracy[-1]
    seed_gain = accuracy[-1].max() - accuracy[-1].mean()
    assert np.all(gain >= 0)
    print(f"{name:13} choosing on the test set the best epoch adds {gain.mean():.2f}")
    print(f"{'':13} points to the mean, and the best seed {seed_gain:.2f}.")

# %% [markdown]
r"""
A network that is still learning is at its best in the last epoch, and gains nothing by
this. One that goes up and down gains something.

There is an honest way to stop early: choose the epoch by the validation set, and read
the test set at that epoch. What remains between that and the best epoch on the test set
is the optimism of choosing on the test set, and what the choice loses because the
validation set is small.

### Exercise 7.3

Write this optimism. You are given the accuracies on the validation set and on the test
set, arrays [epochs, seeds]. For each seed take the test accuracy in its best test
epoch, minus the test accuracy in the epoch that its validation accuracy chooses. Return
the mean over the seeds.
"""


# %%
def optimism(validation, test):
    """The mean over the seeds, a number."""
    return ...


check("7.3", optimism)

# %%
figure, axes = new_figure(1, 2, (11, 3.8))
colors = ("#0072B2", "#D55E00", "#E69F00")
for place, (values, color) in enumerate(zip(finals.values(), colors, strict=True)):
    offsets = place + np.linspace(-0.15, 0.15, len(values))
    axes[0, 0].plot(values, offsets, "o", color=color, alpha=0.6)
    spread = statistics.paired(values)
    assert spread is not None
    half = spread.interval[1] - spread.mean
    axes[0, 0].errorbar(spread.mean, place + 0.3, xerr=half, fmt="D", color=color)
axes[0, 0].set(yticks=range(3), yticklabels=list(finals), ylim=(-0.5, 2.6))
axes[0, 0].set(xlabel="test accuracy in percent")
axes[0, 0].set(title="A dot a seed; the mean with its 95 % interval")
numbers = range(1, len(test["Model 2, 0.1"]) + 1)
for curve in test["Model 2, 0.1"].T:
    axes[0, 1].plot(numbers, curve, color="#D55E00", alpha=0.4)
    best = int(np.argmax(curve))
    axes[0, 1].plot(best + 1, curve[best], "o", color="black", markersize=4)
axes[0, 1].set(xlabel="epoch", ylabel="test accuracy in percent")
axes[0, 1].set(title="Model 2, rate 0.1; dots: the best epoch of each seed")
show(figure, "7-seeds")

# %% [markdown]
r"""
## Outlook: a loop in time

All networks so far are feedforward: the message goes from the pixels to the answer. A
recurrent network feeds its own state back to itself. That sounds circular, but the
state acts at a later time only. Here a time is a row of the image. The network reads
one row after the other, and keeps what it has seen in a state $s$ of 128 numbers:

$$ s_t = \max(0,\; [\,\text{row}_t,\, s_{t-1}] W + b), \qquad
   \text{logits} = s_\text{last} V + c. $$

The same $W$ is used for every row. As a plain loop:
"""


# %%
def read_rows(params, image):
    """The logits of one image [H, W], after a loop over its rows."""
    hidden, output = params
    state = np.zeros(len(hidden.bias))
    for row in image / 255:
        sums = np.concatenate([row, state]) @ hidden.kernel + hidden.bias
        state = np.maximum(0, sums)  # s_t
    return state @ output.kernel + output.bias


recipe = models.ROW_RNN.recipe
keys = training.run_keys(3)
start = row_rnn.init(keys.init, recipe.layer_sizes)
few = dataset.test.image[:3]
by_hand = [read_rows(start, image) for image in few]
np.testing.assert_allclose(row_rnn.apply(start, few), by_hand, atol=1e-4)  # float32

# %% [markdown]
r"""
Nothing in the training changes: `grad` goes back through the rows as it went back
through layers. A few epochs of at most 20,000 images are enough here. (Of small data it
takes more of them.)
"""

# %%
tx = optimizers.make(recipe)
many = dataset.train.split(20_000)[0]
*_, trained = training.fit(
    row_rnn.loss_fn,
    tx,
    training.start(start, tx),
    many,
    batch_size=recipe.batch_size,
    num_epochs=max(4, 20_000 // len(many.label)),
    key=keys.data,
)


@jax.jit
def probabilities_by_row(params, images):
    """What the network would say after each row [H, images, classes]."""
    hidden, output = params
    count, height, width = images.shape
    rows = pixels.to_vectors(images).reshape(count, height, width).swapaxes(0, 1)
    states = row_rnn.states(hidden, rows)
    return jax.nn.softmax(states @ output.kernel + output.bias[None, None, :])


by_row = np.asarray(probabilities_by_row(trained.state.params, dataset.test.image))
answers = by_row.argmax(axis=-1)  # [H, images]
right = np.mean(answers == dataset.test.label, axis=1)
for row in range(4, len(right) + 1, 4):
    print(f"Asked after row {row:2}: {right[row - 1]:.1%} right.")
assert right[-1] > 0.7

# %% [markdown]
r"""
The images have a margin. In the first rows most of them show nothing yet, and to
nothing there can be only one answer. So the score there is the share of the images that
happen to carry that label, near a tenth, whatever the network has learned.
"""

# %%
has_ink = np.cumsum(dataset.test.image.max(axis=2), axis=1) > 0  # [images, rows]
for row in (4, 8):
    blank = ~has_ink[:, row - 1]
    print(f"After row {row} {blank.mean():.1%} of the images are blank so far", end="")
    if blank.any():
        (same,) = set(answers[row - 1, blank].tolist())  # one answer to all of them
        print(f"; to each of them it says {same}", end="")
    print(".")

# An image on which it changes its mind often, and is right in the end.
changes = np.sum(answers[1:] != answers[:-1], axis=0)
changes[answers[-1] != dataset.test.label] = -1
chosen = int(np.argmax(changes))
shown = [4, 8, 12, 16, 20, 24, 28]
figure, axes = new_figure(2, len(shown), (12, 4))
for axis, bars, row in zip(*axes, shown, strict=True):
    picture = 1 - dataset.test.image[chosen] / 255
    picture[row:] = 0.75  # still covered
    axis.imshow(picture, cmap="gray", vmin=0, vmax=1)
    axis.set(xticks=[], yticks=[], title=f"row {row}: {right[row - 1]:.0%}")
    probability = by_row[row - 1, chosen]
    is_label = np.arange(10) == dataset.test.label[chosen]
    bars.bar(range(10), probability, color=np.where(is_label, "#E69F00", "0.6"))
    bars.set(xticks=range(0, 10, 3), ylim=(0, 1), yticks=[])
axes[1, 0].set(ylabel="probability", yticks=[0, 1])
figure.suptitle(
    f"A {dataset.test.label[chosen]}, row by row: what the network would say of it. "
    "Above: how many of all test images it has right by then"
)
show(figure, "7-row-by-row")

# %% [markdown]
r"""
So, is the network with the higher score better? With one run of each you do not know.
With ten you know how large a difference you could have seen, and whether you saw it. An
accuracy without its spread is half a sentence.

## Where to go from here

This was the last lesson. `python -m experiments.seeds` does it properly: twenty seeds,
whole training sets, Keras among the competitors, a second test set. `docs/findings.md`
puts every statement of the write-up to such a test. `jaxnets/ensemble.py` and
`jaxnets/row_rnn.py` are the code. Bouthillier and others, "Accounting for variance in
machine learning benchmarks" (2021), is where to read on. And `CONTRIBUTING.md` says how
to add a network of your own.
"""
