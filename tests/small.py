"""Small data, networks and loops that many tests share.

With the same shapes everywhere, what one test compiles the others find in the cache.
"""

import functools
import itertools
import json
from collections import Counter
from types import SimpleNamespace

import jax
import numpy as np

from jaxnets import flax_dense, relu_softmax, row_rnn, sigmoid_mse, training
from jaxnets.types import Batch, Dense

NETWORKS = {
    "sigmoid_mse": sigmoid_mse,
    "relu_softmax": relu_softmax,
    "flax_dense": flax_dense,
    "row_rnn": row_rnn,
}
HEIGHT, WIDTH = 4, 5  # of images
SIZES = (20, 6, 10)
HIDDEN = (3, 4)  # of `everything_of`
BATCH_SIZE = 5


def random_batch(num_examples, seed=0):
    """Images uint8 [B, 4, 5] with labels 0 to 9, on the host."""
    rng = np.random.default_rng(seed)
    image = rng.integers(256, size=(num_examples, HEIGHT, WIDTH), dtype=np.uint8)
    return Batch(image, rng.integers(10, size=num_examples, dtype=np.int32))


def random_layers(layer_sizes, seed=7):
    """Dense layers whose biases are not 0, so that a lost one shows."""
    rng = np.random.default_rng(seed)
    return tuple(
        Dense(
            rng.normal(size=shape, scale=0.5).astype(np.float32),
            rng.normal(size=shape[1], scale=0.5).astype(np.float32),
        )
        for shape in itertools.pairwise(layer_sizes)
    )


FEW = random_batch(5, seed=1)  # for `everything_of`
TRAIN, VALIDATION = random_batch(23), random_batch(11, seed=1)  # 23: a short batch


def left_behind(path, returned, **more):
    """A run's folder, what `main` returned, and the rows of `metrics.jsonl`."""
    lines = (path / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return SimpleNamespace(path=path, returned=returned, rows=rows, **more)


def rows_of(data, rows):
    return Batch(data.image[rows], data.label[rows])


def sizes_for(network, *later, height=HEIGHT, width=WIDTH):
    """Layer sizes from the images' pixels on; row_rnn takes a row of them at a time."""
    return (width if network is row_rnn else height * width, *later)


TRACES: Counter[str] = Counter()  # of `everything_of`, by the network's module


@functools.cache
def everything_of(network):
    """Outputs, loss with totals, its gradient and a prediction, as one program.

    For networks with the layers HIDDEN and batches of 5, which many tests share.
    """

    def everything(params, batch):
        TRACES[network.__name__] += 1
        grad_fn = jax.value_and_grad(network.loss_fn, has_aux=True)
        outputs = network.apply(params, batch.image)
        return outputs, *grad_fn(params, batch), network.predict(params, batch.image)

    return jax.jit(everything)


def order_of(key, epoch, num_examples):
    """The order that `fit` documents: it sorts the random bits of `fold_in`."""
    bits = jax.random.bits(jax.random.fold_in(key, epoch), (num_examples,))
    return np.argsort(bits, kind="stable")


def loop_of_steps(
    train_step, state, key, *, data=TRAIN, batch_size=BATCH_SIZE, num_epochs=1
):
    """The state after plain steps in a Python loop, in the orders of `order_of`."""
    num_examples = len(data.label)
    for epoch in range(num_epochs):
        order = order_of(key, epoch, num_examples)
        for start in range(0, num_examples, batch_size):
            batch = rows_of(data, order[start : start + batch_size])
            state, _ = train_step(state, batch)
    return state


def make_plain_step(loss_fn, tx):
    return jax.jit(training.make_train_step(loss_fn, tx))
