"""What importing costs, and what works without TensorFlow."""

import subprocess
import sys
from pathlib import Path

import pytest

from jaxnets.process import KERAS_DOES_WITHOUT

HEAVY = ("tensorflow", "keras", "tensorflow_datasets", "matplotlib", "torch")
BLOCK = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "keras", "tensorflow_datasets"):
            raise ImportError(f"{name} is blocked", name=name)

sys.meta_path.insert(0, Blocker())
"""
LEARN = """
from dataclasses import replace
from jaxnets import data
from jaxnets import models as recipes
from jaxnets.running import train

digits = data.load("digits")
for name in ("sigmoid_mse", "relu_softmax", "flax_dense"):
    recipe = replace(recipes.RECIPES[name], layer_sizes=(784, 30, 10), num_epochs=2)
    first, second, tested = train(name, recipe, digits, seed=1)
    right = (tested.prediction.label == digits.test.label).mean()
    print(name, second.train_loss < first.train_loss, right > 0.3)
"""


def run(program):
    """What a fresh interpreter prints."""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "statement",
    [
        "import jaxnets",
        "from jaxnets import data, flax_dense, recipes, running, training, worker",
    ],
)
def test_imports_load_neither_tensorflow_nor_matplotlib(statement):
    loaded = f"[name for name in {HEAVY} if name in sys.modules]"
    assert run(f"import sys; {statement}; print({loaded})") == "[]\n"


def test_scripts_begin_without_what_only_their_ends_need():
    statement = (
        "from experiments.kit import parity, progress, results, statistics, table"
    )
    later = ("matplotlib", "scipy.stats", "sklearn")
    loaded = f"[name for name in {later} if name in sys.modules]"
    assert run(f"import sys; {statement}; print({loaded})") == "[]\n"


def test_what_trains_keras_does_without_what_its_processes_lack():
    # As `worker.iterate` has it, before it loads the function.
    lacking = f"import sys; sys.modules.update(dict.fromkeys({KERAS_DOES_WITHOUT}))"
    modules = "bugs.pixels control.keras_process keras_process parity.keras_sides"
    loads = [f"import jaxnets.{name}" for name in modules.split()]
    assert run("; ".join([lacking, *loads, "print(1)"])) == "1\n"


def test_import_jaxnets_alone_does_not_load_jax():
    program = "import sys, jaxnets; print('jax' in sys.modules); jaxnets.types"
    assert run(f"{program}; print('jax' in sys.modules)") == "False\nTrue\n"


def test_an_unknown_attribute_is_an_ordinary_error():
    import jaxnets

    with pytest.raises(AttributeError, match="'jaxnets' has no attribute 'nothing'"):
        _ = jaxnets.nothing


def test_every_module_is_named_and_loads_when_it_is_used():
    import jaxnets

    # Oracle: the files of the package.
    [folder] = map(Path, jaxnets.__path__)
    files = {file.stem for file in folder.glob("*.py")} - {"__init__"}
    packages = {file.parent.name for file in folder.glob("*/__init__.py")}
    assert {"data", "neurons", "training", "worker"} < files | packages
    assert set(dir(jaxnets)) == {"__version__", *files, *packages}
    assert set(jaxnets.__all__) == set(dir(jaxnets))
    assert jaxnets.row_rnn.__name__ == "jaxnets.row_rnn"
    assert experiments.kit.__name__ == "experiments.kit"


def test_networks_train_and_improve_without_tensorflow():
    # The blocker works, or the test would mean nothing:
    with pytest.raises(AssertionError, match="tensorflow is blocked"):
        run(BLOCK + "import tensorflow")
    # Ten classes: a guess is right in 0.1 of the cases.
    lines = run(BLOCK + LEARN).splitlines()
    names = ("sigmoid_mse", "relu_softmax", "flax_dense")
    assert lines == [f"{name} True True" for name in names]
