"""tf.keras, its own way: describe the network, `compile`, `fit`, `evaluate`."""

import sys

import keras
import numpy as np

images, labels, test_images, test_labels = np.load(sys.argv[1]).values()
model = keras.Sequential(
    [
        keras.Input((28, 28)),
        keras.layers.Flatten(),
        keras.layers.Dense(128, activation="relu"),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile(
    optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"]
)
model.fit(images / 255, labels, epochs=1, verbose=0)
_, accuracy = model.evaluate(test_images / 255, test_labels, verbose=0)
print(f"test accuracy {accuracy:.4f}")
