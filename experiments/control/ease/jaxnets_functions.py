"""jaxnets as a library of functions: init, loss, fit, evaluate."""

import sys

import jax
import optax

from jaxnets import data, relu_softmax, training

dataset = data.load(*sys.argv[1:])
keys = training.run_keys(0)
tx = optax.adam(1e-3)
params = relu_softmax.init(keys.init, (784, 128, 10))
epochs = training.fit(
    relu_softmax.loss_fn,
    tx,
    training.start(params, tx),
    dataset.train,
    batch_size=32,
    num_epochs=1,
    key=keys.data,
)
*_, last = epochs
evaluate = jax.jit(training.make_evaluate(relu_softmax.loss_fn))
totals = evaluate(last.state.params, dataset.test)
print(f"test accuracy {totals.accuracy:.4f}")
