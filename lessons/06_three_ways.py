# %% [markdown]
r"""
# 6. The same network three ways

**What does a framework do for you, what does it cost, and is it the same network?**

The write-up that this project starts from trains its Model 3 with tf.keras and finds it
easier than code from scratch, and faster. Easier is a matter of what you want to do.
Faster can be measured. But first of all one should make sure that the same thing is
compared. This lesson builds one network as a Keras model, as a Flax module and as plain
functions, gives all three the same weights, and watches them train in step.
"""

# %%
from dataclasses import replace
from importlib.util import find_spec

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxnets import (
    flax_dense,
    keras_dense,
    keras_network,
    losses,
    models,
    optimizers,
    pixels,
    relu_softmax,
    training,
)
from jaxnets.types import Batch, Dense, num_params
from lessons.kit import check, load, new_figure, seconds, show

has_keras = find_spec("tensorflow") is not None
if not has_keras:
    print("=" * 80)
    print("NO TENSORFLOW: tf.keras is one of the three ways, and it is not installed.")
    print("Its parts are left out; all else runs. `pip install tensorflow` mends it.")
    print("=" * 80)

# %% [markdown]
r"""
## Three descriptions

Model 3 has 784 inputs, 1,024 hidden neurons with ReLU, and 10 outputs with a softmax.
Adam trains it. This is the network as a function of its parameters, which are a plain
value:
"""

# %%
dataset = load()
recipe = models.KERAS_DENSE.recipe
num_inputs, num_hidden, num_classes = recipe.layer_sizes
keys = training.run_keys(3)


def apply(params, images):
    """Logits [images, 10]."""
    hidden, output = params
    activations = jax.nn.relu(
        pixels.to_vectors(images) @ hidden.kernel + hidden.bias[None, :]
    )
    return activations @ output.kernel + output.bias[None, :]


params = flax_dense.init(keys.init, recipe.layer_sizes)
few = jnp.asarray(dataset.test.image[:100])
# The library's function, for any number of layers, is the same. atol: float32.
np.testing.assert_allclose(
    apply(params, few), relu_softmax.apply(params, few), atol=1e-5
)
print(f"{num_params(params):,} parameters.")

# %% [markdown]
r"""
In Flax a network is an object that owns its parameters. Its parts are objects too.
"""


# %%
class DenseNet(nnx.Module):
    """Two linear layers with a ReLU between them; gives logits."""

    def __init__(self, rngs):
        self.hidden = nnx.Linear(num_inputs, num_hidden, rngs=rngs)
        self.output = nnx.Linear(num_hidden, num_classes, rngs=rngs)

    def __call__(self, vectors):
        return self.output(nnx.relu(self.hidden(vectors)))


flax_model = DenseNet(nnx.Rngs(0))

# %% [markdown]
r"""
In Keras one lists the layers, says by `compile` how the model shall be trained, and
`fit` does the rest.
"""

# %%
if has_keras:
    keras = keras_network.load_keras()

    def make_keras_model(**options):
        """The network, compiled; the options are for `compile`."""
        model = keras.Sequential(
            [
                keras.Input(dataset.train.image.shape[1:]),
                keras.layers.Flatten(),
                keras.layers.Dense(num_hidden, activation="relu"),
                keras.layers.Dense(num_classes, activation="softmax"),
            ]
        )
        model.compile(
            optimizer=keras.optimizers.Adam(recipe.learning_rate),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
            **options,
        )
        return model

    keras_model = make_keras_model()
    assert keras_model.count_params() == num_params(params)

# %% [markdown]
r"""
### Exercise 6.1

How many parameters has a dense network? Write the count for any tuple of layer sizes,
such as `(784, 1024, 10)`.
"""


# %%
def parameter_count(layer_sizes):
    """Weights and biases of all layers together."""
    return ...


check("6.1", parameter_count)

# %% [markdown]
r"""
## The same weights

All three store a kernel as [inputs, neurons], so that weights can be carried over as
they are. `model.get_weights()` of Keras is a flat list, kernel and bias of each layer
in turn.
"""

# %%
for layer, dense in ((flax_model.hidden, params[0]), (flax_model.output, params[1])):
    layer.kernel, layer.bias = nnx.Param(dense.kernel), nnx.Param(dense.bias)
functions_say = jax.nn.softmax(apply(params, few))
flax_says = jax.nn.softmax(flax_model(pixels.to_vectors(few)))
np.testing.assert_allclose(flax_says, functions_say, atol=1e-6)  # float32
print("Flax and the functions give the same probabilities for 100 images.")

if has_keras:
    keras_dense.from_dense(keras_model, params)
    keras_says = keras_model.predict(keras_dense.scaled(np.asarray(few)), verbose=0)
    np.testing.assert_allclose(keras_says, functions_say, atol=1e-6)
    print("So does Keras.")

# %% [markdown]
r"""
### Exercise 6.2

Write the way back. `weights` is what `get_weights()` of a Keras model of any number of
dense layers returns; make a tuple of `Dense(kernel, bias)` of it.
"""


# %%
def layers_of(weights):
    """A tuple with a `Dense` for each layer."""
    return ...


check("6.2", layers_of)

# %% [markdown]
r"""
## The same steps

Now ten batches, the same for all, in the same order. After each step we ask two things:
how far have the weights moved from the start, and how far apart are the ways? If they
compute the same, the second number stays at rounding.

Adam keeps two running means for each weight, $m$ of the slope $g$ and $v$ of its
square, and there are two forms of it. With $\hat m$ and $\hat v$ for the means
corrected for their start at 0, the paper divides $\hat m$ by $\sqrt{\hat v} +
\epsilon$. Keras corrects first and adds $\epsilon$ later:

$$ m \leftarrow \beta_1 m + (1 - \beta_1)\, g, \qquad
   v \leftarrow \beta_2 v + (1 - \beta_2)\, g^2, $$
$$ w \leftarrow w - \eta\, \frac{\sqrt{1 - \beta_2^t}}{1 - \beta_1^t}\,
   \frac{m}{\sqrt{v} + \epsilon}, \qquad t = 1, 2, \dots $$

Where slopes are tiny the two differ. `optimizers.keras_adam` is Keras's form, and we
use it for all three.
"""

# %%
tx = optimizers.keras_adam(recipe.learning_rate)
train_step = jax.jit(training.make_train_step(relu_softmax.loss_fn, tx))
flax_optimizer = nnx.Optimizer(flax_model, tx, wrt=nnx.Param)


@nnx.jit
def flax_step(model, optimizer, batch):
    """One update of model and optimizer, in place."""

    def loss_fn(model):
        logits = model(pixels.to_vectors(batch.image))
        return losses.softmax_cross_entropy(logits, batch.label).mean()

    optimizer.update(model, nnx.grad(loss_fn)(model))


def largest_difference(some, others):
    """The largest |a - b| over all weights and biases."""
    apart = jax.tree.map(lambda a, b: np.max(np.abs(a - b)), some, others)
    return float(max(jax.tree.leaves(apart)))


def flax_layers(model):
    """The weights of the Flax module as a tuple of `Dense`."""
    parts = (model.hidden, model.output)
    return tuple(Dense(layer.kernel[...], layer.bias[...]) for layer in parts)


state = training.start(params, tx)
moved: list[float] = []
apart: dict[str, list[float]] = {"Flax": []} | ({"tf.keras": []} if has_keras else {})
order = np.asarray(training.epoch_order(keys.data, 0, len(dataset.train.label)))
for rows in order[: 10 * recipe.batch_size].reshape(10, -1):
    batch = Batch(dataset.train.image[rows], dataset.train.label[rows])
    with jax.default_matmul_precision("highest"):  # accelerators round further
        state, _ = train_step(state, batch)
        flax_step(flax_model, flax_optimizer, batch)
    weights = jax.device_get(state.params)
    moved.append(largest_difference(weights, params))
    apart["Flax"].append(largest_difference(weights, flax_layers(flax_model)))
    if has_keras:
        keras_model.train_on_batch(keras_dense.scaled(batch.image), batch.label)
        theirs = keras_dense.to_dense(keras_model)
        apart["tf.keras"].append(largest_difference(weights, theirs))

for name, differences in apart.items():
    print(f"Functions and {name} after 1, 2, 5 and 10 steps: ", end="")
    print(", ".join(f"{differences[place]:.0e}" for place in (0, 1, 4, 9)), end="")
    print(f" apart; moved {moved[-1]:.0e}.")
    assert differences[-1] < 0.01 * moved[-1]

# %% [markdown]
r"""
They are the same network, to rounding. Flax uses JAX, as the functions do, so both may
well become the same program. Keras adds up its sums in another order. Ten steps leave
such a difference small. Many more of them enlarge it, until the weights are visibly
different: `experiments.parity` follows them over a whole epoch. That is as it is
between two machines, and no reason to prefer one.

### Exercise 6.3

Write one step of Adam in Keras's form, from the formulas above, with the usual
constants: $\beta_1 = 0.9$, $\beta_2 = 0.999$, $\epsilon = 10^{-7}$, and the rate $\eta
= 0.001$.
"""


# %%
def adam_step(w, slope, m, v, t):
    """The new w, m and v, in this order, after step t (1 for the first)."""
    return ..., ..., ...


check("6.3", adam_step)

# %% [markdown]
r"""
## What each makes easy

Keras makes the usual easy: the loop, the batches, the progress, early stopping, saving,
and a summary are there, and another person knows where to find them. Flax gives
structure to large models and leaves the step to you. Functions make the unusual easy,
since nothing is hidden in an object. For instance: which of 200 images pulls hardest at
the weights? `grad` gives the slopes for one image, `vmap` makes that a function of
many.
"""


# %%
def one_loss(params, image, label):
    """The loss of a single image."""
    return relu_softmax.loss_fn(params, Batch(image[None], label[None]))[0]


@jax.jit
def gradient_norms(params, images):
    """The length of each image's own gradient [images]."""
    slopes = jax.vmap(jax.grad(one_loss), in_axes=(None, 0, 0))(params, *images)
    leaves = [leaf.reshape(len(images.label), -1) for leaf in jax.tree.leaves(slopes)]
    squares = [jnp.sum(leaf**2, axis=1) for leaf in leaves]
    return jnp.sqrt(sum(squares))


some = dataset.validation.split(200)[0]
norms = np.asarray(gradient_norms(state.params, some))
hardest, easiest = int(np.argmax(norms)), int(np.argmin(norms))
answers = np.asarray(relu_softmax.predict(state.params, some.image).label)
for name, place in (("hardest", hardest), ("least", easiest)):
    print(f"Image {place} pulls {name}: {norms[place]:.3f}; ", end="")
    print(f"a {some.label[place]}, read as {answers[place]}.")
one = jax.jit(jax.grad(one_loss))(
    state.params, some.image[hardest], some.label[hardest]
)
one_norm = np.sqrt(sum(np.sum(np.square(s)) for s in jax.tree.leaves(one)))
np.testing.assert_allclose(norms[hardest], one_norm, rtol=1e-3)  # float32

# %% [markdown]
r"""
## Speed, each way twice

A comparison is worth something if each side is used well. So each way is timed twice:
as one writes it first, and with what helps most.

- Keras: `fit` with its defaults, and compiled by XLA with 64 steps an execution, so
  that Python is asked less often. `experiments.speed` searches further: threads,
  `tf.data`, bytes, and a compiled loop in place of `fit`.
- Flax: a Python loop over the compiled step, and the module inside `training.fit`.
- Functions: a Python loop over the compiled step, and `training.fit`, where the whole
  epoch is one program.

It is three epochs of 5,000 images. The first contains the compiler's work; the better
of the other two counts.
"""

# %%
part = dataset.train.split(5_000)[0]
nothing = Batch(part.image[:0], part.label[:0])
NUM_EPOCHS = 3
usable = len(part.label) // recipe.batch_size * recipe.batch_size
batches = order[order < len(part.label)][:usable].reshape(-1, recipe.batch_size)
epoch_seconds: dict[str, list[float]] = {}


def loop_over_functions(state):
    """One epoch, a call of the compiled step for each batch."""
    for rows in batches:
        state, _ = train_step(state, Batch(part.image[rows], part.label[rows]))
    return state


def loop_over_flax(model):
    """The same with the Flax module, which changes in place."""
    for rows in batches:
        batch = Batch(part.image[rows], part.label[rows])
        flax_step(model, flax_optimizer, batch)
    return model.output.bias[...]


def fit_seconds(loss_fn):
    """Seconds of each epoch of `training.fit`, and the last state."""
    epochs = training.fit(
        loss_fn,
        tx,
        training.start(params, tx),
        part,
        batch_size=recipe.batch_size,
        num_epochs=NUM_EPOCHS,
        key=keys.data,
    )
    durations = []
    for epoch in epochs:
        durations.append(epoch.seconds)
    durations[0] += epoch.compile_seconds  # so that it is counted as for the others
    return durations, epoch.state


epoch_seconds["functions, loop"] = []
for _ in range(NUM_EPOCHS):
    duration, state = seconds(loop_over_functions, state)
    epoch_seconds["functions, loop"].append(duration)
epoch_seconds["functions, fit"], fitted = fit_seconds(relu_softmax.loss_fn)
epoch_seconds["Flax, loop"] = [
    seconds(loop_over_flax, flax_model)[0] for _ in range(NUM_EPOCHS)
]
epoch_seconds["Flax, fit"], _ = fit_seconds(flax_dense.loss_fn)

if has_keras:
    compiled = {"jit_compile": True, "steps_per_execution": 64}
    for name, options in (("tf.keras, defaults", {}), ("tf.keras, XLA", compiled)):
        keras_model = make_keras_model(**options)
        keras_dense.from_dense(keras_model, params)
        short = replace(recipe, num_epochs=NUM_EPOCHS)
        keras_epochs = keras_dense.fit(keras_model, short, part, nothing, seed=3)
        epoch_seconds[name] = [epoch.seconds for epoch in keras_epochs]

for name, durations in epoch_seconds.items():
    print(f"{name:18} {min(durations[1:]):6.3f} s an epoch; first {durations[0]:.2f} s")

right = {"functions": relu_softmax.predict(fitted.params, dataset.test.image).label}
if has_keras:
    right["tf.keras"] = keras_dense.predict(keras_model, dataset.test.image).label
for name, answers in right.items():
    accuracy = np.mean(np.asarray(answers) == dataset.test.label)
    print(f"{name}: {accuracy:.2%} of the test set after these epochs.")
    assert accuracy > 0.8

# %%
figure, axes = new_figure(1, 2, (11, 3.8))
steps = range(1, 11)
axes[0, 0].semilogy(steps, moved, "o-", color="0.5", label="moved from the start")
for name, differences in apart.items():
    color = "#CC79A7" if name == "tf.keras" else "#009E73"
    shown = np.maximum(differences, 1e-9)  # a difference of 0 has no logarithm
    label = f"apart from {name}" if max(differences) else f"not apart from {name}: 0"
    axes[0, 0].semilogy(steps, shown, "o-", color=color, label=label)
axes[0, 0].set(xlabel="step", ylabel="largest difference of a weight")
axes[0, 0].set(title="The same steps", ylim=(5e-10, 0.1))
axes[0, 0].legend(loc=(0.03, 0.46))
names = list(reversed(epoch_seconds))
best = [min(epoch_seconds[name][1:]) for name in names]
axes[0, 1].plot(best, names, "o", color="#0072B2", markersize=9)
axes[0, 1].grid(axis="x", color="0.9")
axes[0, 1].set(xlim=(0, None), xlabel="seconds an epoch", title="5,000 images")
show(figure, "6-three-ways")

# %% [markdown]
r"""
Read the table as what it is: three epochs, one machine, one network. Look at two
distances in it. One is between the two ways to use the same library, the other between
the better ways of two libraries. Whoever compares a tuned program with an untuned one
measures the first and calls it the second. Here too something is left of the first:
Keras's epochs are short, a call of `fit` each, of floats, and with one option or two.
`docs/speed.md` has the second, and it is smaller.

So a framework does for you what everybody needs, it costs whatever your table says, and
it is the same network if you make it so.

## Where to go from here

`docs/speed.md` has measurements on an idle machine, in turns, with intervals and with
more contenders. `python -m experiments.parity` follows the equality in float64 over an
epoch and says what each difference costs. `python -m experiments.control` counts lines
and does the unusual on both sides. `jaxnets/flax_dense.py` shows how a Flax module and
plain parameters live together. Lesson 7 asks what the accuracies that we have printed
all along are worth.
"""
