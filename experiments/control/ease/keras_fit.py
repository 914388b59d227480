"""tf.keras, its own way: describe the network, `compile`, `fit`, `evaluate`."""

import sys

import keras

from jaxnets import data

dataset = data.load(*sys.argv[1:])
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
model.fit(dataset.train.image / 255, dataset.train.label, epochs=1, verbose=0)
_, accuracy = model.evaluate(dataset.test.image / 255, dataset.test.label, verbose=0)
print(f"test accuracy {accuracy:.4f}")
