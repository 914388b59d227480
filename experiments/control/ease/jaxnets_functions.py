"""jaxnets as a library of functions: init, loss, fit, evaluate."""

import sys

import jax
import numpy as np
import optax

from jaxnets import relu_softmax, training
from jaxnets.types import Batch

images, labels, test_images, test_labels = np.load(sys.argv[1]).values()
keys = training.run_keys(0)
tx = optax.adam(1e-3)
params = relu_softmax.init(keys.init, (784, 128, 10))
epochs = training.fit(
    relu_softmax.loss_fn,
    tx,
    training.start(params, tx),
    Batch(images, labels),
    batch_size=32,
    num_epochs=1,
    key=keys.data,
)
*_, last = epochs
evaluate = jax.jit(training.make_evaluate(relu_softmax.loss_fn))
totals = evaluate(last.state.params, Batch(test_images, test_labels))
print(f"test accuracy {totals.accuracy:.4f}")
