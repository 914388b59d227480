"""The tables and pictures of a run, from the content of its results.json."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from experiments.kit.numbers import text
from experiments.kit.page import Picture, Table, table
from experiments.speed.contenders import CONTENDERS, REFERENCE, in_words
from experiments.speed.machine import ADAM, FLOPS, MAX_FOREIGN, MIN_RATE
from experiments.speed.results import ACCURACIES, FACTORS, Content

METHOD = (
    "Contenders train the same network in processes of their own, one at work at a "
    "time, a turn each in interleaved rounds in a new order. A turn is some epochs, or "
    "part of one. Seconds per epoch are medians over rounds, shuffling included, "
    "compiling and the first turn not. Ratios are taken within each round: median, and "
    "in brackets its interval by order statistics (97.9 % for ten rounds; the smallest "
    "and largest of fewer than six). jaxnets against itself is the same program again: "
    "what lies within its interval is noise. A round counts if other processes used "
    f"less than {MAX_FOREIGN:.0%} of the processor during it and a core multiplied at "
    f"{MIN_RATE:.0%} of its median rate before it; others are repeated. "
)
MODELS = (
    "Settings are the best of the search below; where steps are named, an epoch is "
    "timed in parts of so many. Start is the process with imports and data; the time "
    "to an accuracy runs from there, without testing and waiting, the epochs in "
    "brackets. All rounds: the ratio's median over those too that do not count. The "
    "floor is the processor's: a step's flops at the best rate of a matrix product, or "
    "Adam's state read and written, whichever takes longer. Whose later rounds are "
    "over a fifth slower or faster than the earlier ones is named: its figure may "
    "depend on how long it has trained, or it is noise."
)
TRIALS = (
    "Before the rounds: the fastest of some trials, by which each contender's settings "
    "were chosen; none is a result. The fastest three of each are tried again for "
    "longer, in two fresh processes each, and the best median of these counts. Keras "
    "on JAX from logits takes the settings of Keras on JAX. Keras and the program from "
    "scratch have XLA's 512-bit preference as jaxnets does."
)
DOTS = (
    "Times jaxnets, median and interval of the rounds' ratios, and seconds per epoch. "
    "The dashed line is the processor's floor."
)
CURVES = (
    "From the start of the process, imports and compiling included, testing not. A "
    "line begins with the first test."
)
LINES = (
    "One factor at a time; the others stay at those of the published Model 3. Medians, "
    "with bands from the smallest to the largest value. Below, 1 is jaxnets; with "
    "relu_softmax's functions it compiles to the same operations, so that its distance "
    "from 1 is noise."
)
LEVEL = (
    "An epoch is measured whole, or by its first steps. What jaxnets and Keras do once "
    "an epoch is told by a shorter part beside and counted once; they are measured "
    "whole where that takes at most a second at the floor. Each contender has a thread "
    "per core, Keras's `fit`, tuned, the best settings of a search at each point. "
    "Rounds are those that count."
)
TREND = (
    "The level at both ends of a sweep, and the trend: what the ratio is multiplied "
    "with as the factor grows tenfold, by least squares over the sweep's points on log "
    "axes, in each round. Below 1 a contender gains on jaxnets with size."
)
DRIFT = 0.2  # of the later rounds from the earlier ones, that is worth a word

Columns = dict[str, str | Callable[[Any], str]]  # as those of `table`


LEAD = (
    "tf_keras",
    "tf_keras_tuned",
    "tf_keras_loop",
    "keras_on_jax",
    "keras_scan",
    "pytorch",
    "from_scratch",
)
GROWING = ("tf_keras_tuned", "tf_keras_loop")  # named as things grow


def lead(content: Content) -> str:
    """The finding: the rivals at the last model, and tf.keras as things grow."""
    sentences = ["A try-out, whose figures mean little."] if content["quick"] else []
    models = list(content["models"].values())
    for model in models[-1:]:
        ratios = [
            f"{CONTENDERS[name].label} {entry['ratio']['median']:.2f}"
            for name, entry in model["contenders"].items()
            if name in LEAD
        ]
        noise = f" (itself {_spread(model['noise'])})" if model["noise"] else ""
        sentences.append(
            f"How many times as long as {model['reference']}{noise} an epoch of "
            f"{model['name']} takes: {'; '.join(ratios) or 'nobody else was timed'}."
        )
    for name in GROWING:
        growth = [
            "{} {:,} to {:,}: {:.2f} to {:.2f}".format(
                FACTORS[line["factor"]],
                *line["values"],
                *(ratio["median"] for ratio in line["ratios"]),
            )
            for line in content["trends"]
            if line["contender"] == name
        ]
        if growth:
            sentences.append(
                f"As things grow, an epoch of {CONTENDERS[name].label} takes times "
                f"{REFERENCE}: {'; '.join(growth)}."
            )
    points = [*models, *content["points"]]
    counted, run = (
        sum(point[key] for point in points) for key in ("rounds_counted", "rounds_run")
    )
    return " ".join([*sentences, f"{counted} of {run} rounds were on an idle machine."])


def sections(content: Content) -> Iterator[Table | Picture]:
    """Everything, in the order of the page."""
    # Matplotlib is loaded where figures are drawn, not at the start of the program.
    from experiments.speed import figures

    models, points = list(content["models"].values()), content["points"]
    if models:
        draw = partial(figures.dots, models)
        yield Picture("benchmark", "Times jaxnets", f"{DOTS} {METHOD}", draw)
        yield from map(_model_table, models)
        draw = partial(figures.accuracy_by_seconds, models)
        yield Picture("accuracy", "Accuracy by the clock", f"{CURVES} {MODELS}", draw)
    if points:
        sweeps = {
            factor: [points[place] for place in places]
            for factor, places in content["sweeps"].items()
            if places
        }
        words = LINES if models else f"{LINES} {METHOD}"
        draw = partial(figures.speed, sweeps)
        yield Picture("scaling", "As network, data and batch grow", words, draw)
        trends: Columns = {
            "": lambda line: "{} {:,} to {:,}".format(
                FACTORS[line["factor"]], *line["values"]
            ),
            "contender": "label",
            f"times {REFERENCE} at first": lambda line: _spread(line["ratios"][0]),
            "and at last": lambda line: _spread(line["ratios"][1]),
            "per tenfold": lambda line: _spread(line["per_tenfold"]),
        }
        if content["trends"]:  # of more than one point a sweep
            yield table("Level and trend", TREND, content["trends"], trends)
        levels: Columns = {
            "width": "width:,",
            "images": "examples:,",
            "batch": "batch_size:,",
            "steps, at least": _measured,
            "rounds": "rounds_counted:",
            f"{REFERENCE}, s": partial(_seconds, REFERENCE),
            "floor, s": lambda point: f"{point['floor']['seconds']:.3g}",
            **{
                CONTENDERS[name].label: partial(_ratio_at, name)
                for name in CONTENDERS
                if name != REFERENCE and any(name in p["contenders"] for p in points)
            },
        }
        title = f"Seconds per epoch, times {REFERENCE}"
        yield table(title, LEVEL, points, levels, on_screen=False)
        draw = partial(figures.memory, sweeps)
        caption = "Of each contender's process, fresh at every point."
        yield Picture("scaling_memory", "Peak memory", caption, draw)
    if trials := content["search_trials"]:
        columns: Columns = {
            "": "point",
            "contender": lambda row: CONTENDERS[row["contender"]].label,
            "settings": lambda row: in_words(row["settings"]),
            "s per epoch": "epoch_seconds:.3g",
        }
        yield table("The search", TRIALS, trials, columns, on_screen=False)


def facts(content: Content) -> dict[str, str]:
    """What stands at the end of the page beside the run's own facts."""
    machine = content["machine"]
    one, every = (f"{machine.get(name, 0) / 1e9:.0f}" for name in FLOPS)
    adam = (f"{rate / 1e9:.0f} at width {w}" for w, rate in machine[ADAM].items())
    shares = (machine["foreign_share_at_start"], machine["foreign_share_median"])
    return {
        "processor": f"{content['device']}, {machine['num_cores']} cores",
        "other processes, at the start and in the median round": ", ".join(
            text(share, ".1%") for share in shares
        ),
        "device of JAX's contenders": content["jax_device"],
        "precision of JAX's products": content["precision"],
        "matrix product": f"{one} GFLOP/s on one core, {every} on all",
        "update of Adam's arrays' size, GB/s": ", ".join(adam),
        "settings": f"those of {content['settings_of'] or 'the search'}",
        "left out": "; ".join(content["left_out"].values()) or "nobody",
        "failed": "; ".join(content["errors"]) or "nobody",
    }


def _model_table(model: Content) -> Table:
    """A row a contender, the fastest first, and the floor."""
    columns: Columns = {
        "": lambda e: f"{e['label']}, {e['device']}".removesuffix(", cpu"),
        "settings": _settings,
        "s per epoch": lambda e: f"{e['epoch_seconds']['median']:.3g}",
        f"times {model['reference']}": lambda e: (
            "1" if e is model["contenders"][model["reference"]] else _ratio(e)
        ),
        "all rounds": lambda e: text(e["ratio_all_rounds"], ".2f"),
        "start, s": "start_seconds:.1f",
        "compile, s": lambda e: text(e["compile_seconds"] or None, ".1f"),
        **{f"s to {a:.0%}": partial(_reached, str(a)) for a in ACCURACIES},
        "peak MiB": lambda e: text(e["peak_bytes"] and e["peak_bytes"] >> 20, ","),
    }
    sizes = "-".join(map(str, model["layer_sizes"]))
    rounds = f"{model['rounds_counted']} of {model['rounds_run']} rounds count"
    drifts = [
        f"{entry['label']} {entry['drift']:.2f}"
        for entry in model["contenders"].values()
        if entry["drift"] and abs(entry["drift"] - 1) > DRIFT
    ]
    later = f"; later rounds over earlier: {', '.join(drifts)}" if drifts else ""
    caption = f"{model['steps']:,} steps an epoch; {rounds}{later}."
    title = f"{model['name']}, {sizes}"
    contenders = table(title, caption, model["contenders"].values(), columns)
    least, cores = model["floor"]["seconds"], model["floor"]["cores"]
    floor = [f"floor, {cores}", "-", f"{least:.3g}"]
    floor += ["-"] * (len(columns) - len(floor))
    return contenders._replace(rows=[*contenders.rows, floor])


def _settings(entry: Content) -> str:
    part = f", {entry['part_steps']} steps" if entry["part_steps"] else ""
    return in_words(entry["settings"]) + part


def _spread(values: Content | None) -> str:
    """The median, with its interval, or the smallest and largest value."""
    if not values:
        return "-"
    ends = values["interval"] or (values["min"], values["max"])
    return f"{values['median']:.2f} ({text(ends, '.2f')})"


def _ratio(entry: Content | None) -> str:
    return _spread(entry and entry["ratio"])


def _ratio_at(name: str, point: Content) -> str:
    return _ratio(point["contenders"].get(name))


def _seconds(name: str, point: Content) -> str:
    entry = point["contenders"].get(name)
    return text(entry and entry["epoch_seconds"]["median"], ".3g")


def _measured(point: Content) -> str:
    parts = {entry["part_steps"] for entry in point["contenders"].values()}
    least = min(part or point["steps"] for part in parts)
    return f"{least:,} of {point['steps']:,}"


def _reached(accuracy: str, entry: Content) -> str:
    reached = entry["to_accuracy"][accuracy]
    return f"{reached['seconds']:.1f} ({reached['epoch']:.1f})" if reached else "-"
