"""`experiments.kit.products`: what is asked for is in force where networks train."""

from dataclasses import replace

import jax
import pytest

from experiments.compare import __main__ as compare
from experiments.kit.products import tell_tensorflow
from experiments.kit.run import Run
from experiments.seeds import __main__ as seeds
from experiments.sweep import __main__ as sweep
from jaxnets import ensemble, models

PRECISIONS = ("highest", "default")


@pytest.fixture
def seen(monkeypatch, undrawn):
    """Precisions: in force when training was to begin, which ends it; on the page."""
    precisions = []

    def look(*_, **__):
        precisions.append(jax.config.jax_default_matmul_precision)
        raise KeyboardInterrupt

    def publish(*args, facts, **options):
        precisions.append(facts["matrix products"])
        return original(*args, facts=facts, **options)

    original = Run.publish

    monkeypatch.setattr(models, "train_and_test", look)
    monkeypatch.setattr(ensemble, "fit_many", look)
    monkeypatch.setattr(Run, "publish", publish)
    return precisions


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    ("main", "config"),
    [
        (compare.main, compare.Config(models=("sigmoid_mse",), dataset="digits")),
        (sweep.main, sweep.Config(rates=(1.0,), dataset="digits")),
        (seeds.main, seeds.Config(models=("sigmoid_mse",), alone=0, dataset="digits")),
    ],
    ids=["compare", "sweep", "seeds"],
)
def test_networks_train_by_the_products_asked_for(
    seen, tmp_path, main, config, precision
):
    config = replace(config, precision=precision, examples=200)
    with pytest.raises(KeyboardInterrupt):
        main(replace(config, output=tmp_path / "run"))
    assert seen == [precision, precision]


@pytest.mark.keras
def test_tensorflow_multiplies_as_jax_does():
    import tensorflow as tf

    for precision in (*PRECISIONS, "highest"):
        with jax.default_matmul_precision(precision):
            tell_tensorflow()
        rounds = tf.config.experimental.tensor_float_32_execution_enabled()
        assert rounds == (precision == "default")
