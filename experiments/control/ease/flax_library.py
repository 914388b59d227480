"""jaxnets in one call: its Flax network, with the published settings changed."""

import sys
from dataclasses import replace

import numpy as np

from jaxnets import models
from jaxnets.data import Dataset
from jaxnets.types import Batch

images, labels, test_images, test_labels = np.load(sys.argv[1]).values()
train, test = Batch(images, labels), Batch(test_images, test_labels)
dataset = Dataset("mnist", *train.split(len(labels)), test, None)
recipe = replace(models.FLAX_DENSE.recipe, layer_sizes=(784, 128, 10), num_epochs=1)
*_, prediction = models.train_and_test("flax_dense", recipe, dataset, seed=0)
accuracy = (prediction.label == test_labels).mean()  # type: ignore[union-attr]
print(f"test accuracy {accuracy:.4f}")
