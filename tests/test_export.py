"""Files for other tools, each opened by the other tool; and Keras's files read."""

import json
import zipfile
from functools import partial

import jax
import jax.export
import numpy as np
import onnx
import onnxruntime
import pytest
import safetensors
import safetensors.numpy
from small import random_batch, random_layers
from test_trained import IMAGES, SIZES, network

import jaxnets
from jaxnets import cli, export, keras_file, row_rnn, trained
from jaxnets.errors import InputError
from jaxnets.keras_network import load_keras

DENSE = ("sigmoid_mse", "relu_softmax", "flax_dense", "keras_dense")
MANY = random_batch(300, seed=3).image

pytestmark = [
    pytest.mark.usefixtures("in_this_process"),
    # h5py reads TensorFlow's variables in a way that NumPy 2 has named old.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


def exported(folder, name, form):
    file = folder / f"{name}.{form}"
    export.write(network(name), form, file)
    return file


def test_safetensors_opens_it(tmp_path):
    file = exported(tmp_path, "relu_softmax", "safetensors")
    arrays = safetensors.numpy.load_file(file)
    layers = random_layers(SIZES)
    assert set(arrays) == {"kernel_0", "bias_0", "kernel_1", "bias_1"}
    for number, layer in enumerate(layers):
        np.testing.assert_array_equal(arrays[f"kernel_{number}"], layer.kernel)
        np.testing.assert_array_equal(arrays[f"bias_{number}"], layer.bias)
    with safetensors.safe_open(file, "np") as opened:
        about = opened.metadata()
    assert (about["model"], about["dataset"]) == ("relu_softmax", "own:letters")
    assert json.loads(about["labels"]) == ["a", "b", "c"]
    assert json.loads(about["recipe"])["learning_rate"] == 0.1


@pytest.mark.parametrize("name", [*DENSE, "row_rnn"])
def test_stablehlo_runs_without_this_library(tmp_path, name):
    one = network(name)
    if name == "row_rnn":
        sizes = (5, 4, 3)
        params = jax.device_get(row_rnn.init(jax.random.key(0), sizes))
        one = network(name, layer_sizes=sizes, params=params)
    export.write(one, "stablehlo", tmp_path / "net.stablehlo")
    content = bytearray((tmp_path / "net.stablehlo").read_bytes())
    function = jax.export.deserialize(content)
    for count in (1, 7, 300):  # one file for any number of images
        images = MANY[:count]
        answers = function.call(images)
        label, probability = one.predict(images)
        np.testing.assert_array_equal(answers["label"], label)
        np.testing.assert_allclose(answers["probability"], probability, atol=1e-6)
    assert set(function.platforms) >= {"cpu", "cuda", "tpu"}


@pytest.mark.parametrize("name", DENSE)
def test_onnxruntime_agrees(tmp_path, name):
    file = exported(tmp_path, name, "onnx")
    session = onnxruntime.InferenceSession(file)
    for images in (MANY, MANY[:1]):
        label, probability = session.run(["label", "probability"], {"images": images})
        expected = network(name).predict(images)
        np.testing.assert_array_equal(label, expected.label)
        np.testing.assert_allclose(probability, expected.probability, atol=1e-5)
    properties = {entry.key: entry.value for entry in onnx.load(file).metadata_props}
    assert json.loads(properties["labels"]) == ["a", "b", "c"]


def test_sigmoids_that_all_vanish_are_as_likely_as_each_other_in_onnx(tmp_path):
    one = network("sigmoid_mse")
    first, last = one.params
    dark = (first, last._replace(bias=np.full(3, -200, np.float32)))
    export.write(network("sigmoid_mse", params=dark), "onnx", tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    [probability] = session.run(["probability"], {"images": IMAGES})
    np.testing.assert_allclose(probability, 1 / 3, rtol=1e-6)


@pytest.mark.keras
@pytest.mark.parametrize("name", DENSE)
def test_keras_opens_it_and_it_comes_back_bit_for_bit(tmp_path, name):
    file = exported(tmp_path, name, "keras")
    keras = load_keras()
    model = keras.models.load_model(file)
    answers = model.predict(MANY, verbose=0)
    expected = network(name).predict(MANY).probability
    np.testing.assert_allclose(answers, expected, atol=1e-6)
    back = keras_file.read(file, name="back", labels=("a", "b", "c"))
    assert (back.name, back.image_shape, back.layer_sizes) == ("back", (4, 5), SIZES)
    jax.tree.map(np.testing.assert_array_equal, back.params, network(name).params)
    np.testing.assert_allclose(back.predict(MANY).probability, expected, atol=1e-7)


@pytest.mark.keras
def test_a_model_as_keras_shows_it_is_imported(tmp_path, capsys):
    # Oracle: Keras's own predictions, of pixels in [0, 1].
    keras = load_keras()
    inputs = keras.Input((4, 5, 1))
    outputs = keras.layers.Flatten()(inputs)
    outputs = keras.layers.Dense(6, activation="relu")(outputs)
    outputs = keras.layers.Dropout(0.2)(outputs)
    outputs = keras.layers.Dense(3)(outputs)
    model = keras.Model(inputs, keras.layers.Softmax()(outputs))
    file, weights = tmp_path / "mine.keras", tmp_path / "mine.npz"
    model.save(file)
    assert cli.main(["import", str(file), str(weights), "--labels", "x", "y", "z"]) == 0
    assert "20-6-3" in capsys.readouterr().out
    imported = jaxnets.load(weights)
    assert (imported.name, imported.labels) == ("mine", ("x", "y", "z"))
    assert imported.recipe is None and imported.is_finished
    expected = model.predict(MANY[..., None] / np.float32(255), verbose=0)
    np.testing.assert_allclose(imported.predict(MANY).probability, expected, atol=1e-6)
    assert cli.main(["import", str(file), str(weights), "--labels", "x"]) == 1
    assert "1 labels for 3 outputs" in capsys.readouterr().err


@pytest.mark.keras
def test_how_a_model_was_compiled_does_not_matter(tmp_path):
    keras = load_keras()

    class Loss(keras.losses.Loss):  # type: ignore[name-defined]
        def call(self, y_true, y_pred):
            return keras.ops.mean((y_true - y_pred) ** 2, axis=-1)

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.compile(optimizer="sgd", loss=Loss())
    model.save(tmp_path / "mine.keras")
    with zipfile.ZipFile(tmp_path / "mine.keras") as archive:
        assert "test_export" in archive.read("config.json").decode()
    back = keras_file.read(tmp_path / "mine.keras")
    np.testing.assert_array_equal(back.params[0].kernel, model.get_weights()[0])


def unreadable(layers):
    """Models that have no place here, by what is said of them."""
    flat, last = layers.Flatten, partial(layers.Dense, 3, activation="softmax")
    return {
        "layer 'plain' has no bias": [
            flat(),
            layers.Dense(3, use_bias=False, name="plain"),
        ],
        "layer 'norm' is BatchNormalization": [
            flat(),
            layers.BatchNormalization(name="norm"),
            last(),
        ],
        "layer 'sharp' is Conv1D": [
            layers.Conv1D(2, 2, name="sharp"),
            flat(),
            last(),
        ],
        "layer 'bend' has the activation tanh": [
            flat(),
            layers.Dense(4, activation="tanh", name="bend"),
            last(),
        ],
        "layer 'end' has the activation sigmoid, not softmax": [
            flat(),
            layers.Dense(4, activation="relu"),
            layers.Dense(3, activation="sigmoid", name="end"),
        ],
        "layer 'big' scales by 0.5": [
            layers.Rescaling(0.5, name="big"),
            flat(),
            last(),
        ],
        "has the activation softmax, followed by a Softmax": [
            flat(),
            last(),
            layers.Softmax(),
        ],
        "layer 'half' has weights of float16": [
            flat(),
            layers.Dense(3, activation="softmax", dtype="float16", name="half"),
        ],
        "layer 'one' has one output": [
            flat(),
            layers.Dense(1, activation="sigmoid", name="one"),
        ],
        "the first Dense layer takes 5 inputs": [layers.Dense(3, activation="softmax")],
        "has the layers .*Dense, Flatten": [layers.Dense(3), flat()],
        "layer 'code' is Lambda": [
            flat(),
            layers.Lambda(lambda x: x, name="code"),
            last(),
        ],
    }


@pytest.mark.keras
def test_what_does_not_fit_is_named(tmp_path):
    keras = load_keras()
    file = tmp_path / "net.keras"
    for complaint, layers in unreadable(keras.layers).items():
        keras.Sequential([keras.Input((4, 5)), *layers]).save(file)
        with pytest.raises(InputError, match=complaint):
            keras_file.read(file)


@pytest.mark.keras
def test_a_model_that_is_no_chain_is_refused(tmp_path):
    keras = load_keras()
    inputs = keras.Input((4, 5))
    flat = keras.layers.Flatten()(inputs)
    first = keras.layers.Dense(3, activation="softmax")(flat)
    second = keras.layers.Dense(3, activation="softmax", name="second")(flat)
    keras.Model(inputs, [first, second]).save(tmp_path / "net.keras")
    with pytest.raises(InputError, match="layer 'second' does not take"):
        keras_file.read(tmp_path / "net.keras")


def test_code_in_a_file_is_not_run(tmp_path):
    # A description that names a class outside Keras, as a pickle would name a function.
    export_file = tmp_path / "net.keras"
    layer = {
        "module": "keras.layers",
        "class_name": "Dense",
        "config": {
            "name": "dense",
            "kernel_initializer": {
                "module": "os",
                "class_name": "system",
                "config": {},
            },
        },
        "registered_name": None,
    }
    model = {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"layers": [layer]},
    }
    with zipfile.ZipFile(export_file, "w") as archive:
        archive.writestr("config.json", json.dumps(model))
    with pytest.raises(InputError, match=r"code of its own \(os\.system\)"):
        keras_file.read(export_file)
    of_a_user = {"module": None, "class_name": "Init", "registered_name": "Mine>Init"}
    layer["config"]["kernel_initializer"] = of_a_user | {"config": {}}
    with zipfile.ZipFile(export_file, "w") as archive:
        archive.writestr("config.json", json.dumps(model))
    with pytest.raises(InputError, match=r"code of its own \(None\.Init\)"):
        keras_file.read(export_file)
    layer["registered_name"], layer["class_name"] = "Mine>Layer", "Layer"
    with zipfile.ZipFile(export_file, "w") as archive:
        archive.writestr("config.json", json.dumps(model))
    with pytest.raises(InputError, match="layer 'dense' is Layer"):
        keras_file.read(export_file)


def test_what_is_no_keras_file_is_refused(tmp_path):
    (tmp_path / "net.h5").write_bytes(b"\x89HDF")
    with zipfile.ZipFile(tmp_path / "damaged.keras", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("config.json", "{" + 99 * "any text ")
    content = bytearray((tmp_path / "damaged.keras").read_bytes())
    content[60:80] = bytes(20)  # within what is compressed
    (tmp_path / "damaged.keras").write_bytes(content)
    for name, complaint in (
        ("net.h5", "is not a .keras file"),
        ("damaged.keras", "is not a .keras file"),
        ("no", "there is no file"),
    ):
        with pytest.raises(InputError, match=complaint):
            keras_file.read(tmp_path / name)


@pytest.mark.parametrize("form", ["keras", "onnx"])
def test_a_network_that_is_no_stack_of_layers_is_refused(tmp_path, form):
    one = network("row_rnn", layer_sizes=(5, 4, 3), params=random_layers((9, 4, 3)))
    with pytest.raises(InputError, match="row_rnn is no stack of dense layers"):
        export.write(one, form, tmp_path / "net")
    assert not list(tmp_path.iterdir())


def test_the_command_writes_where_it_is_told(tmp_path, monkeypatch, capsys):
    trained.write(tmp_path / "weights.npz", network())
    run = str(tmp_path / "weights.npz")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["export", run, "relu_softmax", "safetensors"]) == 0
    assert (tmp_path / "relu_softmax.safetensors").exists()
    to = str(tmp_path / "net.st")
    assert cli.main(["export", run, "relu_softmax", "safetensors", "--output", to]) == 0
    assert "net.st" in capsys.readouterr().out
    content = (tmp_path / "net.st").read_bytes()
    assert content == (tmp_path / "relu_softmax.safetensors").read_bytes()
