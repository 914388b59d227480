"""scikit-learn's MLPClassifier, a `partial_fit` an epoch, or a part of one.

The same layers, softmax cross-entropy, batch size, shuffling and update rule
(Adam in Keras's form, epsilon 1e-7) in float32. Two things differ: biases start
uniform instead of zero, and Model 2's kernels uniform instead of normal, of the
same variance. Neither changes the work.
"""

import time

import numpy as np
from sklearn.neural_network import MLPClassifier

from experiments.speed.worker import Data, OnPart, Part, Task, to_vectors


def build(task: Task) -> MLPClassifier:
    """The task's network and optimizer, without penalty or momentum."""
    return MLPClassifier(
        hidden_layer_sizes=task.layer_sizes[1:-1],
        activation="relu",
        solver=task.optimizer,
        alpha=0.0,
        batch_size=task.batch_size,
        learning_rate="constant",
        learning_rate_init=task.learning_rate,
        momentum=0.0,
        nesterovs_momentum=False,
        epsilon=1e-7,
        shuffle=True,
        random_state=task.seed,
    )


def run(task: Task, data: Data, on_part: OnPart) -> None:
    """Train on and on, calling `on_part` after each part."""
    network = build(task)
    vectors, classes = to_vectors(data.image), np.arange(task.layer_sizes[-1])
    rng = np.random.default_rng(task.seed)

    def predict(images: np.ndarray) -> np.ndarray:
        return network.predict(to_vectors(images))

    while True:
        # `partial_fit` shuffles what it is given; only a part needs to be drawn first.
        for rows in task.parts(rng.permutation(len(vectors))):
            batch = vectors, data.label
            if task.part_steps:
                batch = vectors[rows], data.label[rows]
            began = time.perf_counter()
            network.partial_fit(*batch, classes=classes)
            on_part(Part(time.perf_counter() - began, predict))
