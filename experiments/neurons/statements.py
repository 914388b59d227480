"""What is said of neurons, beside what was measured. Conclusions: docs/findings.md.

A statement holds, does not, or stays open (None) where the numbers decide nothing.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from experiments.kit.statistics import wilson_interval

SIZE = 0.1  # of the small change whose numbers are shown


class Statement(NamedTuple):
    """A sentence, whether it holds here, and the numbers that say so."""

    statement: str
    holds: bool | None
    numbers: Mapping[str, Any]  # by what they are: numbers, or lists of them


def statements(results: Mapping[str, Any]) -> list[Statement]:
    """Those of the parts that are measured."""
    makers = {
        "logic": _logic,
        "gate_learning": _gate_learning,
        "pair_summary": _pairs,
        "small_changes": _small_changes,
        "importance": _importance,
        "ten_classes": _ten_classes,
        "cascades": _cascades,
        "consistency": _consistency,
    }
    parts = [(make, results[name]) for name, make in makers.items() if name in results]
    return [row for make, part in parts if part for row in make(part)]


def _logic(logic: Any) -> Iterator[Statement]:
    inputs, right = (sum(c[key] for c in logic.values()) for key in ("inputs", "right"))
    numbers = {"circuits": len(logic), "inputs": inputs, "right": right}
    yield Statement("NAND perceptrons make any logic", right == inputs, numbers)


def _gate_learning(gates: Any) -> Iterator[Statement]:
    names = [name for name in gates if name != "XOR"]
    ended = sum(gates[name]["converged"] for name in names)
    most = max(gates[name]["passes"] for name in names)
    yield Statement(
        f"the learning rule converges on {', '.join(names)}",
        ended == len(names) or None,  # a cap proves nothing
        {"gates": len(names), "converged": ended, "most passes": most},
    )
    xor = gates["XOR"]
    goes_on = xor["returns"] is not None or None  # weights that come back always do
    numbers = {
        "passes": xor["passes"],
        "mistakes in the last": xor["mistakes"][-1],
        "passes that end with the same weights": xor["returns"],
    }
    holds = False if xor["converged"] else goes_on
    yield Statement("the learning rule never converges on XOR", holds, numbers)


def _pairs(pairs: Any) -> Iterator[Statement]:
    number, ended, seen = (pairs[key] for key in ("pairs", "converged", "test_seen"))
    yield Statement(
        "the learning rule converges on every two digits",
        ended == number or None,
        {"pairs": number, "converged": ended, "most passes": pairs["most_passes"]},
    )
    if not seen:
        return
    hard, smooth = pairs["test_correct"], pairs["sigmoid_correct"]
    hard_guesses, smooth_guesses = (
        wilson_interval(right, seen)[0] <= 0.5 for right in (hard, smooth)
    )
    yield Statement(
        "two classes need an output other than 0 and 1",
        None if hard_guesses and smooth_guesses else hard_guesses,
        {
            "perceptron right, %": _percent(hard, seen),
            "sigmoid neuron right, %": _percent(smooth, seen),
        },
    )
    more, less = pairs["sigmoid_better"], pairs["perceptron_better"]
    yield Statement(
        "a sigmoid neuron tells two digits apart better than a perceptron",
        None if more == less else more > less,
        {"pairs better beyond chance": more, "pairs worse beyond chance": less},
    )
    if wrong := seen - smooth:
        share = _percent(pairs["unsure"], seen)
        of_errors = _percent(pairs["unsure_wrong"], wrong)
        yield Statement(
            "an output between 0.1 and 0.9 says that the neuron is unsure",
            of_errors > share,
            {"such outputs, % of answers": share, "% of errors": of_errors},
        )


def _small_changes(small: Any) -> Iterator[Statement]:
    row = min(small["sizes"], key=lambda row: abs(row["size"] - SIZE))
    size, order = {"size of the change": row["size"]}, small["order_of_error"]
    yield Statement(
        "a small change of a sigmoid neuron has a small, linear effect",
        abs(order - 2) < 0.2,
        {
            **size,
            "mean effect": row["mean_change"],
            "median error of the linear prediction": row["median_error"],
            "power of the size in that error": order,
        },
    )
    jumps = [row["jump_size"] for row in small["sizes"] if row["jumps"]]
    yield Statement(
        "a perceptron jumps instead",
        min(jumps) == 1 if jumps else None,
        {**size, "that jump, %": 100 * row["jumps"], "by": row["jump_size"]},
    )
    near = {row["factor"]: 100 * row["within_1_percent"] for row in small["approach"]}
    yield Statement(
        "large weights make a sigmoid neuron a perceptron",
        near[max(near)] > near[1],
        {f"weights x {n}: within 0.01 of the step, %": near[n] for n in (1, max(near))},
    )
    one_at = small["rounds_to_one_at"]
    numbers = {"in float32 it is 1 from a sum of": one_at}
    yield Statement("a sigmoid neuron's output is not 0 or 1", one_at is None, numbers)


def _importance(importance: Any) -> Iterator[Statement]:
    for name in importance["influences"]:
        counts, pairs = importance[name], importance[name]["pairs"]
        yield Statement(
            f"weights express importance: inputs {name}",
            counts["reversed"] == 0,
            {
                "larger weight, smaller effect, %": _percent(counts["reversed"], pairs),
                "equal effects, %": _percent(counts["equal"], pairs),
            },
        )


def _ten_classes(ten: Any) -> Iterator[Statement]:
    means = {n: float(np.mean(run["test_average"])) for n, run in ten["runs"].items()}
    if "grey" in means:
        yield Statement(
            "only sigmoid neurons take values between 0 and 1",
            means["grey"] <= ten["most_frequent_accuracy"],
            {f"perceptron, {n} pixels, right, %": 100 * x for n, x in means.items()},
        )


def _cascades(nets: Any) -> Iterator[Statement]:
    lengths = sorted({n for net in nets.values() for n in net["burst_lengths"]})
    numbers: dict[str, Any] = {"steps of a burst": lengths}
    yield Statement("neurons fire for a limited time", len(lengths) <= 1, numbers)
    numbers = {f"{n}: reached of {x['neurons']}": x["reached"] for n, x in nets.items()}
    holds = all(net["reached"] > net["stimulated"] for net in nets.values())
    yield Statement("firing spreads as a cascade", holds, numbers)


def _consistency(nets: Any) -> Iterator[Statement]:
    ahead, looped, number = nets["feedforward"], nets["with loops"], nets["nets"]
    yield Statement(
        "loops would be a problem if outputs acted at once",
        ahead["one"] == number > looped["one"],
        {
            "without loops: one consistent state, %": _percent(ahead["one"], number),
            "with loops: none, %": _percent(looped["none"], number),
            "with loops: several, %": _percent(looped["several"], number),
        },
    )


def _percent(part: int, of: int) -> float:
    return 100 * part / of
