"""How long does each way to train the same network take, and why?

    python -m experiments.speed                   # Models 1, 2 and 3, all contenders
    python -m experiments.speed --points scaling  # as network, data and batch grow
    python -m experiments.speed --quick           # a try-out, in about a minute

Contenders: NumPy as the book does it, batched NumPy, PyTorch (if installed: pip
install -e '.[bench]'), scikit-learn, tf.keras, Keras on JAX, and jaxnets, each in a
process of its own, one at work at a time, a turn each in interleaved rounds.
`contenders.py` says who takes part in what, and why.

The scaling asks the write-up's claim, that Keras is far more efficient "especially
when scaling to larger networks and datasets". tf.keras, Keras on JAX, Flax, the
from-scratch network in JAX and batched NumPy train the write-up's Model 3, 784-1024-10
with Adam and batches of 32, and one factor at a time changes: hidden width, training
images (the dataset's repeated), batch size. Each contender has a fresh process at each
point, so that compiling is cold and its peak memory is the point's own. A long epoch
is measured in part: its first steps, 50 or more and the same for all, scaled to the
whole. All contenders of a point live at once: 480,000 images take about 16 GiB.

On two cores the models take about 8 minutes, the scaling about 12. Run it on a quiet
machine: every figure comes with its smallest and largest value.
"""

from typing import Any

from experiments.kit.command import run_command
from experiments.kit.run import Run
from experiments.speed import page, settings
from experiments.speed.measure import measure
from experiments.speed.results import results
from experiments.speed.settings import Config


def main(config: Config) -> dict[str, Any]:
    """Time all points; return the content of results.json."""
    settings.validate(config)
    run = Run.open("speed", config)
    is_new = config.redraw is None
    config = settings.settled(run.config)
    sweeps = settings.plan_sweeps(config, run.data)
    points = settings.plan_models(config, run.data)
    points += dict.fromkeys(point for sweep in sweeps.values() for point in sweep)
    if is_new:
        settings.validate_points(config, points, run.data)
    run.record(measure(config, run.data, points))
    content = results(config, run.rows, points, sweeps)
    content["versions"] = run.head["versions"] | content["versions"]
    kind = "A try-out, whose figures mean little: " if config.quick else ""
    return run.publish(
        content,
        title="How long training takes",
        lead=(
            f"{kind}{config.rounds} interleaved rounds a point after a first turn that "
            "is not timed, each contender in a process of its own, one at work at a "
            "time."
        ),
        sections=page.sections(content),
        facts=page.facts(content),
    )


if __name__ == "__main__":
    run_command(main, Config)
