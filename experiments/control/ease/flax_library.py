"""jaxnets in one call: its Flax network, with the published settings changed.

python experiments/ease/flax_library.py [dataset]
"""

import sys
from dataclasses import replace

from jaxnets import data, running
from jaxnets import models as recipes

dataset = data.load(*sys.argv[1:])
recipe = replace(recipes.FLAX_DENSE, layer_sizes=(784, 128, 10), num_epochs=1)
*_, trained = running.train("flax_dense", recipe, dataset, seed=0)
accuracy = (trained.prediction.label == dataset.test.label).mean()
print(f"test accuracy {accuracy:.4f}")
