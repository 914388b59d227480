"""The statements about neurons beside what was measured of each."""

from typing import Any

import numpy as np

from experiments.kit.statistics import wilson_interval

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


def _within(passes: int) -> str:
    """The verdict on a rule that had no time to end."""
    return f"not within the cap of {passes} passes"


def _gate_learning(gates: dict[str, Any]) -> list[Row]:
    possible = {name: gate for name, gate in gates.items() if name != "XOR"}
    ended = [name for name, gate in possible.items() if gate["converged"]]
    slowest = max(gate["passes"] for gate in possible.values())
    figure = f"after {slowest} passes at most"
    if len(ended) < len(possible):
        figure = f"{len(ended)} of {len(possible)} within it"
    return [
        (
            f"the learning rule ends on {', '.join(possible)}",
            "holds" if len(ended) == len(possible) else _within(slowest),
            figure,
        ),
        ("it never ends on XOR", *_never_ends(gates["XOR"])),
    ]


def _never_ends(gate: dict[str, Any]) -> tuple[str, str]:
    """Verdict and figure; only weights that come back prove that it goes on."""
    if gate["converged"]:
        return "does not hold", f"no mistake in pass {gate['passes']}"
    figure = f"{gate['mistakes'][-1]} of 4 wrong at the cap, pass {gate['passes']}"
    if gate["returns"] is None:
        return _within(gate["passes"]), f"{figure}; no weights came back until then"
    first, again = gate["returns"]
    return "holds", f"{figure}; pass {again} ends with the weights of pass {first}"


def _pairs(pairs: dict[str, Any]) -> list[Row]:
    ended, number, seen = pairs["converged"], pairs["pairs"], pairs["test_seen"]
    verdict = "for some" if ended else _within(pairs["most_passes"])
    if ended == number:
        verdict = "holds"
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
            _need(pairs),
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


def _need(pairs: dict[str, Any]) -> str:
    """Whether two classes need the sigmoid: is the perceptron a guess without it?"""
    perceptron, smooth = (
        wilson_interval(pairs[key], pairs["test_seen"])[0] > 0.5
        for key in ("test_correct", "sigmoid_correct")
    )
    if not perceptron:
        return "holds" if smooth else "neither neuron is better than a guess"
    helps = pairs["sigmoid_better"] > pairs["perceptron_better"]
    return "helps, is not needed" if helps else "is not needed"


def _small_changes(small: dict[str, Any]) -> list[Row]:
    row = min(small["sizes"], key=lambda row: abs(row["size"] - AT))
    size = f"a change of {row['size']:.2g}"
    near, first = small["approach"][-1], small["approach"][0]
    jumps = [row["jump_size"] for row in small["sizes"] if row["jumps"]]
    order = small["order_of_error"]
    one_at = small["rounds_to_one_at"]
    return [
        (
            "a small change of a sigmoid neuron has a small, linear effect",
            _verdict(abs(order - 2) < 0.2),
            f"{size}: effect {row['mean_change']:.2g}, predicted to "
            f"{row['median_error']:.1g}; error ~ size to the power {order:.2f}",
        ),
        (
            "a perceptron jumps instead",
            _verdict(min(jumps) == 1) if jumps else "no jump seen",
            f"{size}: {row['jumps']:.1%} change"
            + (f", by {row['jump_size']:g}; the others by 0" if row["jumps"] else ""),
        ),
        (
            "large weights make a sigmoid neuron a perceptron",
            _verdict(near["within_1_percent"] > first["within_1_percent"]),
            f"weights x {near['factor']}: {near['within_1_percent']:.1%} within 0.01 "
            f"of the step; x 1: {first['within_1_percent']:.1%}",
        ),
        (
            "a sigmoid neuron's output is not 0 or 1",
            "holds" if one_at is None else "not in float32",
            "never exactly 1"
            if one_at is None
            else f"exactly 1 from a weighted sum of {one_at:.1f} on",
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
    takes_them = means["grey"] > ten["most_frequent_accuracy"]
    said = "only sigmoid neurons take values between 0 and 1"
    return [(said, _verdict(not takes_them), figure)]


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
