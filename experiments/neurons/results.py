"""From the rows of a run to the content of results.json. Nothing is measured here.

Among it stand statements about neurons, beside what was measured; the conclusions are
in docs/findings.md. A statement holds, does not, or stays open (None) where the numbers
decide nothing. What is true by construction stands apart, as demonstrations.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from experiments.kit.run import Row
from experiments.kit.statistics import SIGNIFICANCE, holm, wilson_interval
from experiments.neurons.learning import INPUTS, PERCEPTRONS
from jaxnets.data import Dataset
from jaxnets.neurons.ten_class import most_frequent

SIZE = 0.1  # of the small change whose numbers are shown
Statements = Iterator[tuple[str, bool | None, Mapping[str, Any]]]
Demonstrations = Iterator[tuple[str, Mapping[str, Any]]]


def results(rows: Sequence[Row], dataset: Dataset) -> dict[str, Any]:
    """What is measured so far."""
    one_row = ("logic", "gate_learning", "small_changes", "importance", "consistency")
    content: dict[str, Any] = {n: row for n in one_row for row in part(rows, n)}
    for net in part(rows, "cascades"):
        del net["raster"]
        content.setdefault("cascades", {})[net.pop("net")] = net
    content["pairs"] = part(rows, "pairs")
    content["pair_summary"] = pair_summary(content["pairs"])
    content["ten_classes"] = ten_classes(part(rows, "ten_classes"), dataset)
    content["statements"] = statements(content)
    content["demonstrations"] = demonstrations(content)
    return content


def part(rows: Sequence[Row], name: str) -> list[dict[str, Any]]:
    """The rows of one part, without its name."""
    own = (dict(row) for row in rows if row["part"] == name)
    return [row for row in own if row.pop("part")]


def pair_summary(pairs: Sequence[Row]) -> dict[str, Any] | None:
    """All pairs of digits together; None without one.

    `better` and `worse` count the pairs where the sigmoid neuron is right more, or
    less, often than a perceptron beyond chance: exact McNemar tests, by Holm over the
    pairs. An image is in nine pairs; Holm's correction asks for no independence.
    """
    if not pairs:
        return None
    ended = [pair for pair in pairs if pair["converged"]]
    perceptrons = {}
    for name in PERCEPTRONS:
        adjusted = holm([pair[f"{name}_p"] for pair in pairs])
        ahead = [
            np.sign(pair["sigmoid_correct"] - pair[f"{name}_correct"])
            for pair, p_value in zip(pairs, adjusted, strict=True)
            if p_value < SIGNIFICANCE
        ]
        perceptrons[name] = {
            "correct": sum(pair[f"{name}_correct"] for pair in pairs),
            "better": ahead.count(1),
            "worse": ahead.count(-1),
        }
    totals = ("test_seen", "sigmoid_correct", "unsure", "unsure_wrong")
    return {
        "pairs": len(pairs),
        "converged": len(ended),
        "most_passes": max(pair["passes"] for pair in pairs),
        "perceptrons": perceptrons,
        **{key: sum(pair[key] for pair in pairs) for key in totals},
    }


def ten_classes(epochs: Sequence[Row], dataset: Dataset) -> dict[str, Any] | None:
    """Accuracies of the finished seeds by inputs and layer; None without one.

    Beside them that of always answering the class most frequent in training.
    """
    keys = ("validation_last", "validation_average", "test_last", "test_average")
    finished = [row for row in epochs if "test_last" in row]
    runs = {}
    for name in INPUTS:
        if own := [row for row in finished if row["inputs"] == name]:
            accuracies = {key: [row[key] for row in own] for key in keys}
            runs[name] = {"seeds": [row["seed"] for row in own], **accuracies}
    if not runs:
        return None
    answer, accuracy = most_frequent(dataset)
    frequent = {"most_frequent_class": answer, "most_frequent_accuracy": accuracy}
    return {**frequent, "runs": runs}


def statements(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Sentences, whether they hold, and the numbers that say so, of the parts given."""
    makers = {
        "logic": _logic,
        "gate_learning": _gate_learning,
        "pair_summary": _pairs,
        "small_changes": _small_changes,
        "importance": _importance,
        "ten_classes": _ten_classes,
    }
    return [
        {"statement": statement, "holds": holds, "numbers": numbers}
        for name, make in makers.items()
        if content.get(name)
        for statement, holds, numbers in make(content[name])
    ]


def demonstrations(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What nets that are built to show it show, and the numbers, of the parts given."""
    makers = {"cascades": _cascades, "consistency": _consistency}
    return [
        {"shown": shown, "numbers": numbers}
        for name, make in makers.items()
        if content.get(name)
        for shown, numbers in make(content[name])
    ]


def _logic(logic: Any) -> Statements:
    inputs, right = (sum(c[key] for c in logic.values()) for key in ("inputs", "right"))
    numbers = {"circuits": len(logic), "inputs": inputs, "right": right}
    yield "NAND perceptrons make every gate and adder here", right == inputs, numbers


def _gate_learning(gates: Any) -> Statements:
    others = {name: gate for name, gate in gates.items() if name != "XOR"}
    ended = sum(gate["converged"] for gate in others.values())
    most = max(gate["passes"] for gate in others.values())
    yield (
        f"the learning rule converges on {', '.join(others)}",
        ended == len(others) or None,  # a cap proves nothing
        {"gates": len(others), "converged": ended, "most passes": most},
    )
    xor = gates["XOR"]
    goes_on = xor["returns"] is not None or None  # weights that come back always do
    first, again = xor["returns"] or (None, None)
    numbers = {
        "passes": xor["passes"],
        "mistakes in the last": xor["mistakes"][-1],
        "weights of pass": first,
        "come back in pass": again,
    }
    holds = False if xor["converged"] else goes_on
    yield "the learning rule never converges on XOR", holds, numbers


def _pairs(pairs: Any) -> Statements:
    number, ended, seen = (pairs[key] for key in ("pairs", "converged", "test_seen"))
    yield (
        "the learning rule converges on every two digits",
        ended == number or None,
        {"pairs": number, "converged": ended, "most passes": pairs["most_passes"]},
    )
    if not seen:
        return
    smooth = pairs["sigmoid_correct"]
    average = pairs["perceptrons"]["average"]["correct"]
    guesses = [wilson_interval(right, seen)[0] <= 0.5 for right in (average, smooth)]
    yield (
        "two classes need an output other than 0 and 1",
        None if all(guesses) else guesses[0],
        {
            "perceptron, mean over all steps: right, %": 100 * average / seen,
            "sigmoid neuron: right, %": 100 * smooth / seen,
        },
    )
    for name in ("last", "average"):
        more, less = (pairs["perceptrons"][name][key] for key in ("better", "worse"))
        yield (
            "a sigmoid neuron tells two digits apart better than a "
            f"{PERCEPTRONS[name]}",
            None if bool(more) == bool(less) else more > less,
            {"pairs better beyond chance": more, "pairs worse beyond chance": less},
        )
    if wrong := seen - smooth:
        share = 100 * pairs["unsure"] / seen
        of_errors = 100 * pairs["unsure_wrong"] / wrong
        yield (
            "an output between 0.1 and 0.9 says that the neuron is unsure",
            of_errors > share,
            {"such outputs, % of answers": share, "% of errors": of_errors},
        )


def _small_changes(small: Any) -> Statements:
    row = min(small["sizes"], key=lambda row: abs(row["size"] - SIZE))
    size, order = {"size of the change": row["size"]}, small["order_of_error"]
    yield (
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
    yield (
        "it makes some perceptrons jump from 0 to 1 or back",
        min(jumps) == 1 if jumps else None,
        {**size, "that jump, %": 100 * row["jumps"], "by": row["jump_size"]},
    )
    near = {row["factor"]: 100 * row["within_1_percent"] for row in small["approach"]}
    yield (
        "large weights make a sigmoid neuron a perceptron",
        near[max(near)] > near[1],
        {f"weights x {n}: within 0.01 of the step, %": near[n] for n in (1, max(near))},
    )
    one_at = small["rounds_to_one_at"]
    numbers = {"in float32 it is 1 from a sum of": one_at}
    yield "a sigmoid neuron's output is not 0 or 1", one_at is None, numbers


def _importance(importance: Any) -> Statements:
    for name in importance["influences"]:
        counts, pairs = importance[name], importance[name]["pairs"]
        yield (
            f"weights express importance: inputs {name}",
            counts["reversed"] == 0,
            {
                "larger weight, smaller effect, %": 100 * counts["reversed"] / pairs,
                "equal effects, %": 100 * counts["equal"] / pairs,
            },
        )


def _ten_classes(ten: Any) -> Statements:
    means = {n: float(np.mean(run["test_average"])) for n, run in ten["runs"].items()}
    if "grey" in means:
        yield (
            "only sigmoid neurons take values between 0 and 1",
            means["grey"] <= ten["most_frequent_accuracy"],
            {f"perceptron, {n} pixels, right, %": 100 * x for n, x in means.items()},
        )


def _cascades(nets: Any) -> Demonstrations:
    lengths = sorted({n for net in nets.values() for n in net["burst_lengths"]})
    yield "neurons fire for a limited time, which is set", {"steps of a burst": lengths}
    numbers = {f"{n}: reached of {x['neurons']}": x["reached"] for n, x in nets.items()}
    yield "firing spreads as a cascade, with loops and without", numbers


def _consistency(nets: Any) -> Demonstrations:
    ahead, looped, number = nets["feedforward"], nets["with loops"], nets["nets"]
    yield (
        "where outputs act at once, nets without loops have one consistent state, and "
        "others may have none or several",
        {
            "without loops: one, %": 100 * ahead["one"] / number,
            "with loops: none, %": 100 * looped["none"] / number,
            "with loops: one, %": 100 * looped["one"] / number,
            "with loops: several, %": 100 * looped["several"] / number,
        },
    )
