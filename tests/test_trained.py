"""`jaxnets.load`: what a run trained comes back, and what is refused."""

import json
from dataclasses import replace

import jax
import numpy as np
import pytest
from small import random_batch, random_layers

import jaxnets
from jaxnets import models, row_rnn, trained, weights
from jaxnets.errors import InputError
from jaxnets.trained import Networks, Trained

SIZES = (20, 6, 3)
RECIPE = replace(models.RELU_SOFTMAX.recipe, layer_sizes=SIZES, num_epochs=2)
LABELS = ("a", "b", "c")
IMAGES = random_batch(7).image


def network(name="relu_softmax", **changes):
    """An untrained network that says it was trained."""
    standard = {
        "name": name,
        "model": name,
        "layer_sizes": SIZES,
        "params": random_layers(SIZES),
        "image_shape": (4, 5),
        "labels": LABELS,
        "dataset": "own:letters",
        "recipe": RECIPE,
        "epochs": 2,
    }
    return Trained(**{**standard, **changes})


def written(folder, *networks, config=None):
    """A folder as an experiment leaves it."""
    for one in networks:
        trained.write(folder / "weights" / f"{one.name}.npz", one)
    content = {"jaxnets": jaxnets.__version__, **(config or {})}
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(content))
    return folder


def test_a_file_gives_back_all_that_was_known(tmp_path):
    original = network(ink_side=4)
    trained.write(tmp_path / "weights" / "net.npz", original)
    loaded = jaxnets.load(str(tmp_path / "weights" / "net.npz"))
    assert isinstance(loaded, Trained)
    assert replace(loaded, params=()) == replace(original, params=())
    jax.tree.map(np.testing.assert_array_equal, loaded.params, original.params)
    assert jax.tree.structure(loaded.params) == jax.tree.structure(original.params)


def test_early_files_do_not_say_how_large_a_digit_is(tmp_path):
    trained.write(tmp_path / "net.npz", network(ink_side=4))
    arrays = weights.read_arrays(tmp_path / "net.npz")
    about = json.loads(str(arrays["about"]))
    del about["ink_side"]
    np.savez(tmp_path / "net.npz", **{**arrays, "about": json.dumps(about)})
    assert jaxnets.load(tmp_path / "net.npz").ink_side is None


def test_it_answers_as_numpy_computes(tmp_path):
    # Oracle: two matrix products in float64.
    trained.write(tmp_path / "net.npz", network())
    label, probability = jaxnets.load(tmp_path / "net.npz").predict(IMAGES)
    first, last = (
        tuple(array.astype(np.float64) for array in layer)
        for layer in random_layers(SIZES)
    )
    vectors = IMAGES.reshape(len(IMAGES), -1) / 255
    logits = np.maximum(vectors @ first[0] + first[1], 0) @ last[0] + last[1]
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probability, expected, rtol=1e-5)  # float32, 20 terms
    np.testing.assert_array_equal(label, expected.argmax(axis=1))
    assert (label.dtype, probability.dtype) == (np.int32, np.float32)
    assert isinstance(probability, np.ndarray)


def test_any_network_and_a_number_of_images_beyond_a_batch(tmp_path):
    # Oracle: the network's own `predict`, all at once.
    sizes = (5, 4, 3)
    params = jax.device_get(row_rnn.init(jax.random.key(0), sizes))
    one = network("row_rnn", layer_sizes=sizes, params=params)
    trained.write(tmp_path / "net.npz", one)
    images = random_batch(1003).image
    answers = jaxnets.load(tmp_path / "net.npz").predict(images)
    expected = row_rnn.predict(params, images)
    np.testing.assert_allclose(answers.probability, expected.probability, rtol=1e-5)


def test_a_run_gives_its_networks_in_its_order(tmp_path):
    names = ["sigmoid_mse", "flax_dense", "relu_softmax"]
    run = written(tmp_path / "run", *map(network, names), config={"models": names})
    weights.write(run / "weights" / "first_layer_0.npz", {"kernel": np.zeros(3)})
    loaded = jaxnets.load(run)
    assert isinstance(loaded, Networks) and list(loaded) == names
    assert loaded.choose("flax_dense").name == "flax_dense"
    with pytest.raises(InputError, match="3 networks: sigmoid_mse, flax_dense"):
        _ = loaded.only
    with pytest.raises(InputError, match="no network 'x'; it has sigmoid_mse"):
        loaded.choose("x")


def test_a_run_of_one_network_is_convenient(tmp_path):
    run = written(tmp_path / "run", network())
    assert jaxnets.load(run).only.predict(IMAGES).label.shape == (7,)


def test_only_finished_networks_are_of_a_run_but_files_always_load(tmp_path):
    cut_short = network("flax_dense", epochs=1)
    run = written(tmp_path / "run", network(), cut_short)
    (run / "weights" / "._relu_softmax.npz").write_bytes(b"of another system")
    assert list(jaxnets.load(run)) == ["relu_softmax"]
    assert jaxnets.load(run / "weights" / "flax_dense.npz").epochs == 1
    (run / "weights" / "relu_softmax.npz").unlink()
    with pytest.raises(InputError, match="flax_dense after 1 of 2 epochs"):
        jaxnets.load(run)
    (run / "weights" / "flax_dense.npz").unlink()
    with pytest.raises(InputError, match="no finished network"):
        jaxnets.load(run)


def test_weights_of_another_version_are_refused(tmp_path):
    about = {"format": trained.FORMAT + 1, "version": "9.0"}
    weights.write(tmp_path / "new.npz", random_layers(SIZES), about=json.dumps(about))
    with pytest.raises(InputError, match=r"new\.npz was written by jaxnets 9\.0"):
        jaxnets.load(tmp_path / "new.npz")
    run = written(tmp_path / "run", config={"jaxnets": "0.1.0"})
    weights.write(run / "old.npz", random_layers(SIZES))
    with pytest.raises(InputError, match="older version"):
        jaxnets.load(run / "old.npz")
    (run / "weights").mkdir()
    weights.write(run / "weights" / "relu_softmax.npz", random_layers(SIZES))
    with pytest.raises(InputError, match=r"jaxnets 0\.1\.0"):
        jaxnets.load(run)


def test_what_is_no_run_and_no_weights_is_refused(tmp_path):
    text, pickled = tmp_path / "text.npz", tmp_path / "pickled.npz"
    text.write_text("not a zip file")
    np.savez(pickled, about=np.array([{"a": 1}], dtype=object))
    trained.write(tmp_path / "cut.npz", network())
    content = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    for file in (text, pickled, tmp_path / "cut.npz"):
        with pytest.raises(InputError, match=rf"{file.name} holds no weights"):
            jaxnets.load(file)
    with pytest.raises(InputError, match=r"there is no file .*nothing"):
        jaxnets.load(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"is not the folder of a run.*config\.json"):
        jaxnets.load(tmp_path)


@pytest.mark.parametrize(
    "images",
    [
        IMAGES[0],
        IMAGES.astype(np.float32),
        IMAGES.swapaxes(1, 2),
        IMAGES.tolist(),
    ],
    ids=["one image", "float", "turned", "a list"],
)
def test_images_of_another_kind_are_refused(images):
    with pytest.raises(InputError, match=r"takes images uint8 \[count, 4, 5\], not"):
        network().predict(images)
