# %% [markdown]
r"""
# 4. Training as a pure function

**What exactly happens between the data and the test accuracy?**

Nine things, says the write-up that this project starts from: data preparation,
initialization, forward propagation, loss, backward propagation, optimization,
iteration, validation, testing. Here they are, in this order, on Model 1. Along the way
one epoch is run in three ways that compute the same and differ much in speed. At the
end you get three broken programs and are asked what is wrong with them.
"""

# %%
import tempfile
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from experiments.bugs import train as broken
from experiments.bugs.programs import MISTAKES
from jaxnets import checkpoint, models, sigmoid_mse, training
from jaxnets.batches import epoch_order
from jaxnets.diagnose import Run, diagnose
from jaxnets.types import Batch
from lessons.exercises.lesson_4 import MYSTERIES
from lessons.kit import check, load, new_figure, seconds, show

# %% [markdown]
r"""
## 1. Data

Images come as bytes, 0 for paper to 255 for ink, with a label each, and in three parts.
The network learns from the training set. The validation set tells how it is getting on.
The test set stays closed until everything is decided.

Networks like inputs of a common, small scale. The library keeps the bytes, which take a
quarter of the memory, and divides by 255 inside the network, where it cannot be
forgotten.
"""

# %%
dataset = load()
image, label = dataset.train
print(f"Pixels: {image.dtype} {image.shape}, {image.min()} to {image.max()}.")
recipe = models.SIGMOID_MSE.recipe  # the values that the write-up gives
print(f"Recipe: {recipe}")

# %% [markdown]
r"""
## 2. Initialization

The first weights are random, so that neurons start different and can become different.
In JAX randomness is an argument, called a key. There is no hidden state: with the same
version of JAX the same key gives the same numbers, today and next year. `run_keys`
derives all keys of a run from one seed: one for the weights, one for the order of the
images.
"""

# %%
keys = training.run_keys(seed=3)
params = sigmoid_mse.init(keys.init, recipe.layer_sizes)
again = sigmoid_mse.init(training.run_keys(seed=3).init, recipe.layer_sizes)
assert np.array_equal(params[0].kernel, again[0].kernel)
other = sigmoid_mse.init(training.run_keys(seed=4).init, recipe.layer_sizes)
assert not np.array_equal(params[0].kernel, other[0].kernel)

# %% [markdown]
r"""
## 3 to 6. Forward, loss, backward, optimization

Lesson 3 has built these by hand. Together they make one step, and a step is a function:
parameters and some images go in, new parameters come out. Nothing is changed in place,
so the old parameters are still there afterwards. Such a function is called pure. You
can call it twice, in another order, on another machine, and know what you get, but for
rounding.
"""


# %%
def train_step(params, batch):
    """The parameters after one step of SGD, and the counts of the batch."""
    # Forward and loss are in loss_fn; jax.grad goes backward through them.
    slopes, totals = jax.grad(sigmoid_mse.loss_fn, has_aux=True)(params, batch)
    rate = recipe.learning_rate
    return jax.tree.map(lambda w, slope: w - rate * slope, params, slopes), totals


few = dataset.train.split(recipe.batch_size)[0]
new_params, totals = train_step(params, few)
assert not np.array_equal(new_params[1].bias, params[1].bias)
assert np.array_equal(params[0].kernel, again[0].kernel)  # the old ones are as before
print(f"Before the step {int(totals.correct)} of {int(totals.seen)} were read right.")

# The library's step is the same, for any network and any optimizer. atol: float32.
tx = optax.sgd(recipe.learning_rate)
library_step = training.make_train_step(sigmoid_mse.loss_fn, tx)
library_state, _ = library_step(training.start(params, tx), few)
for ours, theirs in zip(new_params, library_state.params, strict=True):
    np.testing.assert_allclose(ours.kernel, theirs.kernel, atol=1e-6)

# %% [markdown]
r"""
### Exercise 4.1

SGD with momentum keeps a velocity $v$ for each weight. It remembers a part $\mu$ of the
last one, adds the new step, and moves by the result:

$$ v \leftarrow \mu v - \eta \frac{\partial C}{\partial w}, \qquad
   w \leftarrow w + v. $$

Write it as a pure function. Parameters, velocity and slopes are trees of the same
structure, for which `jax.tree.map` takes a function of as many arguments.
"""


# %%
def momentum_step(params, velocity, slopes, rate, momentum):
    """The new parameters and the new velocity, in this order."""
    return ..., ...


check("4.1", momentum_step)

# %% [markdown]
r"""
## 7. Iteration

An epoch takes every training image once, in batches, in a random order. The order is a
value too: it depends on the run's key and on the number of the epoch, and on nothing
else. A run that was interrupted can go on exactly where it stopped.
"""

# %%
order = epoch_order(keys.data, 0, len(label))
assert np.array_equal(np.sort(order), np.arange(len(label)))  # each image once
assert not np.array_equal(order, epoch_order(keys.data, 1, len(label)))
assert np.array_equal(order, epoch_order(keys.data, 0, len(label)))
print(f"Epoch 1 begins with the images {np.asarray(order[:8])}.")

# %% [markdown]
r"""
### Exercise 4.2

Model 2 trains for 32 epochs on 50,000 images in batches of 64. The last batch of an
epoch is short, and used like any other. How many steps does it take?
"""

# %%
num_steps = ...

check("4.2", num_steps)

# %% [markdown]
r"""
Now the same epoch three ways, on a part of the images, since the first way is slow.

- **A Python loop.** Each operation of each step is sent to the device by itself.
- **`jit`.** JAX traces the step once, and compiles all of it to one program. Python
  calls the program for each batch.
- **`scan`.** The loop goes into the program as well. Python calls it once an epoch.

Guess the ratios before you run it. The first call of a compiled function includes the
compiler's work, so it is timed apart.
"""

# %%
num_batches = 20
batches = order[: num_batches * recipe.batch_size].reshape(num_batches, -1)
data = jax.device_put(dataset.train)


def python_epoch(step, params):
    """A loop over the batches; `step` is train_step, compiled or not."""
    for rows in batches:
        params, _ = step(params, Batch(data.image[rows], data.label[rows]))
    return params


@jax.jit
def scan_epoch(params, data, batches):
    """The same loop inside one program."""

    def body(params, rows):
        return train_step(params, Batch(data.image[rows], data.label[rows]))

    return lax.scan(body, params, batches)[0]


jit_step = jax.jit(train_step)
loop_seconds, by_loop = seconds(python_epoch, train_step, params)
compile_step, _ = seconds(jit_step, params, few)
jit_seconds, by_jit = seconds(python_epoch, jit_step, params)
compile_scan, _ = seconds(scan_epoch, params, data, batches)
scan_seconds, by_scan = seconds(scan_epoch, params, data, batches)

table = {
    "Python loop": (loop_seconds, 0.0),
    "jit": (jit_seconds, compile_step),
    "scan": (scan_seconds, compile_scan),
}
for name, (duration, first) in table.items():
    per_step = 1e6 * duration / num_batches
    print(f"{name:12} {per_step:8,.0f} microseconds a step; first call {first:.2f} s")

for way in (by_jit, by_scan):  # atol: float32 sums in another order, over all steps
    np.testing.assert_allclose(way[0].kernel, by_loop[0].kernel, atol=1e-3)
_, twice = seconds(scan_epoch, params, data, batches)
assert np.array_equal(by_scan[0].kernel, twice[0].kernel)  # pure: bit for bit

# %% [markdown]
r"""
All three end with the same weights, and the pure function called again gives the same
to the last bit. The arithmetic is the same, so the difference is what it costs to ask
for it. `training.fit` is the third way, with the shuffling inside the program too. It
yields after each epoch, so that whoever calls it can look, print, save or stop.

## 8. Validation

We train by the recipe, all its epochs, and look at the validation set after each. It
must not be the training set: what a network has learned by heart, it gets right there.
And it must not be the test set: whoever looks at the test set to decide something has
used it up.
"""

# %%


def fit_from(state):
    """An epoch after the other, from this state to the end of the recipe."""
    return training.fit(
        sigmoid_mse.loss_fn,
        tx,
        state,
        dataset.train,
        (dataset.validation,),
        batch_size=recipe.batch_size,
        num_epochs=recipe.num_epochs,
        key=keys.data,
    )


epochs = list(fit_from(training.start(params, tx)))
train_accuracy = [float(epoch.train.accuracy) for epoch in epochs]
validation_accuracy = [float(epoch.held_out[0].accuracy) for epoch in epochs]
for epoch in (epochs[0], epochs[-1]):
    print(f"Epoch {epoch.number}: validation {epoch.held_out[0].accuracy:.2%}.")
print(f"An epoch takes {np.median([epoch.seconds for epoch in epochs]):.3f} s.")

# %% [markdown]
r"""
Suppose that the machine had been switched off two epochs before the end. The state is a
value, and a value can be written to a file. Nothing else is needed: the order of the
next epoch follows from the key and its number. So the run goes on and ends with the
same weights, bit for bit.
"""

# %%
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "model_1.ckpt"
    checkpoint.save(file, epochs[-3].state)
    saved = checkpoint.restore(file, like=epochs[-3].state)
resumed = list(fit_from(saved))
assert len(resumed) == 2
pairs = zip(epochs[-1].state.params, resumed[-1].state.params, strict=True)
assert all(np.array_equal(one.kernel, other.kernel) for one, other in pairs)
print(f"Resumed after epoch {epochs[-3].number}: the same weights at the end.")

# %% [markdown]
r"""
## 9. Testing

Once, at the end, with the last weights. Every image counts, also those of a last batch
that is not full. `make_evaluate` returns sums and divides once: the mean of the
batches' accuracies would be another number when they differ in size.
"""

# %%
evaluate = jax.jit(training.make_evaluate(sigmoid_mse.loss_fn))
tested = jax.device_get(evaluate(epochs[-1].state.params, dataset.test))
assert tested.seen == len(dataset.test.label)
assert tested.accuracy > 0.5  # a guess is right in a tenth of the cases
print(f"Test: {int(tested.correct):,} of {int(tested.seen):,}, {tested.accuracy:.2%}.")

# %% [markdown]
r"""
## 10.41 %

The write-up reports 10.41 % for this network, with these settings. That is no bad luck:
it is most likely a bug. What kind of number is it? A first idea is a network that gives
one answer to everything. Count the digits of the test set: no answer has that share.
"""

# %%
reported = models.SIGMOID_MSE.reported
assert reported is not None
counts = np.bincount(dataset.test.label, minlength=10)
print(f"Test images a digit: {counts.tolist()}.")
print(f"Reported as right: {reported * counts.sum():,.0f}.")
assert round(reported * counts.sum(), 6) not in counts

# %% [markdown]
r"""
A second idea is a network that has learned nothing. Two hundred networks, tested as
they start:
"""


# %%
@jax.jit
def untrained_accuracies(seeds, test):
    """The test accuracies of networks as they start, one after the other."""

    def accuracy(seed):
        start = sigmoid_mse.init(jax.random.key(seed), recipe.layer_sizes)
        outputs = sigmoid_mse.apply(start, test.image)
        return jnp.mean(jnp.argmax(outputs, axis=1) == test.label)

    return lax.map(accuracy, seeds)


chance = np.asarray(untrained_accuracies(jnp.arange(200), dataset.test))
near = np.mean(np.abs(chance - reported) < 0.006)
print(f"Untrained: {chance.min():.1%} to {chance.max():.1%}, mean {chance.mean():.1%};")
print(f"{near:.0%} of them within 0.6 points of {reported:.2%}.")
assert chance.min() < reported < chance.max()

figure, axes = new_figure(1, 2, (11, 3.6))
numbers = range(1, recipe.num_epochs + 1)
axes[0, 0].plot(numbers, train_accuracy, color="#56B4E9", label="training, as it goes")
axes[0, 0].plot(numbers, validation_accuracy, color="#0072B2", label="validation")
axes[0, 0].plot(recipe.num_epochs, tested.accuracy, "k*", markersize=11, label="test")
axes[0, 0].set(xlabel="epoch", ylabel="accuracy", title="A healthy run")
axes[0, 0].legend()
axes[0, 1].hist(100 * chance, bins=20, color="0.7")
axes[0, 1].axvline(100 * reported, color="#D55E00")
axes[0, 1].set(xlabel="test accuracy in percent", ylabel="networks")
axes[0, 1].set(title="200 untrained networks; the line: 10.41 %")
show(figure, "4-training")

# %% [markdown]
r"""
So 10.41 % is a score that a network can have whose training has had no effect. That can
come about in many ways, and most of them raise no error message. Here are twelve
mistakes that people make; only some of them end near 10.41 %:
"""

# %%
for name, program in MISTAKES.items():
    print(f"{name:16} {program.mistake}")
assert len(MISTAKES) == 12

# %% [markdown]
r"""
## Name the mistake

Three of the twelve are at work in the programs A, B and C. All else in them is right.
Each trains for three epochs and leaves this evidence: the training loss of each epoch,
the accuracy that the program reports, how often it answers each digit, and the share of
hidden neurons that are flat (so near 0 or 1 that no gradient comes through).
"""

# %%
short = replace(recipe, num_epochs=3)
evidence = {}
for letter, program in MYSTERIES.items():
    *before, last = broken.train([program], short, dataset, seeds=[3])
    evidence[letter] = last
    losses = [round(row["train_loss"], 3) for row in (*before, last)]
    print(
        f"Program {letter} reports {last['test_accuracy']:.2%}; training loss {losses}"
    )
    print(f"  answers 0 to 9: {last['answers']}; flat: {last['flat_hidden']:.0%}")

guess = 1 - np.sum((counts / counts.sum()) ** 2)
print(f"For comparison: always outputting the digits' shares costs {guess / 2:.3f}.")

# %% [markdown]
r"""
### Exercise 4.3

Name the mistakes, by the names in the list above, such as `"uphill"`. Ask of each
program: did the loss come down? To where? Are the answers those of a network that has
learned?
"""

# %%
names = {"A": ..., "B": ..., "C": ...}

check("4.3", names)

# %% [markdown]
r"""
Then ask `jaxnets.diagnose`. It looks at what a run leaves behind, as you did, and says
what looks wrong. (It gives the answer away. Try first.) An empty list means that
nothing does.
"""

# %%
for letter, row in evidence.items():
    for finding in row["diagnosis"]:
        print(f"Program {letter}: {finding['text']}")
    assert row["diagnosis"]

answers = np.asarray(
    jax.jit(sigmoid_mse.predict)(epochs[-1].state.params, dataset.test.image).label
)
*hidden, outputs = jax.device_get(
    sigmoid_mse.activations_of(epochs[-1].state.params, dataset.test.image)
)
findings = diagnose(
    Run(
        cost="quadratic",
        labels=dataset.test.label,
        answers=answers,
        accuracy=float(tested.accuracy),
        seen=int(tested.seen),
        loss=float(tested.mean_loss),
        train_loss=[float(epoch.train.mean_loss) for epoch in epochs],
        train_seen=int(epochs[-1].train.seen),
        first=jax.device_get(params),
        last=jax.device_get(epochs[-1].state.params),
        outputs=outputs,
        hidden=hidden,
    )
)
texts = [finding.text for finding in findings] or ["nothing looks wrong"]
print(f"Our own run: {'; '.join(texts)}.")

# %% [markdown]
r"""
One of the three explains itself to the last digit. `mean(answer == one_hot(label))`
looks like an accuracy. But NumPy compares the answer with all ten 0s and 1s of the row.
An answer 0 agrees with the nine 0s, an answer 1 with the single 1, and any other answer
with none. So the "accuracy" depends on how often the network answers 0 and 1, and not
at all on whether it is right.
"""

# %%
for row in evidence.values():
    zeros, ones = row["answers"][:2]
    if np.isclose((9 * zeros + ones) / (10 * len(answers)), row["test_accuracy"]):
        print(f"(9 x {zeros} + {ones}) / (10 x {len(answers)}) = ", end="")
        print(f"{row['test_accuracy']:.2%}, as that program reports.")
        break
else:
    raise AssertionError("one of the three programs compares with one-hot rows")

# %% [markdown]
r"""
What happens between the data and the test accuracy is a chain of functions, and a score
is a statement about the whole chain. When it is near chance, look at the evaluation
first.

## Where to go from here

`jaxnets/training.py` is the chain in the library: `make_train_step`,
`make_train_epoch`, `make_evaluate`, `fit`. `python -m experiments.bugs` makes all
twelve mistakes with many seeds each and counts which of them end within chance of 10.41
%; `docs/findings.md` has the verdict. `python -m experiments.compare --help` shows what
a whole run offers. Lesson 5 changes the formulas and leaves the chain as it is.
"""
