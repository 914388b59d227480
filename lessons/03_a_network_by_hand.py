# %% [markdown]
r"""
# 3. A network by hand

**How does a network know which way to move each of its weights?**

A network that reads digits has thousands of weights, and one number to be judged by.
The gradient is the list of all slopes: for each weight, how that number changes with
it. This lesson computes the gradient of one network three times. First by trying, which
needs no idea and much patience. Then by backpropagation, written out. Then by
`jax.grad`. The three agree, and you will know what the short one does.
"""

# %%
import itertools

import jax
import numpy as np
import optax

from jaxnets import sigmoid_mse, training
from jaxnets.types import num_params
from lessons.kit import check, load, new_figure, seconds, show

# %% [markdown]
r"""
## Layers

The write-up that this project starts from calls it Model 1, and Nielsen's book has it
in its first chapter: 784 inputs, one for each pixel; a hidden layer of 30 sigmoid
neurons; 10 output neurons, one for each digit. Each neuron of a layer reads all outputs
of the layer before.

The weights of a layer are a matrix $W$, called the kernel, with a row for each input
and a column for each neuron. The biases are a vector $b$. With the activations $a$ of
the layer before as a row vector, a whole layer is one line:

$$ z = a W + b, \qquad a_\text{next} = \sigma(z). $$

With many images at once, $a$ is a matrix with a row for each image, and the line stays
as it is.
"""

# %%
dataset = load()
layer_sizes = (dataset.train.image[0].size, 30, 10)
params = jax.device_get(sigmoid_mse.init(jax.random.key(0), layer_sizes))
for number, layer in enumerate(params, start=1):
    print(f"Layer {number}: kernel {layer.kernel.shape}, bias {layer.bias.shape}.")
total = sum(inputs * size + size for inputs, size in itertools.pairwise(layer_sizes))
assert num_params(params) == total
print(f"{total:,} numbers to learn.")


def forward(layers, inputs):
    """The activations of every layer [images, size]; the inputs come first."""
    activations = [inputs]
    for kernel, bias in layers:
        z = activations[-1] @ kernel + bias  # z = a W + b
        activations.append(1 / (1 + np.exp(-z)))  # sigma(z)
    return activations


# %% [markdown]
r"""
## One number to be judged by

For each image $x$ the network should output $y(x)$: a 1 for the right digit and nine
0s, which is called one-hot. It outputs $a$. The quadratic cost over $n$ images is

$$ C(w, b) = \frac{1}{2n} \sum_x \lVert y(x) - a \rVert^2. $$

We take ten images, and NumPy in float64, so that small differences can be trusted.
"""


# %%
def cost(layers, inputs, targets):
    """The quadratic cost."""
    outputs = forward(layers, inputs)[-1]
    return np.sum((targets - outputs) ** 2) / (2 * len(inputs))  # C, as above


batch = dataset.train.split(10)[0]
inputs = batch.image.reshape(10, -1) / 255  # pixels in [0, 1]
targets = np.eye(10)[batch.label]  # one-hot rows
network = [(np.float64(layer.kernel), np.float64(layer.bias)) for layer in params]
print(f"Labels {batch.label}, cost {cost(network, inputs, targets):.4f}.")

# The library has the same network and the same cost, in JAX. rtol: it uses float32.
library_cost, _ = sigmoid_mse.loss_fn(params, batch)
np.testing.assert_allclose(library_cost, cost(network, inputs, targets), rtol=1e-5)

# %% [markdown]
r"""
Mind the sum over the ten outputs. A library's "mean squared error" is often the mean
over all outputs of all images, `mean((y - a) ** 2)`. The shape of the landscape is the
same, the scale is not.

### Exercise 3.1

Model 1 is trained on $C$ with the learning rate 3. Somebody replaces $C$ by
`mean((y - a) ** 2)`, the mean over all ten outputs of all images. Which learning rate
makes the same steps?
"""

# %%
same_steps_rate = ...

check("3.1", same_steps_rate)

# %% [markdown]
r"""
## The gradient by trying

Take one weight. Raise it by a small $h$ and note the cost; lower it by $h$ and note the
cost. The slope is

$$ \frac{\partial C}{\partial w} \approx \frac{C(w + h) - C(w - h)}{2h}. $$

Put the weight back and take the next one. It is the definition of a slope, so we trust
it. It asks for the cost twice per weight.
"""


# %%
def gradient_by_trying(layers, inputs, targets, h=1e-5):
    """A pair of arrays for each layer, as the layers themselves."""
    gradient = []
    for arrays in layers:
        slopes = [np.empty_like(array) for array in arrays]
        for array, slope in zip(arrays, slopes, strict=True):
            for place in np.ndindex(array.shape):
                kept = array[place]
                array[place] = kept + h
                above = cost(layers, inputs, targets)
                array[place] = kept - h
                below = cost(layers, inputs, targets)
                array[place] = kept
                slope[place] = (above - below) / (2 * h)
        gradient.append(tuple(slopes))
    return gradient


trying_seconds, tried = seconds(gradient_by_trying, network, inputs, targets)
print(f"{2 * total:,} times the cost: {trying_seconds:.2f} s for one gradient.")

# %% [markdown]
r"""
## The gradient by backpropagation

The chain rule does it in one sweep, from the output back to the input. Write $\delta$
for the slope of an image's cost with respect to the $z$ of a layer. In Nielsen's book
these are the equations BP1 to BP4.

For the last layer, the cost's slope is $a - y$, and $a$ follows $z$ with the slope
$\sigma'(z) = a(1 - a)$, so

$$ \delta^L = (a - y) \odot a(1 - a). \tag{BP1} $$

($\odot$ multiplies number by number.) A hidden neuron acts on the cost through all the
neurons of the next layer. It reaches each through a weight, so the next layer's
$\delta$ comes back through the same weights, and then through its own slope:

$$ \delta = (\delta^\text{next}\, W_\text{next}^T) \odot a(1 - a). \tag{BP2} $$

A bias moves $z$ one to one. A weight moves $z$ by the input that it multiplies. The
cost is the mean over the images, so

$$ \frac{\partial C}{\partial b} = \frac1n \sum_x \delta, \qquad
   \frac{\partial C}{\partial W} = \frac1n\, a_\text{before}^T\, \delta.
   \tag{BP3, BP4} $$
"""


# %%
def gradient_by_backpropagation(layers, inputs, targets):
    """A pair of arrays for each layer, as the layers themselves."""
    activations = forward(layers, inputs)
    a, n = activations[-1], len(inputs)
    delta = (a - targets) * a * (1 - a)  # BP1
    gradient = []
    for number in reversed(range(len(layers))):
        before = activations[number]
        bias_slopes = delta.sum(axis=0) / n  # BP3
        kernel_slopes = before.T @ delta / n  # BP4
        gradient.insert(0, (kernel_slopes, bias_slopes))
        delta = (delta @ layers[number][0].T) * before * (1 - before)  # BP2
    return gradient


sweep_seconds, swept = seconds(gradient_by_backpropagation, network, inputs, targets)
print(f"One sweep: {1000 * sweep_seconds:.2f} ms.")


def flat(gradient):
    """All slopes in one vector."""
    return np.concatenate([np.ravel(array) for array in jax.tree.leaves(gradient)])


largest = np.abs(flat(swept)).max()
apart = np.abs(flat(swept) - flat(tried)).max()
print(f"Largest slope {largest:.4f}; largest difference from trying {apart:.1e}.")
assert apart < 1e-6 * largest  # float64, and h squared

# %% [markdown]
r"""
Every slope agrees. On this machine the sweep is faster by the factor that you can read
off above. The factor grows with the network: trying takes two costs for each weight,
the sweep takes one pass forward and one back, however many weights there are. That is
the whole secret of backpropagation.

### Exercise 3.2

Another network has $\tanh$ in place of $\sigma$. The slope of $\tanh$, in terms of its
own output $a$, is $1 - a^2$. Write BP2 for it. You are given the next layer's `delta`
[images, next], its kernel [size, next], and the layer's own activations `a` [images,
size].
"""


# %%
def tanh_delta(next_delta, next_kernel, a):
    """The layer's own delta [images, size]."""
    return ...


check("3.2", tanh_delta)

# %% [markdown]
r"""
### Exercise 3.3

To keep weights small one often adds a penalty to the cost: $\frac{\lambda}{2} \sum w^2$
over all weights of the kernel. Write BP4 for the cost with the penalty. You are given
the activations `before` [images, inputs], the layer's `delta` [images, size], its
`kernel` [inputs, size], and the number `decay`, which is $\lambda$.
"""


# %%
def kernel_slopes_with_penalty(before, delta, kernel, decay):
    """The slopes of cost and penalty together [inputs, size]."""
    return ...


check("3.3", kernel_slopes_with_penalty)

# %% [markdown]
r"""
## The gradient by `jax.grad`

`jax.grad` takes a function and gives the function of its slopes. It records which
operations the cost is made of, knows the slope of each, and goes back through them with
the chain rule: backpropagation, for any function that you can write down. The loss
function of the library returns some counts besides the cost, which `has_aux` sets
apart.
"""

# %%
gradient_by_jax = jax.jit(jax.grad(sigmoid_mse.loss_fn, has_aux=True))
by_jax, _ = gradient_by_jax(params, batch)
apart = np.abs(flat(by_jax) - flat(swept)).max()
print(f"Largest difference between jax.grad and the sweep: {apart:.1e}.")
assert apart < 1e-5 * largest  # JAX computes in float32, which has 7 digits
assert jax.tree.structure(by_jax) == jax.tree.structure(params)  # shaped as the weights

is_zero = by_jax[0].kernel == 0
blank = ~inputs.any(axis=0)  # pixels that are white in all ten images
assert is_zero[blank].all()
print(f"{is_zero.mean():.0%} of the first layer's slopes are exactly 0.")
print(f"{blank.mean():.0%} are of pixels that are white in all ten images.")

# %% [markdown]
r"""
## One step down

Now use it. Stochastic gradient descent moves every weight against its slope, by a
learning rate $\eta$ times the slope, and takes the slopes from a few images only:

$$ w \leftarrow w - \eta \frac{\partial C}{\partial w}. $$

To first order the cost then falls by $\eta \lVert \nabla C \rVert^2$. Lesson 2 has told
us what a first-order prediction is worth: much for a small step, little for a large
one. Let us go along the gradient and look.
"""


# %%
def moved(layers, gradient, rate):
    """The layers after one step."""
    return jax.tree.map(lambda w, slope: w - rate * slope, layers, gradient)


start_cost, norm = cost(network, inputs, targets), np.sum(flat(swept) ** 2)
rates = np.linspace(0, 60, 121)
along = [cost(moved(network, swept, rate), inputs, targets) for rate in rates]
fall = start_cost - cost(moved(network, swept, 0.01), inputs, targets)
print(f"With a rate of 0.01 the cost falls by {fall:.6f}, predicted {0.01 * norm:.6f}.")
assert abs(fall / (0.01 * norm) - 1) < 0.05

# The library's step does the same with the learning rate of the recipe, 3.
tx = optax.sgd(3.0)
train_step = jax.jit(training.make_train_step(sigmoid_mse.loss_fn, tx))
state, _ = train_step(training.start(params, tx), batch)
by_hand = moved(network, swept, 3.0)
np.testing.assert_allclose(flat(state.params), flat(by_hand), atol=1e-5)  # float32

for _ in range(99):  # on the same ten images, again and again
    state, totals = train_step(state, batch)
print(f"After 100 steps on these ten images the cost is {float(totals.mean_loss):.4f},")
print(f"and {int(totals.correct)} of {int(totals.seen)} are read right.")
assert totals.mean_loss < start_cost / 2

# %%
figure, axes = new_figure(1, 2, (11, 3.8))
slopes = np.abs(flat(swept)), np.abs(flat(tried))
axes[0, 0].loglog(*slopes, ".", markersize=2, color="#0072B2", rasterized=True)
axes[0, 0].set(xlabel="slope by backpropagation", ylabel="slope by trying")
num_shown = np.sum(slopes[0] > 0)
axes[0, 0].set(title=f"The {num_shown:,} slopes that are not 0, two ways")
axes[0, 0].set(xlim=(1e-12, 1), ylim=(1e-12, 1))
axes[0, 1].plot(rates, along, color="#0072B2", label="the cost")
line = start_cost - rates * norm
axes[0, 1].plot(rates, line, "--", color="#D55E00", label="predicted to first order")
axes[0, 1].axvline(3, color="0.6", linewidth=1)
axes[0, 1].annotate("rate 3", (3, 0), (3.5, 1.4 * start_cost), color="0.4")
axes[0, 1].set(xlabel="learning rate of one step", ylabel="cost", title="One step")
axes[0, 1].set(ylim=(0, 1.5 * start_cost))
axes[0, 1].legend()
show(figure, "3-gradient")

# %% [markdown]
r"""
On the left all slopes lie on the diagonal, down to where rounding takes over from
trying. (A slope of 0 has no place on these axes. A white pixel passes nothing on, so
its weights have such slopes, both ways.) On the right a small step falls along the
straight line. A larger one falls less than the line says.

So the network knows which way to move each weight because every operation passes the
message back: the output's error, through the weights, times the slopes on the way. A
slope near 0 stops the message. Remember that for lesson 5.

## Where to go from here

`jaxnets/sigmoid_mse.py` is this network in JAX, and `training.make_train_step` is the
step, for any network. `tests/oracles.py` has backpropagation image by image, with which
the library is tested. Nielsen's chapter 2 derives BP1 to BP4. How `jax.grad` works is
shown from the ground up in "Autodidax", in JAX's documentation. Lesson 4 takes
thousands of such steps.
"""
