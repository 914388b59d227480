"""The tables and figures of the page, from results.json."""

from collections.abc import Iterator
from functools import partial

from matplotlib.figure import Figure

from experiments.kit.figures import COLORS, new_figure, plain_numbers
from experiments.kit.page import Picture, Table, table
from experiments.kit.run import Row

MIB = 2**20


def lead(content: Row) -> str:
    """What a thousand networks take, and what one does."""
    sentences = []
    if many := content["many"]:
        best = min(many, key=lambda entry: entry["wall_seconds"])
        sentences.append(
            f"{best['networks']:,} networks of Model 1, {best['epochs']} epochs each, "
            f"take {best['wall_seconds']:.1f} s with compiling on {best['device']}, "
            f"{best['at_once']} at a time."
        )
    if one := content["one"]:
        best = min(one, key=lambda entry: entry["epoch_seconds"])
        sentences.append(
            f"An epoch of one {best['model']} takes {best['epoch_seconds']:.3f} s."
        )
    if programs := content["programs"]:
        sentences.append(f"{len(programs)} programs compile; nothing was trained.")
    return " ".join(sentences) or "Nothing was measured."


def sections(content: Row) -> Iterator[Table | Picture]:
    """Many networks first, then single ones, then programs that were compiled only."""
    if content["many"]:
        yield Picture(
            "many",
            "Many networks of Model 1",
            "Seconds of all networks by how many train side by side: training alone, "
            "and from the first program's compiling to the last test.",
            partial(by_chunk, content),
        )
        yield table(
            "Many networks",
            "Model 1, each network tested once at its end; the median is given.",
            content["many"],
            {
                "at a time": "at_once:d",
                "networks": "networks:,d",
                "seconds of training": "seconds:.1f",
                "with compiling": "wall_seconds:.1f",
                "networks a minute": "networks_a_minute:.0f",
                "test accuracy": "test_accuracy:.2%",
            },
        )
    if content["one"]:
        yield table(
            "One network at a time",
            "Median epoch, drawing its order included; each in a process of its own.",
            content["one"],
            {
                "model": "model",
                "device": _device,
                "steps in a turn of the loop": "unroll:d",
                "loop in command buffers": lambda entry: (
                    "yes" if entry["command_buffers"] else "no"
                ),
                "seconds an epoch": "epoch_seconds:.3f",
                "compiling": "compile_seconds:.1f",
            },
        )
    if content["programs"]:
        yield table(
            "Programs",
            "Compiled for these shapes and not run. Memory is the compiler's account, "
            "training images included.",
            content["programs"],
            {
                "program": "name",
                "seconds to compile": "seconds:.1f",
                "MiB": lambda entry: (
                    "-" if entry["bytes"] is None else f"{entry['bytes'] / MIB:,.0f}"
                ),
            },
        )


def _device(entry: Row) -> str:
    """What it is, or how many cores of the processor beside it."""
    cores = entry["threads"]
    if cores is None:
        return entry["device"]
    return f"processor, {cores} core{'s' if cores > 1 else ''}"


def by_chunk(content: Row) -> Figure:
    """Seconds against the number of networks side by side."""
    figure, [[axes]] = new_figure(size=(8, 4))
    sizes = [entry["at_once"] for entry in content["many"]]
    names = {"seconds": "training", "wall_seconds": "with compiling and testing"}
    for (key, label), style in zip(names.items(), ("o-", "s--"), strict=True):
        seconds = [entry[key] for entry in content["many"]]
        axes.plot(sizes, seconds, style, color=COLORS["sigmoid_mse"], label=label)
    axes.set(xscale="log", xlabel="networks at a time", ylabel="seconds")
    axes.set_ylim(bottom=0)
    plain_numbers(axes.xaxis)
    axes.grid(alpha=0.3)
    axes.legend()
    return figure
