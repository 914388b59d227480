# %% [markdown]
r"""
# 5. ReLU, softmax, cross-entropy

**Same images, same training: why do other formulas learn so much faster?**

Lesson 3 ended with a warning: a slope near 0 stops the message to the weights. This
lesson looks for such slopes. It finds them at the output, in the hidden layer, and most
of all in deep networks. Then it replaces the formulas one by one and arrives at Model
2: ReLU layers, a softmax, and the cross-entropy.
"""

# %%
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from jaxnets import (
    losses,
    models,
    pixels,
    relu_softmax,
    sigmoid_mse,
    training,
)
from jaxnets.batches import epoch_order
from jaxnets.diagnose import flat_share
from lessons.kit import check, load, new_figure, show

dataset = load()

# %% [markdown]
r"""
## Saturation

A sigmoid's slope is $a(1 - a)$. It is at most a quarter, and next to nothing where $a$
is near 0 or 1. A neuron there is called saturated: it has an opinion, and no gradient
comes through it to change the opinion. Let us look at the hidden activations of Model 1
for some images: as it starts, and after five epochs. A third network starts with the
same weights but is fed bytes, 0 to 255, by a programmer who forgot to divide.
"""

# %%
keys, recipe = training.run_keys(3), models.SIGMOID_MSE.recipe
start = sigmoid_mse.init(keys.init, recipe.layer_sizes)
tx = optax.sgd(recipe.learning_rate)
*_, fifth = training.fit(
    sigmoid_mse.loss_fn,
    tx,
    training.start(start, tx),
    dataset.train,
    batch_size=recipe.batch_size,
    num_epochs=5,
    key=keys.data,
)
networks = {
    "at the start": start,
    "after 5 epochs": fifth.state.params,
    "at the start, fed bytes": pixels.for_bytes(start),
}
few = jnp.asarray(dataset.validation.image[:200])
hidden = {
    name: np.asarray(sigmoid_mse.activations_of(params, few)[0])
    for name, params in networks.items()
}
for name, activations in hidden.items():
    slopes = activations * (1 - activations)
    flat = flat_share("quadratic", [activations])
    print(f"{name}: mean slope {slopes.mean():.4f}, {flat:.1%} let nothing through.")
assert flat_share("quadratic", [hidden["at the start, fed bytes"]]) > 0.9
assert flat_share("quadratic", [hidden["at the start"]]) < 0.9

# %% [markdown]
r"""
With bytes the sums are 255 times as large, and the neurons stand at 0 or 1 from the
very start. Such a network hardly learns, though every line of its training is right. It
is one of the mistakes of lesson 4.

## The slope at the output

The quadratic cost of one sigmoid output $a = \sigma(z)$ with the target 0 is $\frac12
a^2$. Suppose that the output is wrong, and sure of it: $z$ is large. One would hope for
a strong push. By the chain rule the slope is $a \cdot a(1 - a)$, and the factor that
should help is nearly 0. The more wrong, the less it learns.

The cross-entropy is another cost: minus the logarithm of the probability that was given
to the truth. For one output with the target 0 it is $-\log(1 - a)$. We let `jax.grad`
compute both slopes.
"""

# %%
z = jnp.linspace(-8.0, 8.0, 161)
quadratic_slope = jax.vmap(jax.grad(lambda z: jax.nn.sigmoid(z) ** 2 / 2))(z)
entropy_slope = jax.vmap(jax.grad(lambda z: -jnp.log(1 - jax.nn.sigmoid(z))))(z)
for value in (0, 4, 8):
    place = int(np.argmin(np.abs(z - value)))
    print(f"z = {value}: quadratic {quadratic_slope[place]:.5f}, ", end="")
    print(f"cross-entropy {entropy_slope[place]:.5f}")
assert quadratic_slope[-1] < 0.01 and entropy_slope[-1] > 0.99

# %% [markdown]
r"""
## Softmax and cross-entropy

Ten sigmoids give ten opinions that need not fit together. A softmax turns the ten
weighted sums of the last layer, called logits, into one distribution, and the cost is
minus the log of what it gives to the label $y$:

$$ p_k = \frac{e^{z_k}}{\sum_j e^{z_j}}, \qquad C = -\log p_y. $$

Adding the same number to all logits changes nothing, since it cancels. A guess, with
all logits equal, costs $\log 10$ with ten classes. That is a number to know by heart: a
network that starts far above it has been set up badly.
"""


# %%
def plain_softmax(logits):
    """Probabilities [images, classes], as the formula has it."""
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True)  # e^z_k / sum_j e^z_j


logits = np.array([[2.0, 1.0, -1.0], [0.5, 0.5, 3.0]])
labels = np.array([0, 1])
by_hand = -np.log(plain_softmax(logits)[np.arange(2), labels])  # -log p_y
library = losses.softmax_cross_entropy(jnp.float32(logits), jnp.int32(labels))
np.testing.assert_allclose(by_hand, library, rtol=1e-5)  # float32
np.testing.assert_allclose(plain_softmax(logits), plain_softmax(logits + 7.0))

guess = losses.softmax_cross_entropy(jnp.zeros((1, 10)), jnp.zeros(1, jnp.int32))
np.testing.assert_allclose(guess, np.log(10), rtol=1e-6)
print(f"A guess among ten classes costs {float(guess[0]):.4f}.")

with np.errstate(over="ignore", invalid="ignore"):
    print(f"Logits 1000 and 999: {plain_softmax(np.array([[1000.0, 999.0]]))}")

# %% [markdown]
r"""
The last line is not a number. The formula is right and the program is wrong: $e^{1000}$
is too large for any float. This is why libraries take logits, and not probabilities,
for the cross-entropy.

### Exercise 5.1

Write a softmax that gets these right, too. You have read above what may be added to all
logits of an image without changing the result.
"""


# %%
def softmax(logits):
    """Probabilities [images, classes] of logits [images, classes], large ones too."""
    return ...


check("5.1", softmax)

# %% [markdown]
r"""
### Exercise 5.2

Differentiate on paper. What is the slope of the mean cross-entropy of $n$ images with
respect to their logits? It is the $\delta$ from which backpropagation starts, in place
of BP1, and it is shorter. You are given the probabilities $p$ and the labels.
"""


# %%
def logit_slopes(probabilities, labels):
    """The slopes [images, classes], for labels int [images]."""
    return ...


check("5.2", logit_slopes)

# %% [markdown]
r"""
## ReLU

In the hidden layers the rectified linear unit takes the sigmoid's place: $\max(0, z)$.
Its slope is 1 where it is active and 0 where it is not. It can be silent, but it does
not saturate upwards, and an active one passes the message on unweakened.

How much that matters shows in a deep network. Beside its weights, a sigmoid layer
multiplies the message by at most a quarter, so after six layers little is left of it.
Here are the sizes of the gradient, layer by layer, for two networks with the same
weights.
"""

# %%
deep_sizes = (dataset.train.image[0].size, *[100] * 6, 10)
deep = relu_softmax.init(training.run_keys(0).init, deep_sizes)


def deep_cost(params, activation):
    """The mean cross-entropy of a hundred images."""
    values = pixels.to_vectors(jnp.asarray(dataset.train.image[:100]))
    for layer in params[:-1]:
        values = activation(values @ layer.kernel + layer.bias[None, :])
    scores = values @ params[-1].kernel + params[-1].bias[None, :]
    answers = jnp.asarray(dataset.train.label[:100])
    return jnp.mean(losses.softmax_cross_entropy(scores, answers))


sizes_of = {}
for name, activation in (("sigmoid", jax.nn.sigmoid), ("ReLU", jax.nn.relu)):
    gradient = jax.jit(jax.grad(lambda p: deep_cost(p, activation)))(deep)  # noqa: B023
    sizes_of[name] = [float(jnp.sqrt(jnp.mean(layer.kernel**2))) for layer in gradient]
    ratio = sizes_of[name][0] / sizes_of[name][-1]
    print(f"{name}: the first layer's gradient is {ratio:.1e} of the last one's.")
assert sizes_of["sigmoid"][0] < 0.01 * sizes_of["ReLU"][0]

# %% [markdown]
r"""
### Exercise 5.3

Write the step of backpropagation through a ReLU layer. `delta` [images, size] is the
slope with respect to the layer's outputs, `z` [images, size] its weighted sums.
"""


# %%
def through_relu(delta, z):
    """The slope with respect to z [images, size]."""
    return ...


check("5.3", through_relu)

# %%
figure, axes = new_figure(1, 3, (12, 3.8))
colors = ("#0072B2", "#56B4E9", "#D55E00")
for (name, activations), color in zip(hidden.items(), colors, strict=True):
    shares = np.full(activations.size, 1 / activations.size)
    axes[0, 0].hist(
        activations.ravel(),
        bins=25,
        range=(0, 1),
        weights=shares,
        histtype="step",
        linewidth=1.8,
        color=color,
        label=name,
    )
axes[0, 0].set(xlabel="activation", ylabel="share, logarithmic", yscale="log")
axes[0, 0].set(title="Model 1's hidden neurons")
axes[0, 0].legend(loc="upper center")
axes[0, 1].plot(z, quadratic_slope, color="#0072B2", label="sigmoid, quadratic cost")
axes[0, 1].plot(z, entropy_slope, color="#D55E00", label="sigmoid, cross-entropy")
axes[0, 1].set(xlabel="z (right is very wrong)", ylabel="slope")
axes[0, 1].set(title="An output with the target 0")
axes[0, 1].legend()
for name, color in (("sigmoid", "#0072B2"), ("ReLU", "#D55E00")):
    layers = range(1, len(deep) + 1)
    axes[0, 2].semilogy(layers, sizes_of[name], "o-", color=color, label=name)
axes[0, 2].set(xlabel="layer", ylabel="size of its gradient", title="Seven layers deep")
axes[0, 2].legend()
show(figure, "5-slopes")

# %% [markdown]
r"""
## Which change does how much?

Two things have changed, so there are four networks: sigmoid or ReLU inside, quadratic
cost or cross-entropy at the end. All have 784-100-200-10 neurons and start from the
same weights. A comparison at one learning rate would be unfair, since a rate that suits
one cost is too small for another. So each is trained with six rates.

The six are trained at once. `train` below trains one network with one rate; `jax.vmap`
turns it into a function of many rates, and the compiler makes one program of it. Lesson
7 does more of this. The training is short: five epochs of at most 5,000 images. As a
single epoch may end in a bad moment, the mean accuracy over the last two counts. Which
curve do you expect on top?
"""

# %%
sizes = models.RELU_SOFTMAX.recipe.layer_sizes
same_start = relu_softmax.init(training.run_keys(3).init, sizes)
part = jax.tree.map(jnp.asarray, dataset.train.split(5_000)[0])
some = jax.tree.map(jnp.asarray, dataset.validation.split(2_000)[0])
rates = jnp.array([0.03, 0.1, 0.3, 1.0, 3.0, 10.0])
usable = len(part.label) // 64 * 64
orders = [epoch_order(keys.data, epoch, len(part.label))[:usable] for epoch in range(5)]
batches = jnp.stack(orders).reshape(5, -1, 64)  # [epochs, steps, images]


def scores_of(params, images, activation):
    """The weighted sums of the last layer."""
    values = pixels.to_vectors(images)
    for layer in params[:-1]:
        values = activation(values @ layer.kernel + layer.bias[None, :])
    return values @ params[-1].kernel + params[-1].bias[None, :]


def quadratic(scores, answers):
    """The quadratic cost of sigmoid outputs."""
    return losses.quadratic_cost(jax.nn.sigmoid(scores), answers)


def sweep(activation, cost):
    """Validation accuracy after each epoch, for each rate [rates, epochs]."""

    def mean_cost(params, rows):
        scores = scores_of(params, part.image[rows], activation)
        return jnp.mean(cost(scores, part.label[rows]))

    def train(rate):
        def one_step(params, rows):
            slopes = jax.grad(mean_cost)(params, rows)
            return jax.tree.map(lambda w, s: w - rate * s, params, slopes), None

        def one_epoch(params, rows_of_epoch):
            params, _ = lax.scan(one_step, params, rows_of_epoch)
            answers = jnp.argmax(scores_of(params, some.image, activation), axis=1)
            return params, jnp.mean(answers == some.label)

        return lax.scan(one_epoch, same_start, batches)[1]

    return jax.jit(jax.vmap(train))(rates)


accuracies = {}
for inside, activation in (("sigmoid", jax.nn.sigmoid), ("ReLU", jax.nn.relu)):
    for at_end, cost in (
        ("quadratic", quadratic),
        ("cross-entropy", losses.softmax_cross_entropy),
    ):
        name = f"{inside}, {at_end}"
        accuracies[name] = np.asarray(sweep(activation, cost))[:, -2:].mean(axis=1)
        best = int(np.argmax(accuracies[name]))
        print(f"{name:22} {accuracies[name][best]:.1%} at the rate {rates[best]:g}")

tops = {name: values.max() for name, values in accuracies.items()}
assert tops["sigmoid, quadratic"] < tops["sigmoid, cross-entropy"]
assert tops["sigmoid, quadratic"] < min(
    tops["ReLU, quadratic"], tops["ReLU, cross-entropy"]
)

# %% [markdown]
r"""
This is one seed and a short training, so only large gaps mean something. What is large:
Model 1's pair of formulas is the slowest, and either change helps. Whether the cost
still matters once the ReLU is in, such a small experiment cannot say. Look also at the
figure below. The best rate need not be the same for all. And a curve falls off on both
sides: too small a rate does not arrive, too large a one jumps about.

## Model 2

Now the whole recipe: ReLU, softmax, cross-entropy, SGD with a rate of 0.1 in batches of
64, 32 epochs. The library has it as `relu_softmax`. The chain of lesson 4 stays as it
is; only the network is another.
"""

# %%
recipe = models.RELU_SOFTMAX.recipe
tx, init_key = optax.sgd(recipe.learning_rate), training.run_keys(3).init
epochs = list(
    training.fit(
        relu_softmax.loss_fn,
        tx,
        training.start(relu_softmax.init(init_key, recipe.layer_sizes), tx),
        dataset.train,
        (dataset.validation,),
        batch_size=recipe.batch_size,
        num_epochs=recipe.num_epochs,
        key=keys.data,
    )
)
train_loss = np.array([epoch.train.mean_loss for epoch in epochs])
validation_loss = np.array([epoch.held_out[0].mean_loss for epoch in epochs])
lowest = int(np.argmin(validation_loss))
print(f"Training loss in the last epoch: {train_loss[-1]:.4f}.")
print(f"Validation loss: lowest {validation_loss[lowest]:.4f}, in epoch {lowest + 1};")
print(f"in the last epoch {validation_loss[-1]:.4f}.")

evaluate = jax.jit(training.make_evaluate(relu_softmax.loss_fn))
tested = jax.device_get(evaluate(epochs[-1].state.params, dataset.test))
print(f"Test: {int(tested.correct):,} of {int(tested.seen):,}, {tested.accuracy:.2%}.")
assert tested.accuracy > 0.85
assert train_loss[-1] < train_loss[0] < np.log(10)

# %%
figure, axes = new_figure(1, 2, (11, 3.8))
styles = ("o--", "o-")
for place, (name, values) in enumerate(accuracies.items()):
    color = "#0072B2" if place < 2 else "#D55E00"
    axes[0, 0].semilogx(rates, 100 * values, styles[place % 2], color=color, label=name)
axes[0, 0].set(xlabel="learning rate", ylabel="validation accuracy in percent")
axes[0, 0].set(title="A short training at six rates", ylim=(0, 140))
axes[0, 0].set(yticks=range(0, 101, 20))
axes[0, 0].legend(loc="upper center", ncols=2)  # above the curves
numbers = range(1, len(epochs) + 1)
axes[0, 1].semilogy(numbers, train_loss, color="#56B4E9", label="training")
axes[0, 1].semilogy(numbers, validation_loss, color="#D55E00", label="validation")
axes[0, 1].set(xlabel="epoch", ylabel="mean cross-entropy", title="Model 2")
axes[0, 1].legend()
show(figure, "5-model-2")

# %% [markdown]
r"""
The curve of the training loss goes down and down; that of the validation loss comes to
rest. The gap is called overfitting. The network learns the training images by heart,
with more and more confidence, and on new images the confidence is not always deserved.
The accuracy on them need not suffer, which is why one looks at the loss.

The other formulas learn faster, then, because they let the error through: the
cross-entropy at the output, the ReLU on the way back.

## Where to go from here

Read `jaxnets/relu_softmax.py` and `jaxnets/losses.py`; they are shorter than this
lesson. `python -m experiments.choices` measures learning rates, input scales and starts
with many seeds. Nielsen's chapter 3 has the cross-entropy, his chapter 5 the vanishing
gradient. The starting weights are from Glorot and Bengio (2010). Lesson 6 builds a
network of this kind three times.
"""
