"""The tables of `experiments/control.py`: titles, notes and rows of text."""

from typing import Any

from experiments.kit import numbers
from experiments.kit.statistics import wilson_interval

EASE_HEADER = (
    "",
    "lines",
    "logical lines",
    "s to the result",
    "of which imports",
    "accuracy",
)
KERAS_HEADER = (
    "",
    "lines",
    "logical lines",
    "s",
    "times JAX",
    "first call, s",
    "largest difference",
)
WAYS = {
    "jax": "JAX",
    "one_by_one": "Keras, loop in Python",
    "in_a_graph": "Keras, tf.map_fn",
    "vectorized": "Keras, tf.vectorized_map",
    "product": "Keras, tape in a tape",
    "rates": "Keras, own train_step",
}
ONE_CALL = "flax_library"  # of `effort.PROGRAMS`
Rows = list[tuple[str, ...]]
Table = tuple[str, str, tuple[str, ...], Rows]  # title, note, header, rows


def _seconds(value: float | None) -> str:
    return numbers.text(value, ".1f")


def ease_rows(ease: dict[str, Any]) -> Rows:
    """A row a program, the shortest first, and what loading the data takes."""
    entries = sorted(ease["programs"].values(), key=lambda entry: entry["lines"])
    rows = [
        (
            entry["label"],
            str(entry["lines"]),
            str(entry["logical_lines"]),
            _seconds(entry["seconds_median"]),
            _seconds(entry["import_seconds_median"]),
            f"{entry['accuracy_median']:.2%}" if entry["accuracy"] else "-",
        )
        for entry in entries
    ]
    loading = _seconds(ease["data_seconds_median"])
    return [*rows, ("loading the data alone", "-", "-", loading, "-", "-")]


def ease_note(ease: dict[str, Any]) -> str:
    """What the table of programs shows."""
    return (
        f"The task: {ease['task']}, and the accuracy on the test set. Lines without "
        "blanks, comments and docstrings. Seconds are from the start of the process "
        f"to the printed accuracy, compilation included, median of "
        f"{len(ease['data_seconds'])}. All load the data through jaxnets, which "
        "imports JAX: Keras and NumPy alone would be spared that."
    ) + _shortest(ease["programs"])


def _shortest(programs: dict[str, Any]) -> str:
    """Why one call into the library is the shortest, where it ran and is."""
    one_call = programs.get(ONE_CALL)
    others = [entry for name, entry in programs.items() if name != ONE_CALL]
    if one_call is None or not others:
        return ""
    if one_call["lines"] >= min(entry["lines"] for entry in others):
        return ""
    return " One call is the shortest because the network itself is in the library."


def _difference(way: dict[str, Any]) -> str:
    """The largest difference, and of what; "-" where there is none in numbers."""
    apart, size = way.get("apart"), way.get("size")
    if apart is None or size is None:
        return "-"
    return f"{apart:.0e} of {size:.2g}"


def keras_rows(part: dict[str, Any]) -> Rows:
    """A row a way of doing the same."""
    base = part["ways"]["jax"]["seconds"]
    return [
        (
            WAYS[name],
            str(way["lines"]),
            str(way["logical_lines"]),
            f"{way['seconds']:.4f}",
            f"{way['seconds'] / base:.1f}",
            _seconds(way["first_seconds"]),
            _difference(way),
        )
        for name, way in part["ways"].items()
    ]


def keras_titles(parts: dict[str, Any]) -> dict[str, str]:
    """What each part of the comparison with Keras does."""
    counts = {name: f"{part['images']:,} images" for name, part in parts.items()}
    return {
        "gradients": f"Gradient norms of {counts['gradients']}, each by itself",
        "product": f"A Hessian-vector product of the mean loss of {counts['product']}",
        "rates": f"{parts['rates']['networks']} combinations of learning rates, an "
        f"epoch of {counts['rates']}",
    }


KERAS_NOTE = (
    "The same weights, images and vectors for both. Lines are those of the functions "
    "that ran, without the loss. The first call comes on top of the seconds: for JAX "
    "it is the compilation, for Keras a whole call with its tracing."
)


def rates_rows(rates: dict[str, Any]) -> Rows:
    """A row a network: its rates, validation and test accuracy."""
    last = rates["epochs"][-1]
    rows = []
    for place, choice in enumerate(rates["rates"]):
        validation = last["validation_accuracy"]
        cells = [f"{validation[place]:.2%}" if validation else "-"]
        if "test_correct" in rates:
            correct, seen = rates["test_correct"][place], rates["test_seen"]
            low, high = wilson_interval(correct, seen)
            cells += [f"{correct / seen:.2%}", f"{low:.2%} to {high:.2%}"]
        else:
            cells += ["-", "-"]
        rows.append((", ".join(f"{rate:g}" for rate in choice), *cells))
    return rows


RATES_HEADER = ("rates, input to output", "validation", "test", "95 % interval")


def tables(content: dict[str, Any]) -> list[Table]:
    """Those whose numbers are there."""
    found, ease = content["control"], content["ease"]
    shown: list[Table] = []
    if ease["programs"]:
        title = "Ease: the same task in each"
        shown.append((title, ease_note(ease), EASE_HEADER, ease_rows(ease)))
    if found.get("rates", {}).get("epochs"):
        note = "One program trains all of them, from the same weights."
        title = "Control: a learning rate of its own for every layer"
        shown.append((title, note, RATES_HEADER, rates_rows(found["rates"])))
    parts = found.get("beside_keras")
    for name, title in keras_titles(parts).items() if parts else ():
        shown.append((title, KERAS_NOTE, KERAS_HEADER, keras_rows(parts[name])))
    return shown
