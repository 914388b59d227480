# %% [markdown]
r"""
# 2. Sigmoid neurons

**Why must a neuron be able to answer "a little more"?**

A perceptron says yes or no. Change its weights a little and, nearly always, nothing
happens; once in a while everything does. This lesson measures that, replaces the step
by a smooth curve, and shows what the smoothness is good for: it tells a network in the
dark which way is down.
"""

# %%
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnets.neurons import learning
from jaxnets.neurons import sigmoid as sigmoid_neuron
from jaxnets.neurons.perceptron import Neuron, step, weighted_sum
from jaxnets.pixels import to_vectors
from jaxnets.types import Dense
from lessons.kit import check, load, new_figure, show

# %% [markdown]
r"""
## A smooth step

A sigmoid neuron adds up like a perceptron, $z = w \cdot x + b$, and then, in place of
asking whether $z$ is above 0, gives

$$ \sigma(z) = \frac{1}{1 + e^{-z}}. $$

Its inputs need not be 0 or 1. Any number between them will do, such as a grey pixel;
and its own output is such a number too.
"""


# %%
def sigmoid(z):
    """Near 0 for very negative z, 1/2 at 0, near 1 for large z."""
    return 1 / (1 + np.exp(-z))  # sigma(z) = 1 / (1 + e^-z)


z = np.linspace(-6, 6, 121)
assert sigmoid(0.0) == 0.5
np.testing.assert_allclose(sigmoid(-z), 1 - sigmoid(z), rtol=1e-12)  # symmetric
# JAX has the same function. rtol: it computes in float32.
np.testing.assert_allclose(jax.nn.sigmoid(z), sigmoid(z), rtol=1e-5)
print(f"sigma at -5, -1, 0, 1, 5: {np.round(sigmoid(np.array([-5, -1, 0, 1, 5])), 4)}")

# %% [markdown]
r"""
Multiply all weights and the bias by a large number and the curve gets steep:
$\sigma(cz)$ approaches the perceptron's step as $c$ grows. So a sigmoid neuron can do
what a perceptron does. The first figure of this lesson has the picture; how steep is
steep enough is a question for you.

### Exercise 2.1

A neuron has one input with the weight $c$, and the bias $-c/2$. For the input 1 a
perceptron with these values fires. What is the smallest $c$ for which the sigmoid
neuron outputs at least 0.99 there? Three digits are enough.
"""

# %%
smallest_c = ...

check("2.1", smallest_c)

# %% [markdown]
r"""
## Small change in, small change out

Here is a neuron with ten inputs. Change its weights by $\Delta w$ and its bias by
$\Delta b$. By how much will the output change? The first-order answer is

$$ \Delta\,\text{output} \approx \sum_j \frac{\partial\,\text{output}}{\partial w_j}
   \Delta w_j + \frac{\partial\,\text{output}}{\partial b} \Delta b. $$

As $z$ changes by $x_j$ for every unit of $w_j$, and by 1 for every unit of $b$, that is
$\sigma'(z) \left( \sum_j x_j \Delta w_j + \Delta b \right)$, where $\sigma'$ is the
slope of the curve. We take the slope from two points of the curve that are close
together.
"""

# %%
rng = np.random.default_rng(1)
weights, bias, inputs = rng.normal(size=10), 1.0, rng.uniform(size=10)
direction = rng.normal(size=11)  # of the change: ten weights, and the bias
direction /= np.linalg.norm(direction)


def slope_at(z, h=1e-5):
    """The slope of sigma at z, from two points beside it."""
    return (sigmoid(z + h) - sigmoid(z - h)) / (2 * h)


def measured_change(size):
    """What a change of this size does to the output."""
    new_weights, new_bias = weights + size * direction[:10], bias + size * direction[10]
    return sigmoid(new_weights @ inputs + new_bias) - sigmoid(weights @ inputs + bias)


def predicted_change(size):
    """sigma'(z) (x . dw + db)."""
    slope = slope_at(weights @ inputs + bias)
    return slope * (inputs @ (size * direction[:10]) + size * direction[10])


for size in (1.0, 0.1, 0.01):
    measured, predicted = measured_change(size), predicted_change(size)
    print(f"Change {size:4}: measured {measured:+.6f}, predicted {predicted:+.6f}.")

# %% [markdown]
r"""
The smaller the change, the better the prediction, and its error shrinks faster than the
change: that is what "differentiable" means. Here a tenth of the change has about a
hundredth of the error. The exponent can be read off as a slope between logarithms.
"""

# %%
sizes = np.logspace(-3, -1, 9)
errors = np.array([abs(measured_change(s) - predicted_change(s)) for s in sizes])
power = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
print(f"The error of the prediction grows as the change to the power {power:.2f}.")
assert 1.9 < power < 2.1

# The library's function does this for any neuron, by JAX's derivative.
neuron = Neuron(np.float32(weights), np.float32(bias))
change = Neuron(np.float32(direction[:10]), np.float32(direction[10]))
np.testing.assert_allclose(  # rtol: float32
    sigmoid_neuron.predicted_change(neuron, np.float32(inputs), change),
    predicted_change(1.0),
    rtol=1e-4,
)

# %% [markdown]
r"""
Now the same with a step. Ten thousand random neurons, the $z$ of each changed at
random, by about 0.1: how do their outputs take it?
"""

# %%
count = 10_000
z = np.sum(rng.normal(size=(count, 10)) * rng.uniform(size=(count, 10)), axis=1)
z_changes = 0.1 * rng.normal(size=count)
for name, function in (("sigmoid", sigmoid), ("step", lambda z: np.float64(z > 0))):
    changes = np.abs(function(z + z_changes) - function(z))
    still, jumps = np.mean(changes == 0), np.mean(changes > 0.5)
    print(f"{name}: largest change {changes.max():.3f}; ", end="")
    print(f"{still:.1%} do not move at all, {jumps:.1%} jump.")
    assert (still, jumps) == (0, 0) if name == "sigmoid" else still + jumps == 1

# %% [markdown]
r"""
A sigmoid neuron always moves, and never far. A perceptron either does not move, or
flips.

### Exercise 2.2

Write the slope $\sigma'(z)$ without any small $h$: differentiate $\sigma(z)$ on paper
and express the result by $\sigma(z)$ itself. It becomes short. The function must take
an array `z` as well as a number.
"""


# %%
def sigmoid_slope(z):
    """The derivative of sigma at z; `sigmoid` is at hand."""
    return ...


check("2.2", sigmoid_slope)

# %% [markdown]
r"""
### Exercise 2.3

Turn the prediction round. A neuron's output shall grow by a small amount `wanted`, and
only its bias may change. By how much, to first order? Use what you know of the slope.
"""


# %%
def bias_change(weights, bias, inputs, wanted):
    """How much to add to the bias, a number."""
    return ...


check("2.3", bias_change)

# %%
figure, axes = new_figure(1, 2, (11, 3.8))
z = np.linspace(-4, 4, 400)
for steepness, color in ((1, "#56B4E9"), (3, "#0072B2"), (10, "#004466")):
    label = f"$\\sigma({steepness if steepness > 1 else ''}z)$"
    axes[0, 0].plot(z, sigmoid(steepness * z), color=color, label=label)
axes[0, 0].plot(z, z > 0, "--", color="#D55E00", label="step")
axes[0, 0].set(xlabel="z", ylabel="output", title="A smooth step")
axes[0, 0].legend()
sizes = np.logspace(-3, 0, 25)
measured = [abs(measured_change(size)) for size in sizes]
errors = [abs(measured_change(size) - predicted_change(size)) for size in sizes]
axes[0, 1].loglog(sizes, measured, "o", color="#0072B2", label="change of the output")
axes[0, 1].loglog(sizes, errors, "o", color="#D55E00", label="error of the prediction")
axes[0, 1].set(xlabel="size of the change of weights and bias")
axes[0, 1].set(title="Ten times smaller: a hundredth of the error")
axes[0, 1].legend()
show(figure, "2-small-changes")

# %% [markdown]
r"""
## What the smoothness is good for

Lesson 1 ended with a problem: two layers of perceptrons compute XOR, but nobody knows
the targets of the first layer. With sigmoids nobody needs to. Measure by one number how
wrong the network is, such as half the squared distance between outputs and targets.
Each weight has a slope: how much that number changes when the weight does. Move every
weight a little against its slope, and the number falls. Repeat. This is gradient
descent.

`jax.grad` computes all the slopes of a function at once. How it does so is the subject
of lesson 3; here we use it. The network has two inputs, three neurons, and one that
reads them. Its `activation` is either the sigmoid or the step.
"""

# %%
corners = jnp.array([[0, 0], [0, 1], [1, 0], [1, 1]], jnp.float32)
xor_targets = jnp.array([0, 1, 1, 0], jnp.float32)


def cost(params, activation):
    """Half the squared distance to the targets, mean over the four corners."""
    values = corners
    for layer in params:
        values = activation(values @ layer.kernel + layer.bias[None, :])
    return jnp.mean((values[:, 0] - xor_targets) ** 2) / 2


def random_params(key):
    """2 inputs, 3 neurons, 1 neuron."""
    params = []
    for size, layer_key in zip(((2, 3), (3, 1)), jax.random.split(key), strict=True):
        kernel_key, bias_key = jax.random.split(layer_key)
        bias = jax.random.normal(bias_key, size[1:])
        params.append(Dense(jax.random.normal(kernel_key, size), bias))
    return tuple(params)


def make_descend(activation, rate=5.0, num_steps=3000):
    """A function from parameters to parameters and the cost before each step."""

    def one_step(params, _):
        value, slopes = jax.value_and_grad(cost)(params, activation)
        # Every weight moves against its slope.
        return jax.tree.map(lambda w, slope: w - rate * slope, params, slopes), value

    return jax.jit(lambda params: lax.scan(one_step, params, length=num_steps))


keys = jax.random.split(jax.random.key(0), 20)
starts = [random_params(key) for key in keys]
descend, stand = make_descend(jax.nn.sigmoid), make_descend(step)
curves = [descend(start)[1] for start in starts]
learned = sum(float(curve[-1]) < 0.01 for curve in curves)
print(f"Sigmoids: {learned} of {len(starts)} random starts learn XOR.")
assert learned > len(starts) / 2

flat_curves = [stand(start)[1] for start in starts]
end, _ = stand(starts[0])
print(f"Steps: cost {flat_curves[0][0]:.3f} before the first step, ", end="")
print(f"{flat_curves[0][-1]:.3f} before the last.")
for before, after in zip(jax.tree.leaves(starts[0]), jax.tree.leaves(end), strict=True):
    assert np.array_equal(before, after)  # not one weight has moved

# %% [markdown]
r"""
The network of steps does not move, because a step has the slope 0 everywhere except at
the jump, where it has none. The information "you would be right if this weight were
larger" is lost. The network of sigmoids finds hidden neurons that nobody has designed.

Most random starts learn XOR, and a few may not: they come to rest in a place where all
slopes are small and the answer is wrong. That will come up again, with digits, in
lesson 7.

## An answer between yes and no

Back to one neuron and two digits, 3 and 5 this time, with grey pixels as inputs. The
rule of lesson 1 with $\sigma$ in place of the step, and a small factor in front, is
gradient descent as well (on another cost, which lesson 5 introduces):

$$ w \leftarrow w + \eta\, (t - \sigma(z))\, x. $$

`learning.learn_pass` takes the activation as an argument, so the same function trains
both kinds of neuron.
"""

# %%
dataset = load()


def pair_of(images):
    """Grey pixels [B, pixels] of the 3s and 5s, and the target 1 for a 5."""
    rows = (images.label == 3) | (images.label == 5)
    targets = (images.label[rows] == 5).astype(np.int32)
    return np.asarray(to_vectors(images.image[rows])), targets


@jax.jit
def learn_passes(inputs, targets):
    """A sigmoid neuron and a perceptron after five passes."""
    one = two = learning.silent(inputs.shape[1])
    for _ in range(5):
        one, _ = learning.learn_pass(
            one, inputs, targets, activation=jax.nn.sigmoid, rate=0.1
        )
        two, _ = learning.learn_pass(two, inputs, targets)
    return one, two


smooth, sharp = learn_passes(*pair_of(dataset.train))
test_inputs, test_targets = pair_of(dataset.test)
outputs = np.asarray(sigmoid_neuron.output(smooth, test_inputs))
smooth_right = (outputs > 0.5) == test_targets
sharp_right = np.asarray(step(weighted_sum(sharp, test_inputs))) == test_targets
print(f"Sigmoid neuron: {smooth_right.mean():.1%} of {len(test_targets):,} right.")
print(f"Perceptron:     {sharp_right.mean():.1%}.")
assert smooth_right.mean() > 0.85

# %% [markdown]
r"""
As a classifier of two classes the smooth neuron is not of another kind: its boundary is
the same sort of plane, at $z = 0$. What it has in addition is the number. An output
near 1/2 means "I am not sure", and it is worth believing. Sort the test images by how
far the output is from 1/2, and look for the mistakes.
"""

# %%
sureness = np.abs(outputs - 0.5)
unsure = sureness <= np.quantile(sureness, 0.1)
print(f"Wrong among the least sure tenth: {1 - smooth_right[unsure].mean():.1%}.")
print(f"Wrong among all others:           {1 - smooth_right[~unsure].mean():.1%}.")
assert smooth_right[unsure].mean() <= smooth_right[~unsure].mean()

figure, axes = new_figure(1, 2, (11, 3.6))
for place, (flat, curve) in enumerate(zip(flat_curves, curves, strict=True)):
    labels = ("step", "sigmoid") if place == 0 else (None, None)
    axes[0, 0].plot(flat, "--", color="#D55E00", alpha=0.4, label=labels[0])
    axes[0, 0].plot(curve, color="#0072B2", alpha=0.6, label=labels[1])
axes[0, 0].set(xlabel="steps of descent", ylabel="cost", title="XOR, 20 starts")
axes[0, 0].legend(loc="upper right", bbox_to_anchor=(1, 0.92))
images_in, edges = np.histogram(outputs, bins=10, range=(0, 1))
wrong_in, _ = np.histogram(outputs[~smooth_right], bins=edges)
shares = 100 * wrong_in / np.maximum(images_in, 1)
bars = axes[0, 1].bar(edges[:-1], shares, 0.09, align="edge", color="#D55E00")
axes[0, 1].bar_label(bars, [f"of {count}" for count in images_in], fontsize=7)
axes[0, 1].set(xlabel="output", ylabel="wrong, in percent", ylim=(0, 105))
axes[0, 1].set(title="3 or 5: mistakes are where the neuron is unsure")
show(figure, "2-smooth-learning")

# %% [markdown]
r"""
That is the answer: a neuron must be able to answer a little more so that it can be told
to do so. The slope carries the message, through as many layers as there are.

## Where to go from here

`jaxnets/neurons/sigmoid.py` is short; read it beside this lesson. `python -m
experiments.neurons` repeats the measurement of small changes over thousands of random
neurons, and compares perceptron and sigmoid neuron on all pairs of digits. In Nielsen's
chapter 1, equation 5 is our prediction. Lesson 3 opens `jax.grad`.
"""
