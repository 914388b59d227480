# %% [markdown]
r"""
# 1. Perceptrons

**What can a single neuron decide, and what can it never learn?**

This is the first of seven lessons. They go from one neuron to a network that reads
handwriting, and end with the question of what its score is worth. Every lesson is a
program. Each `assert` in it is a proof in a small way: were the sentence before it
false, the program would stop there.

You need some Python and NumPy, and you should know what a function of several numbers
is. Guess each result before you run its cell.
"""

# %%
import itertools

import jax
import numpy as np

from jaxnets.neurons import gates, learning
from jaxnets.neurons.perceptron import Neuron, fire
from jaxnets.neurons.ten_class import ink
from lessons.kit import check, load, new_figure, show

# %% [markdown]
r"""
## A weighted vote

A perceptron takes some inputs $x_1, x_2, \dots$, each 0 or 1, and gives one output, 0
or 1. Each input has a weight $w_j$. The neuron adds up the weights of the inputs that
are 1 and compares the sum with a threshold:

$$ \text{output} = 1 \ \text{ if } \ \sum_j w_j x_j > \text{threshold},
   \quad \text{else } 0. $$

It is handier to bring the threshold to the other side and call $b = -\text{threshold}$
the bias. The neuron then fires where $w \cdot x + b > 0$. A sum of exactly 0 does not
fire; that is a convention, and it will matter below.
"""


# %%
def output(weights, bias, inputs):
    """A perceptron's output, 0 or 1."""
    return int(np.dot(weights, inputs) + bias > 0)  # w . x + b > 0


assert output([6, 2, 2], -5, [1, 0, 0]) == 1  # 6 - 5 is above 0
assert output([6, 2, 2], -5, [0, 1, 1]) == 0  # 4 - 5 is not

# %% [markdown]
r"""
Suppose that you decide in this way whether to go swimming. The inputs are: the sun
shines, a friend comes along, the bus runs. Sun weighs 6, friend and bus weigh 2 each.
There are eight cases, few enough to try them all, with a threshold of 5 and with one of
3. How would you describe the two swimmers in words?
"""

# %%
weights = np.array([6, 2, 2])
cases = list(itertools.product([0, 1], repeat=3))
for threshold in (5, 3):
    swims = [case for case in cases if output(weights, -threshold, case)]
    print(f"Threshold {threshold}: goes swimming in the cases {swims}.")

# %% [markdown]
r"""
The first swimmer asks for sun and nothing else. The second also goes without sun, if
the friend comes and the bus runs. So a lower threshold means a readier neuron.

Weights are often called the importance of the inputs. Let us measure importance another
way: change one input, leave the others, and count in how many of the eight cases the
answer changes with it.
"""


# %%
def num_changes(weights, bias, place):
    """In how many cases the output changes when the input at this place does."""
    count = 0
    for case in cases:
        other = list(case)
        other[place] = 1 - other[place]
        count += output(weights, bias, case) != output(weights, bias, other)
    return count


for threshold in (5, 3):
    counts = [num_changes(weights, -threshold, place) for place in range(3)]
    print(f"Threshold {threshold}: sun, friend and bus decide in {counts} of 8 cases.")

assert [num_changes(weights, -5, place) for place in range(3)] == [8, 0, 0]
assert [num_changes(weights, -3, place) for place in range(3)] == [6, 2, 2]

# %% [markdown]
r"""
At the threshold of 5 friend and bus weigh 2 each and never decide anything. A weight
says how far an input moves the sum. Whether that moves the answer depends on the
threshold and on the other inputs. Keep this in mind when somebody reads importance off
the weights of a large network.

### Exercise 1.1

Give the two weights and the bias of a perceptron that computes OR: it fires where at
least one of its two inputs is 1. Fill the three holes.
"""

# %%
or_weights = [..., ...]
or_bias = ...

check("1.1", (or_weights, or_bias))

# %% [markdown]
r"""
## One gate makes everything

The weights -2 and -2 with the bias 3 make a neuron that is silent only where both
inputs are 1. Engineers call it NAND, "not and".
"""


# %%
def nand(first, second):
    """A perceptron with the weights -2, -2 and the bias 3."""
    return output([-2, -2], 3, [first, second])


def not_gate(bit):
    """1 becomes 0, and 0 becomes 1."""
    return nand(bit, bit)


def and_gate(first, second):
    """Not NAND."""
    return not_gate(nand(first, second))


def or_gate(first, second):
    """Not both silent: NAND of the opposites."""
    return nand(not_gate(first), not_gate(second))


for first, second in itertools.product([0, 1], repeat=2):
    assert and_gate(first, second) == (first and second)
    assert or_gate(first, second) == (first or second)
    print(f"{first}, {second}: NAND is {nand(first, second)}.")

# %% [markdown]
r"""
NAND is enough to build any circuit, a whole computer included. So a network of
perceptrons can compute whatever a computer can. `jaxnets.neurons.gates` goes on from
here: the same neuron, wired to an adder. It adds every pair of 4-bit numbers correctly.
"""

# %%
numbers = np.arange(16)
first, second = (grid.ravel() for grid in np.meshgrid(numbers, numbers))
bits = [(number >> np.arange(4)[:, None]) & 1 for number in (first, second)]
total_bits = np.asarray(gates.add_bits(*bits))  # [5, pairs], lowest bit first
totals = np.sum(total_bits << np.arange(5)[:, None], axis=0)
assert np.array_equal(totals, first + second)
print(f"The adder of NAND neurons is right on all {len(totals)} pairs of numbers.")

# %% [markdown]
r"""
### Exercise 1.2

XOR is 1 where exactly one of its two inputs is 1. Build it from NAND alone. Four of
them suffice; more are fine. Your function is handed the gate, so that it can be
counted.
"""


# %%
def xor(nand, first, second):
    """1 where exactly one input is 1, by calls of nand(a, b) and nothing else."""
    return ...


check("1.2", xor)

# %% [markdown]
r"""
## A neuron that learns

A circuit that somebody has to wire is not learning. Rosenblatt's rule of 1958 lets a
neuron find its own weights from examples. Show it some inputs, and the target $t$ that
it should have given. Where its output $o$ is right, change nothing. Otherwise

$$ w \leftarrow w + (t - o)\, x, \qquad b \leftarrow b + (t - o). $$

Where the neuron should have fired and did not, the weights of the active inputs grow.
Where it fired and should not have, they shrink. That is all.
"""


# %%
def learn(weights, bias, inputs, target):
    """The weights and the bias after one example."""
    error = target - output(weights, bias, inputs)  # t - o: 1, 0 or -1
    return weights + error * np.asarray(inputs), bias + error


def train(examples, targets, num_passes):
    """A list of weights, bias and mistakes after each pass over the examples."""
    weights, bias, passes = np.zeros(len(examples[0])), 0, []
    for _ in range(num_passes):
        mistakes = 0
        for inputs, target in zip(examples, targets, strict=True):
            mistakes += output(weights, bias, inputs) != target
            weights, bias = learn(weights, bias, inputs, target)
        passes.append((weights, bias, mistakes))
    return passes


corners = list(itertools.product([0, 1], repeat=2))
tasks = {"AND": [0, 0, 0, 1], "OR": [0, 1, 1, 1], "XOR": [0, 1, 1, 0]}
passes = {name: train(corners, targets, 100) for name, targets in tasks.items()}
for name, history in passes.items():
    mistakes = [count for *_, count in history]
    print(f"{name}: mistakes in passes 1 to 10: {mistakes[:10]}, in pass 100: ", end="")
    print(f"{mistakes[-1]}.")

# %% [markdown]
r"""
AND and OR are learned after a few passes, and then nothing changes any more, because
there is no mistake to learn from. XOR is never learned. The figure shows why. The
points where $w \cdot x + b = 0$ are a straight line: the neuron fires on one side of
it. Learning moves the line. For XOR no position will do.
"""

# %%
figure, axes = new_figure(1, 3, (11, 3.6))
for axis, (name, targets) in zip(axes.flat, tasks.items(), strict=True):
    for step, ((w1, w2), bias, _) in enumerate(passes[name][:8]):
        shade = {"color": str(0.85 - 0.12 * min(step, 7)), "linewidth": 1 + step / 8}
        if w2:
            axis.axline((0, -bias / w2), slope=-w1 / w2, **shade)
        elif w1:
            axis.axvline(-bias / w1, **shade)
    for (x, y), target in zip(corners, targets, strict=True):
        color = "#D55E00" if target else "white"
        axis.plot(x, y, "o", markersize=13, color=color, markeredgecolor="black")
    axis.set(xlim=(-0.6, 1.6), ylim=(-0.6, 1.6), xlabel="first input", title=name)
    axis.set(xticks=[0, 1], yticks=[0, 1], ylabel="second input", aspect="equal")
figure.suptitle("Filled: should fire. The line after each of eight passes")
show(figure, "1-lines")

assert passes["AND"][-1][-1] == passes["OR"][-1][-1] == 0
assert passes["XOR"][-1][-1] > 0

# %% [markdown]
r"""
Is the rule to blame, or the neuron? Write down what XOR asks for:

- inputs 0, 0 give 0: $b \le 0$
- inputs 1, 0 give 1: $w_1 + b > 0$
- inputs 0, 1 give 1: $w_2 + b > 0$
- inputs 1, 1 give 0: $w_1 + w_2 + b \le 0$

Add the two in the middle: $w_1 + w_2 + 2b > 0$. As $b \le 0$, the sum $w_1 + w_2 + b$
is at least as large, so it is above 0 too, and the last line says that it is not. No
weights do it. Trying many of them agrees: of the sixteen functions of two bits, all but
two appear.
"""

# %%
values = np.arange(-2, 2.25, 0.5)
found = {
    tuple(output([w1, w2], bias, corner) for corner in corners)
    for w1, w2, bias in itertools.product(values, repeat=3)
}
every = set(itertools.product([0, 1], repeat=4))
print(f"{len(found)} of {len(every)} functions; missing: {sorted(every - found)}.")
assert every - found == {(0, 1, 1, 0), (1, 0, 0, 1)}  # XOR and its opposite

# %% [markdown]
r"""
### Exercise 1.3

Work this one out on paper. A neuron starts with weights 0, 0 and bias 0 and learns AND.
It sees the corners in the order 0,0 then 0,1 then 1,0 then 1,1, and then all four once
more. What are its weights and its bias after these two passes?
"""

# %%
two_weights = [..., ...]
its_bias = ...

check("1.3", (two_weights, its_bias))

# %% [markdown]
r"""
## Two digits

The rule does not care how many inputs there are. Take images of two digits and make
each pixel an input: 1 where there is ink, 0 where there is paper. The neuron shall fire
for the second digit of the pair and stay silent for the first.

`jaxnets.neurons.learning` has the rule that you have just seen, compiled by JAX. On the
corners it finds the same weights, exactly.
"""

# %%
learn_pass = jax.jit(learning.learn_pass)
neuron = learning.silent(2)
for weights, bias, mistakes in passes["AND"][:10]:
    neuron, count = learn_pass(neuron, np.array(corners), np.array(tasks["AND"]))
    assert np.array_equal(neuron.weights, weights) and neuron.bias == bias
    assert count == mistakes

# %%
dataset = load()


def pair_of(images, silent, firing):
    """Inputs 0 or 1 [B, pixels], and the targets, of two digits."""
    rows = (images.label == silent) | (images.label == firing)
    targets = (images.label[rows] == firing).astype(np.int32)
    return np.asarray(ink(images.image[rows])), targets


neurons: dict[tuple[int, int], Neuron] = {}
mistakes_of: dict[tuple[int, int], list[int]] = {}
for pair in ((0, 1), (4, 9)):
    inputs, targets = pair_of(dataset.train, *pair)
    neuron, mistakes_of[pair] = learning.silent(inputs.shape[1]), []
    for _ in range(10):
        neuron, count = learn_pass(neuron, inputs, targets)
        mistakes_of[pair].append(int(count))
    neurons[pair] = neuron
    test_inputs, test_targets = pair_of(dataset.test, *pair)
    right = np.mean(fire(neuron, test_inputs) == test_targets)
    print(f"{pair[0]} or {pair[1]}: mistakes in each pass of {len(targets):,} images:")
    print(f"  {mistakes_of[pair]}; right on {right:.1%} of the test images.")
    assert right > 0.85  # guessing gives about a half

# %% [markdown]
r"""
One neuron tells these digits apart, on images that it has never seen. It can only do so
by a weighted vote of pixels, and the weights can be looked at. Blue pixels vote for the
second digit, red ones against it.
"""

# %%
figure, axes = new_figure(1, 3, (11, 3.4))
height, width = dataset.train.image.shape[1:]
for pair in neurons:
    label = f"{pair[0]} or {pair[1]}"
    axes[0, 0].plot(range(1, 11), mistakes_of[pair], "o-", label=label)
axes[0, 0].set(xlabel="pass", ylabel="mistakes", title="Mistakes", ylim=(0, None))
axes[0, 0].legend()
for axis, (pair, neuron) in zip(axes[0, 1:], neurons.items(), strict=True):
    largest = float(np.max(np.abs(neuron.weights)))
    picture = np.reshape(neuron.weights, (height, width))
    axis.imshow(picture, cmap="RdBu", vmin=-largest, vmax=largest)
    axis.set(xticks=[], yticks=[], title=f"{pair[0]} or {pair[1]}: weights")
show(figure, "1-digits")

# %% [markdown]
r"""
Where a pass ends without a mistake, the two digits of the training set are separated by
a plane, and learning is over. It is a theorem (Novikoff, 1962) that the rule gets there
after finitely many mistakes wherever such a plane exists. Where mistakes go on, you
cannot tell from them whether there is no plane, or the rule has not found it yet.

So much for the answer: a perceptron decides whatever a straight cut decides, and learns
it if the cut exists. It never learns XOR. Two layers of perceptrons compute XOR, as you
have shown in exercise 1.2. But the rule says nothing of a neuron in the first layer,
whose target nobody knows. That is the problem that the next two lessons solve.

## Where to go from here

`python -m experiments.neurons` does this for all 45 pairs of digits, with intervals.
`jaxnets/neurons/ten_class.py` has a perceptron for each of the ten digits. The history,
and a proof that is worth reading, is in Minsky and Papert's book "Perceptrons" (1969).
Nielsen's "Neural Networks and Deep Learning", chapter 1, is where the NAND gate comes
from. Then go on to lesson 2.
"""
