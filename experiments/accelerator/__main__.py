"""What does an accelerator make of one small network, and of a thousand?

    python -m experiments.accelerator
    python -m experiments.accelerator --dry-run   # compile for the shapes, no more

One network of each kind trains with the loop over its batches unrolled 1, 5 and 10
times; on a GPU with and without while loops in command buffers too, which launch a
whole loop at once; and beside it on one core of the processor, and on all. Then 1,000
networks of Model 1 train for all their epochs, some at a time: how many at a time suits
the device's caches and memory?

What to expect: one Model 1 gains little on a GPU, because each of its steps waits for
the one before and is too small to fill the device; wider layers and many networks gain
much. docs/speed.md has what was measured.

It needs no TensorFlow where MNIST is prepared. On a processor it runs too, but is then
no more than a test of itself: try --networks 8 --chunks 4 8 --epochs 1.
"""

from typing import Any

from experiments.accelerator.measure import compile_only, measure
from experiments.accelerator.results import results
from experiments.accelerator.settings import Config, validate_config
from experiments.kit.command import run_command
from experiments.kit.run import Run
from jaxnets import models


def main(config: Config) -> dict[str, Any]:
    """Time all programs; return the content of results.json."""
    validate_config(config)
    run = Run.open("accelerator", config)
    config = run.config
    if config.redraw is None:
        for name in {*config.models, "sigmoid_mse"}:
            models.validate_fits(name, models.get(name).recipe, run.data)
    work = compile_only if config.dry_run else measure
    run.record(work(config, run.data.train, run.data.test))
    content = results(run.rows)
    from experiments.accelerator import page  # loads Matplotlib

    return run.publish(
        content,
        title="Small networks on an accelerator",
        lead=lambda: page.lead(content),
        sections=lambda: page.sections(content),
        facts={"matrix products": config.precision},
    )


if __name__ == "__main__":
    run_command(main, Config, all_cores=True)
