"""The same task in small programs: how long they are, and how long they take.

The task: load the data, train 784-128-10 with ReLU, softmax cross-entropy and Adam at
0.001 for one epoch in batches of 32, and print the accuracy on the test set.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from experiments.control import line_counts, timed_programs

TASK = "784-128-10, Adam 0.001, batches of 32, one epoch"
PROGRAMS = {  # file below experiments/ease: what it is
    "keras_fit": "tf.keras",
    "flax_library": "jaxnets, one call (Flax)",
    "jaxnets_functions": "jaxnets, its functions",
    "flax_nnx": "Flax NNX alone",
    "jax_from_scratch": "JAX from scratch",
    "numpy_from_scratch": "NumPy from scratch",
}
_LOAD = "import sys\nfrom jaxnets import data\ndata.load(*sys.argv[1:])\nprint()"


def begin(folder: Path, names: Sequence[str]) -> dict[str, Any]:
    """The results before anything ran: the lines are counted."""
    programs = {}
    for name in names:
        lines = line_counts.of_file(folder / f"{name}.py")
        programs[name] = {
            "label": PROGRAMS[name],
            "lines": lines.code,
            "logical_lines": lines.logical,
            "seconds": [],
            "import_seconds": [],
            "accuracy": [],
        }
    return {"task": TASK, "data_seconds": [], "programs": programs}


def rounds(
    ease: dict[str, Any],
    folder: Path,
    num_rounds: int,
    dataset: str,
    variables: Mapping[str, str],
) -> Iterator[str]:
    """Run every program in turn, `num_rounds` times, noting results; yield lines.

    Each is also timed with its imports alone, and so is loading the data, which
    all have in common and which imports JAX.

    Raises:
      ProcessFailed: a program fails.
    """
    for number in range(1, num_rounds + 1):
        loading = timed_programs.run(_LOAD, [dataset], variables)
        ease["data_seconds"].append(loading.seconds)
        for name, entry in ease["programs"].items():
            path = folder / f"{name}.py"
            imports = f"{timed_programs.imports_of(path)}\nprint()"
            importing = timed_programs.run(imports, variables=variables)
            done = timed_programs.run(path, [dataset], variables)
            entry["import_seconds"].append(importing.seconds)
            entry["seconds"].append(done.seconds)
            entry["accuracy"].append(done.accuracy)
            yield (
                f"round {number}/{num_rounds}  {entry['label']:<24} "
                f"{done.accuracy:.2%} after {done.seconds:.1f} s, of which "
                f"{importing.seconds:.1f} s imports"
            )


def finish(ease: dict[str, Any]) -> dict[str, Any]:
    """The results with medians; None where a program never ran."""
    entries = {
        name: {
            **entry,
            **{
                f"{key}_median": median(entry[key]) if entry[key] else None
                for key in ("seconds", "import_seconds", "accuracy")
            },
        }
        for name, entry in ease["programs"].items()
    }
    loading = ease["data_seconds"]
    return {
        **ease,
        "data_seconds_median": median(loading) if loading else None,
        "programs": entries,
    }
