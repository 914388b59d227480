"""How long does each way to train the same network take, and why?

    python -m experiments.speed                   # Models 1, 2 and 3, all contenders
    python -m experiments.speed --points scaling  # as network, data and batch grow
    python -m experiments.speed --quick           # a try-out, in about two minutes

Contenders: NumPy as the book does it and by batches, scikit-learn, PyTorch with and
without torch.compile (if installed: pip install -e '.[bench]'), tf.keras with its
defaults, tuned and in one compiled loop in place of `fit`, Keras on JAX from
probabilities, from logits and in one `scan` in place of `fit`, JAX from scratch in 45
lines, and jaxnets, with and without its processor's tricks and against itself.
`contenders.py` says who takes part in what, and why; `tune.py` is the search for the
best settings of each, threads included.

The scaling asks the write-up's claim, that Keras is far more efficient "especially
when scaling to larger networks and datasets". The write-up's Model 3, 784-1024-10 with
Adam and batches of 32, is trained while one factor at a time changes: hidden width,
training images (the dataset's repeated), batch size. Each contender has a fresh process
at each point, so that its peak memory is the point's own. Level and trend are told
apart. All contenders of a point live at once: 480,000 images take about 21 GiB, and a
point that does not fit in memory is left out, which the run says.

On two cores the models take about an hour, and the scaling as long, half of it the
search for Keras's best settings; `--settings-of RUN` takes those of an earlier run. Run
it on a quiet machine: rounds that others disturb are thrown away by the rule in
`machine.py`.
"""

from typing import Any

from experiments.kit.command import run_command
from experiments.kit.run import Run
from experiments.speed import page, settings, tune
from experiments.speed.measure import measure
from experiments.speed.results import results
from experiments.speed.settings import Config


def main(config: Config) -> dict[str, Any]:
    """Time all points; return the content of results.json."""
    settings.validate(config)
    earlier = tune.choices_of(config.settings_of if config.redraw is None else None)
    run = Run.open("speed", config)
    is_new = config.redraw is None
    config = settings.settled(run.config)
    sweeps = settings.plan_sweeps(config, run.data)
    points = settings.plan_models(config, run.data)
    points += dict.fromkeys(point for sweep in sweeps.values() for point in sweep)
    if is_new:
        settings.validate_points(config, points, run.data)
    run.record(measure(config, run.data, points, earlier))
    content = results(config, run.rows, points, sweeps)
    content["versions"] = run.head["versions"] | content["versions"]
    return run.publish(
        content,
        title="How long training takes",
        lead=lambda: page.lead(content),
        sections=lambda: page.sections(content),
        facts=page.facts(content),
    )


if __name__ == "__main__":
    run_command(main, Config)
