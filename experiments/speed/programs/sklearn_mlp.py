"""scikit-learn's MLPClassifier, one `partial_fit` over all the data per epoch.

The same layers, softmax cross-entropy, batch size, shuffling and update rule
(Adam in Keras's form, epsilon 1e-7) in float32. Two things differ: biases start
uniform instead of zero, and Model 2's kernels uniform instead of normal, of the
same variance. Neither changes the work.
"""

import time

import numpy as np
from sklearn.neural_network import MLPClassifier

from experiments.speed.worker import Data, Epoch, OnEpoch, Task, to_vectors


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


def run(task: Task, data: Data, on_epoch: OnEpoch) -> None:
    """Train, calling `on_epoch` after each epoch."""
    network = build(task)
    vectors = to_vectors(data.image)
    classes = np.arange(task.layer_sizes[-1])
    for _ in range(task.num_epochs):
        began = time.perf_counter()
        network.partial_fit(vectors, data.label, classes=classes)
        seconds = time.perf_counter() - began
        on_epoch(Epoch(seconds, lambda images: network.predict(to_vectors(images))))
