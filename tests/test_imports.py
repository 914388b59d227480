"""What importing costs and leaves alone, and what works without TensorFlow."""

import json
import subprocess
import sys
from pathlib import Path

import processes
import pytest

import jaxnets

# One process answers everything: starting Python and JAX is what takes the time.
PROGRAM = """
import importlib, json, logging, os, pkgutil, signal, sys, warnings

answers = {}

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "keras", "tensorflow_datasets"):
            raise ImportError(f"{name} is blocked", name=name)

sys.meta_path.insert(0, Blocker())
try:
    import tensorflow
except ImportError as error:
    answers["blocked"] = str(error)

import jaxnets
answers["jax with the package"] = "jax" in sys.modules

# What others may do at import is not what is asked.
import flax.nnx, jax, optax, chex, scipy.ndimage
import jax.monitoring

def state():
    config = {name: repr(value) for name, value in jax.config.values.items()}
    handlers = {str(number): repr(signal.getsignal(number)) for number in (2, 15)}
    return {
        "environment": dict(os.environ),
        "config": config,
        "signals": handlers,
        "logging": [repr(handler) for handler in logging.getLogger().handlers],
        "filters": len(warnings.filters),
        "hooks": repr((sys.excepthook, warnings.showwarning)),
        "directory": os.getcwd(),
    }

class Bare:
    \"\"\"A stream that has nothing, not even isatty.\"\"\"

registered = []
monitoring = vars(jax.monitoring).items()
registrars = {name: f for name, f in monitoring if name.startswith("register_")}
for name in registrars:
    setattr(jax.monitoring, name, lambda *_, **__: registered.append(name))
before, streams = state(), (sys.stdout, sys.stderr)
sys.stdout = sys.stderr = Bare()
names = [m.name for m in pkgutil.walk_packages(jaxnets.__path__, "jaxnets.")]
for name in names:
    importlib.import_module(name)
answers["untouched streams"] = isinstance(sys.stdout, Bare)
sys.stdout, sys.stderr = streams
vars(jax.monitoring).update(registrars)
answers["modules"] = names
answers["registered"] = registered
answers["changed"] = [key for key, value in state().items() if value != before[key]]
heavy = ("matplotlib", "sklearn", "torch", "tyro", "experiments")
answers["heavy"] = [name for name in heavy if name in sys.modules]

# Training needs no TensorFlow either, Flax's network included.
import numpy as np
from dataclasses import replace
from jaxnets import data
from jaxnets.models import MODELS, train_and_test

digits = data.load("digits")
digits = digits._replace(train=digits.train.split(1000)[0])  # no short batch of 25
changes = {"layer_sizes": (784, 10), "optimizer": "sgd", "learning_rate": 0.1}
changes |= {"batch_size": 25, "num_epochs": 2}
recipe = replace(MODELS["flax_dense"].recipe, **changes)
*epochs, prediction = train_and_test("flax_dense", recipe, digits, seed=1)
answers["accuracy"] = float(np.mean(prediction.label == digits.test.label))
answers["losses"] = [float(epoch.train.mean_loss) for epoch in epochs]

# The modules that travel to Keras's processes, with what these go without.
from jaxnets.process import KERAS_DOES_WITHOUT
for name in [n for n in sys.modules if n.split(".")[0] in KERAS_DOES_WITHOUT]:
    del sys.modules[name]
sys.modules.update(dict.fromkeys(KERAS_DOES_WITHOUT))
for name in ("bugs.keras_model", "parity.sides", "speedrun.measure"):
    importlib.import_module(f"experiments.{name}")
answers["travel"] = True
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def answers():
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[1],
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_importing_every_module_changes_nothing(answers):
    assert answers["changed"] == [] and answers["registered"] == []
    assert answers["untouched streams"]


def test_importing_every_module_loads_nothing_heavy(answers):
    assert answers["blocked"] == "tensorflow is blocked"  # or it would mean nothing
    assert not answers["jax with the package"]
    assert answers["heavy"] == []


def test_networks_train_and_improve_without_tensorflow(answers):
    first, second = answers["losses"]
    assert second < first
    assert (
        answers["accuracy"] > 0.3
    )  # ten classes: a guess is right in 0.1 of the cases


def test_what_trains_keras_does_without_what_its_processes_lack(answers):
    assert answers["travel"]


@pytest.mark.slow
def test_a_comparison_of_a_network_of_jax_loads_no_other_framework(tmp_path):
    # Oracle: Python's own list of what is imported, and what took how long.
    process = processes.start(
        *("-X", "importtime", "-m", "experiments.compare", "--models", "relu_softmax"),
        *("--epochs", 1, "--dataset", "digits", "--validation-examples", 157),
        *("--relu-softmax.layer-sizes", 784, 30, 10, "--output", tmp_path / "run"),
        cwd=Path(__file__).parents[1],
    )
    _, complaint = process.communicate()
    assert process.returncode == 0, complaint
    lines = [line for line in complaint.splitlines() if line.startswith("import time")]
    packages = {line.split("|")[-1].strip().partition(".")[0] for line in lines}
    assert {"jax", "matplotlib", "experiments"} < packages  # it trained and drew
    assert not packages & {"tensorflow", "keras", "torch", "flax"}


DRAWS = ("matplotlib.figure", "matplotlib.backends.backend_agg", "scipy.special")
PREPARATION = f"""
import json, sys
from experiments.kit.publish import prepare_to_draw
before = [name for name in {DRAWS} if name in sys.modules]
prepare_to_draw()
print(json.dumps([before, [name for name in {DRAWS} if name in sys.modules]]))
"""


def test_preparing_to_draw_loads_what_draws():
    process = processes.start("-c", PREPARATION, cwd=Path(__file__).parents[1])
    printed, complaint = process.communicate()
    assert process.returncode == 0, complaint
    assert json.loads(printed) == [[], [*DRAWS]]


def test_every_module_is_named_and_loads_when_it_is_used(answers):
    # Oracle: the files of the package.
    [folder] = map(Path, jaxnets.__path__)
    files = {file.stem for file in folder.glob("*.py")} - {"__init__"}
    packages = {file.parent.name for file in folder.glob("*/__init__.py")}
    assert {"data", "neurons", "training", "process"} < files | packages
    assert set(dir(jaxnets)) == {"__version__", *jaxnets.__all__}
    assert set(jaxnets.__all__) <= files | packages | {"load"}
    assert jaxnets.load is jaxnets.trained.load
    assert jaxnets.row_rnn.__name__ == "jaxnets.row_rnn"
    imported = {name.split(".")[1] for name in answers["modules"]}
    assert imported == files | packages


def test_an_unknown_attribute_is_an_ordinary_error():
    with pytest.raises(AttributeError, match="'jaxnets' has no attribute 'nothing'"):
        _ = jaxnets.nothing
