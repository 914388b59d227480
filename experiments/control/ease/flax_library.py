"""jaxnets in one call: its Flax network, with the published settings changed."""

import sys
from dataclasses import replace

from jaxnets import data, models

dataset = data.load(*sys.argv[1:])
recipe = replace(models.FLAX_DENSE.recipe, layer_sizes=(784, 128, 10), num_epochs=1)
*_, prediction = models.train_and_test("flax_dense", recipe, dataset, seed=0)
accuracy = (prediction.label == dataset.test.label).mean()  # type: ignore[union-attr]
print(f"test accuracy {accuracy:.4f}")
