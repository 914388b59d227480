"""What `experiments/parity.py` shows: lines, tables, files and the page."""

import functools
from typing import Any

from experiments.kit.progress import console
from experiments.kit.run import Experiment
from experiments.kit.screen import print_table
from experiments.kit.statistics import SIGNIFICANCE
from experiments.parity.comparison import CAUSE_STEPS, PRECISIONS
from experiments.parity.results import EQUAL, ParityRun, Priced

SHOWN_STEPS = (1, 10, 100)  # and the last
SHOWN_CAUSE_STEPS = (1, 10, 50, CAUSE_STEPS)  # likewise
EQUAL_TITLE = "Largest relative difference between weights"
CAUSE_TITLE = "One difference each, in float64"
CAUSE_NOTE = "Each puts back one difference that people trip over."
PRICE_TITLE = "Prices: test accuracy, and the difference from tf.keras's choices"
PRICE_NOTE = (
    "The mirror in Flax. Differences are seed by seed, in percentage points; intervals "
    "are Student's, 95 %; p-values are Holm-corrected together."
)


def step_line(step: int, found: dict[str, float]) -> str:
    """The differences after a step, in words: the largest of each precision."""
    told = []
    for precision in PRECISIONS:
        apart = max(found[name] for name in found if name.endswith(precision))
        told.append(f"{precision} {apart:.1e}")
    return f"step {step:>5,}  weights apart by at most  {'  '.join(told)}"


def price_line(priced: Priced) -> str:
    """The accuracies of a choice whose networks are all trained."""
    values = priced.accuracy.values()
    span = f"{min(values):.2%} to {max(values):.2%}"
    return f"{priced.choice.name:<20} test accuracy {span}, {len(values)} seeds"


def finish(run: Experiment, found: ParityRun, status: str) -> dict[str, Any]:
    """Print and write what was reached; return the content of results.json."""
    content = {**run.head(status), **found.results()}
    tables = [
        (EQUAL_TITLE, _about_equals(content), *_equal_table(content)),
        (CAUSE_TITLE, CAUSE_NOTE, *_cause_table(content)),
        (PRICE_TITLE, PRICE_NOTE, *_price_table(content)),
    ]
    tables = [table for table in tables if table[-1]]
    for title, _, header, rows in tables:
        short = header.index("what") if "what" in header else len(header)
        print_table(title, header[:short], [row[:short] for row in rows])
    for line in (*_cause_lines(content), *_verdicts(content)):
        console.print(line)
    _write_csv(run, content)
    if tables:
        _write_page(run, content, tables)
    return content


def _entries(content: dict[str, Any], *, causes: bool) -> list[dict[str, Any]]:
    return [
        entry
        for entry in content["comparisons"]
        if entry["steps"] and (entry["cause"] is not None) == causes
    ]


def _at(entry: dict[str, Any], step: int) -> str:
    if step not in entry["steps"]:
        return "-"
    apart = entry["apart"][entry["steps"].index(step)]
    return f"{apart:.1e}" if apart else "0"


def _equal_table(content: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    entries = _entries(content, causes=False)
    last = max((entry["steps"][-1] for entry in entries), default=0)
    steps = [step for step in SHOWN_STEPS if step < last] + [last]
    words = {True: "yes", False: "no", None: "-"}
    rows = [
        [
            entry["name"],
            *(_at(entry, step) for step in steps),
            words[entry["equal"]],
        ]
        for entry in entries
    ]
    after = [f"step {step:,}" for step in steps]
    return ["pair", *after, f"below {EQUAL:.0e}"], rows


def _cause_table(content: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    entries = _entries(content, causes=True)
    last = max((entry["steps"][-1] for entry in entries), default=0)
    steps = [step for step in SHOWN_CAUSE_STEPS if step < last] + [last]
    rows = [
        [entry["name"], *(_at(entry, step) for step in steps), entry["cause"]]
        for entry in entries
    ]
    return ["difference", *(f"step {step:,}" for step in steps), "what"], rows


def _price_table(content: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    def points(value: float | None) -> str:
        return "-" if value is None else f"{100 * value:+.2f}"

    rows = []
    for entry in content["prices"]:
        spread = entry["deviation"]
        low, high = entry["interval"] or (None, None)
        rows.append(
            [
                entry["name"],
                str(len(entry["accuracy"])),
                f"{entry['mean']:.2%}",
                "-" if spread is None else f"{100 * spread:.2f}",
                points(entry["difference"]),
                "-" if low is None else f"{points(low)} to {points(high)}",
                "-" if entry["p_value"] is None else f"{entry['p_value']:.2g}",
                entry["what"],
            ]
        )
    header = ["choice", "seeds", "accuracy", "sd", "difference", "95 % interval", "p"]
    return [*header, "what"], rows


def _about_equals(content: dict[str, Any]) -> str:
    missing = ", ".join(content["missing"])
    return (
        "In each array the largest |a - b| by the largest |b|; of all arrays the worst."
        " 0 is bit for bit the same. Adam's betas are the float32 numbers nearest to "
        "0.9 and 0.999 on all sides."
    ) + (f" Not installed: {missing}." if missing else "")


def _cause_lines(content: dict[str, Any]) -> list[str]:
    entries = _entries(content, causes=True)
    return [f"{entry['name']}: {entry['cause']}." for entry in entries] + [
        f"{entry['name']} did nothing within {entry['steps'][-1]:,} updates: the "
        f"weights stay within rounding of each other, {max(entry['apart']):.1e}."
        for entry in entries
        if max(entry["apart"]) < EQUAL
    ]


def _verdicts(content: dict[str, Any]) -> list[str]:
    """What the tables come to, in sentences."""
    lines = []
    for entry in _entries(content, causes=False):
        if entry["name"].endswith("float64") and entry["equal"] is not None:
            updates = f"{entry['steps'][-1]:,} updates"
            apart = f"{max(entry['apart']):.1e}"
            if entry["identical"]:
                verdict = f"are bit for bit the same after {updates}"
            elif entry["equal"]:
                verdict = f"agree to {apart} over {updates}"
            else:
                verdict = f"do not agree: {apart} within {updates}"
            lines.append(f"{entry['name']}: the weights {verdict}.")
    return [*lines, *_price_verdicts(content["prices"])]


def _price_verdicts(prices: list[dict[str, Any]]) -> list[str]:
    """What each choice gains or costs; those that cannot be told from tf.keras's own.

    Nothing is said of a single seed.
    """
    lines, ties = [], []
    for entry in prices:
        if entry["gaps"] is None or len(entry["gaps"]) < 2:
            continue
        if entry["p_value"] is not None and entry["p_value"] < SIGNIFICANCE:
            points = 100 * entry["difference"]
            verb = "gains" if points > 0 else "costs"
            lines.append(
                f"{entry['name']} {verb} {abs(points):.2f} points of accuracy."
            )
        elif entry["p_value"] is not None or not any(entry["gaps"].values()):
            ties.append(entry["name"])
    if ties:
        lines.append(f"A tie with tf.keras's own choices: {', '.join(ties)}.")
    return lines


def _growth(content: dict[str, Any]) -> str:
    """How far apart rounding has taken the pairs of either precision."""
    told = []
    for precision in PRECISIONS:
        entries = [
            entry
            for entry in _entries(content, causes=False)
            if entry["name"].endswith(precision)
        ]
        first, last = (
            max(entry["apart"][place] for entry in entries) for place in (0, -1)
        )
        told.append(f"in {precision} {first:.1e} at first and {last:.1e} at the end")
    return ", ".join(told)


def _write_csv(run: Experiment, content: dict[str, Any]) -> None:
    rows = [
        (entry["name"], step, apart, content["dataset"])
        for entry in content["comparisons"]
        for step, apart in zip(entry["steps"], entry["apart"], strict=True)
    ]
    run.written.write_csv("parity.csv", ["pair", "step", "apart", "dataset"], rows)
    rows = [
        (entry["name"], seed, value, content["dataset"])
        for entry in content["prices"]
        for seed, value in entry["accuracy"].items()
    ]
    header = ["choice", "seed", "test_accuracy", "dataset"]
    run.written.write_csv("prices.csv", header, rows)


def _write_page(run: Experiment, content: dict[str, Any], tables: list[Any]) -> None:
    from experiments.kit import page
    from experiments.parity import figures as parity_figures

    picture = functools.partial(page.picture, dataset=content["dataset"])
    sections: list[Any] = []
    if _entries(content, causes=False):
        drawn = parity_figures.differences(content["comparisons"])
        caption = (
            "Largest relative difference between the weights of two programs, by "
            f"updates. Left: {_growth(content)}. Right: what keeps programs apart that "
            "should agree."
        )
        sections.append(picture("parity", "Step by step", caption, drawn))
    if any(entry["gaps"] for entry in content["prices"]):
        drawn = parity_figures.prices(content["prices"])
        caption = (
            "A dot a seed, the mean, and its 95 % interval. Left of the line: less "
            "accurate than with tf.keras's choices."
        )
        sections.append(picture("prices", "What each difference costs", caption, drawn))
    sections += [page.Table(*table) for table in tables]
    run.write_page(
        content,
        sections,
        title="Equal, step by step",
        lead=" ".join(_verdicts(content)) or "The run ended before its first result.",
    )
