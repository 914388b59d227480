"""When do more devices pay? A model of a step, checked against this machine.

    python -m experiments.scale
    python -m experiments.scale --stream     # and training from disk beside memory

It measures what each device reaches while all of them work (products, memory, sums over
devices), and a step of data-parallel training on each number of devices: as a whole,
and without the sum. The model of `experiments/scale/model.py` predicts each step from
the first; tables of larger machines, networks and batches follow from the model alone.
It reads from the compiled programs how many collectives a step has and how many bytes
they carry. docs/scale.md has the conclusions.

About a minute and a half on two CPU cores, four more with --stream, which needs MNIST.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax

from experiments.kit.command import run_command
from experiments.kit.options import Options, require_at_least, require_names
from experiments.kit.run import Row, Run
from experiments.scale import measure, page, results, streams
from experiments.scale.measure import Case
from jaxnets import models
from jaxnets.data import tfds
from jaxnets.errors import InputError

DENSE = [model.name for model in models.MODELS.values() if model.name != "row_rnn"]


@dataclass(frozen=True, kw_only=True)
class Config(Options):
    """What to time."""

    models: tuple[str, ...] = ("sigmoid_mse", "relu_softmax", "flax_dense")
    """Which dense networks to train."""
    batch_sizes: tuple[int, ...] = (64, 1024)
    """Examples a step, of all devices together."""
    device_counts: tuple[int, ...] | None = None
    """How many devices to train on; left out: one, and all. A core is a device."""
    stream: bool = False
    """Also train from disk and from memory, each in a process of its own."""
    repeats: tuple[int, ...] = (1, 10)
    """How many times over the images come from disk."""


def main(config: Config) -> dict[str, Any]:
    """Measure, and predict; return the content of results.json."""
    validate(config)
    run = Run.open("scale", config)
    validate_data(run)
    counts = [] if run.config.redraw else device_counts(run.config)
    cases = [
        Case(models.get(name), batch_size, count)
        for name in run.config.models
        for batch_size in run.config.batch_sizes
        for count in counts
    ]
    run.record(rows(run, cases))
    content = results.results(run.rows)
    return run.publish(
        content,
        title="When more devices pay",
        lead=lambda: page.lead(content),
        sections=lambda: page.sections(content),
    )


def rows(run: Run[Config], cases: list[Case]) -> Iterator[Row]:
    """Steps, and streams where they are asked for."""
    yield from measure.measure(cases, run.data.train)
    if run.config.stream:
        where = {"folder": run.config.mnist_dir, "data_dir": run.config.data_dir}
        names, repeats = run.config.models, run.config.repeats
        yield from streams.measure(names, repeats, run.data, **where)


def device_counts(config: Config) -> list[int]:
    """How many devices to train on; InputError where there are fewer."""
    here = len(jax.local_devices())
    counts = sorted(set(config.device_counts or (1, here)))
    if counts[-1] > here:
        raise InputError(
            f"device_counts={config.device_counts}: there are {here} devices; name at "
            f"most as many, or set JAX_NUM_CPU_DEVICES to rehearse with virtual ones"
        )
    return counts


def validate(config: Config) -> None:
    """Raise InputError where an option makes no sense whatever the data."""
    require_names(config, "models", DENSE)
    require_at_least(config, batch_sizes=1, repeats=1, device_counts=1)
    if not config.redraw:
        device_counts(config)


def validate_data(run: Run[Config]) -> None:
    """Raise InputError where the networks or the streams do not fit the data."""
    for name in run.config.models:
        models.validate_fits(name, models.get(name).recipe, run.data)
    if run.config.stream and run.data.name not in tfds.VERSIONS:
        known = ", ".join(tfds.VERSIONS)
        raise run.data.misfit(f"stream reads {known} from disk, not {run.data.name}")


if __name__ == "__main__":
    run_command(main, Config, all_cores=True)
