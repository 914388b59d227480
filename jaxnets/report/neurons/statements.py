"""The statements about neurons beside what was measured of each."""

from typing import Any

import numpy as np

AT = 0.1  # the size of change that the table speaks of
Row = tuple[str, str, str]


def statement_rows(results: dict[str, Any]) -> list[Row]:
    """Statement, verdict, figure; what is not measured yet is left out."""
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
    return [
        row
        for part, make in makers.items()
        if results.get(part)
        for row in make(results[part])
    ]


def _verdict(holds: bool) -> str:
    return "holds" if holds else "does not hold"


def _logic(logic: dict[str, Any]) -> list[Row]:
    right = sum(circuit["right"] for circuit in logic.values())
    inputs = sum(circuit["inputs"] for circuit in logic.values())
    figure = f"{right:,} of {inputs:,} inputs of {len(logic)} circuits right"
    return [("NAND perceptrons make any logic", _verdict(right == inputs), figure)]


def _gate_learning(gates: dict[str, Any]) -> list[Row]:
    possible = {name: gate for name, gate in gates.items() if name != "XOR"}
    ended = all(gate["converged"] for gate in possible.values())
    slowest = max(gate["passes"] for gate in possible.values())
    xor = gates["XOR"]
    figure = f"{xor['mistakes'][-1]} of 4 wrong at the cap, pass {xor['passes']}"
    if xor["returns"]:
        first, again = xor["returns"]
        figure += f"; pass {again} ends with the weights of pass {first}"
    return [
        (
            f"the learning rule ends on {', '.join(possible)}",
            _verdict(ended),
            f"after {slowest} passes at most",
        ),
        ("it never ends on XOR", _verdict(not xor["converged"]), figure),
    ]


def _pairs(pairs: dict[str, Any]) -> list[Row]:
    ended, number, seen = pairs["converged"], pairs["pairs"], pairs["test_seen"]
    verdict = "holds" if ended == number else "for some" if ended else "does not hold"
    rows = [
        (
            "the learning rule ends on two digits",
            verdict,
            f"{ended} of {number} pairs within the cap",
        )
    ]
    if not seen:
        return rows
    perceptron, smooth = pairs["test_correct"] / seen, pairs["sigmoid_correct"] / seen
    better, worse = pairs["sigmoid_better"], pairs["perceptron_better"]
    rows.append(
        (
            "an output that is not 0 or 1 makes a neuron suitable for two classes",
            "helps, is not needed" if better > worse else "is not needed",
            f"perceptron {perceptron:.2%}, sigmoid neuron {smooth:.2%} right; beyond "
            f"chance better on {better}, worse on {worse} pairs",
        )
    )
    if wrong := seen - pairs["sigmoid_correct"]:
        share = pairs["unsure_wrong"] / wrong
        figure = (
            f"{pairs['unsure'] / seen:.1%} of its answers, {share:.0%} of its errors"
        )
        said = "an output between 0.1 and 0.9 says that the neuron is unsure"
        rows.append((said, _verdict(share > pairs["unsure"] / seen), figure))
    return rows


def _small_changes(small: dict[str, Any]) -> list[Row]:
    row = min(small["sizes"], key=lambda row: abs(row["size"] - AT))
    size = f"a change of {row['size']:.2g}"
    near, first = small["approach"][-1], small["approach"][0]
    jumps_only = all(row["jump_size"] in (0, 1) for row in small["sizes"])
    order = small["order_of_error"]
    return [
        (
            "a small change of a sigmoid neuron has a small, linear effect",
            _verdict(abs(order - 2) < 0.2),
            f"{size}: effect {row['mean_change']:.2g}, predicted to "
            f"{row['median_error']:.1g}; error ~ size to the power {order:.2f}",
        ),
        (
            "a perceptron jumps instead",
            _verdict(jumps_only),
            f"{size}: {row['jumps']:.1%} change, by 1; the others by 0",
        ),
        (
            "large weights make a sigmoid neuron a perceptron",
            _verdict(near["within_1_percent"] > first["within_1_percent"]),
            f"weights x {near['factor']}: {near['within_1_percent']:.1%} within 0.01 "
            f"of the step; x 1: {first['within_1_percent']:.1%}",
        ),
        (
            "a sigmoid neuron's output is not 0 or 1",
            "not in float32",
            f"exactly 1 from a weighted sum of {small['rounds_to_one_at']:.1f} on",
        ),
    ]


def _importance(importance: dict[str, Any]) -> list[Row]:
    rows = []
    for name in ("equally often 1", "some often 1, some rarely"):
        counts = importance[name]
        turned, equal = (counts[key] / counts["pairs"] for key in ("reversed", "equal"))
        said = f"weights express importance: inputs {name}"
        figure = (
            f"larger weight, smaller effect: {turned:.1%} of pairs; equal: {equal:.1%}"
        )
        rows.append((said, _verdict(turned == 0), figure))
    return rows


def _ten_classes(ten: dict[str, Any]) -> list[Row]:
    runs = ten["runs"]
    if "grey" not in runs:
        return []
    means = {name: np.mean(run["test_average"]) for name, run in runs.items()}
    figure = (
        f"ten-class perceptron, grey pixels: {means['grey']:.2%}; binary: "
        f"{means['binary']:.2%}"
    )
    return [
        ("only sigmoid neurons take values between 0 and 1", "does not hold", figure)
    ]


def _cascades(cascades: dict[str, Any]) -> list[Row]:
    nets = cascades.values()
    lengths = sorted({length for net in nets for length in net["burst_lengths"]})
    reached = ", ".join(
        f"{net['reached']} of {net['neurons']} ({name})"
        for name, net in cascades.items()
    )
    words = " or ".join(map(str, lengths)) or "more than all"
    return [
        (
            "neurons fire for a limited time",
            _verdict(len(lengths) <= 1),
            f"every burst lasts {words} steps",
        ),
        (
            "firing spreads as a cascade",
            _verdict(all(net["reached"] > net["stimulated"] for net in nets)),
            f"reached: {reached}",
        ),
    ]


def _consistency(nets: dict[str, Any]) -> list[Row]:
    ahead, looped = nets["feedforward"], nets["with loops"]
    none, several = (looped[key] / nets["nets"] for key in ("none", "several"))
    return [
        (
            "loops would be a problem if outputs acted at once",
            _verdict(ahead["one"] == nets["nets"] > looped["one"]),
            f"nets with loops: {none:.0%} have no state that fits itself, "
            f"{several:.0%} several; without loops all have one",
        )
    ]
