"""Does a run that is killed at any moment end bit for bit as if nothing had happened?

    python -m experiments.durability                # 1,000 kills, an hour and a half
    python -m experiments.durability --kills 25 --keras-kills 2

It runs `experiments.compare` on scikit-learn's digits, kills it by SIGKILL at a random
moment, resumes it, and kills it again, until it has come to its end. Then it compares
the end with that of a run that nobody killed: every parameter and every array of the
optimizer, metrics.jsonl but for its times, predictions.csv. Most moments lie within the
training of small networks, where much of the time goes to checkpoints, so many kills
hit one that is being written; others lie in the start, in the resuming itself, and in
the drawing at the end. The kills go to runs of the three JAX networks and to runs of
the Keras network, fewer of these, since TensorFlow's start takes seconds of each.

Expected: all kills survived, at most one epoch lost by each beside the one under way,
none of its processes left. It leaves a folder, runs/<time>-durability, with
report.html, results.json and metrics.jsonl, a line a kill and a line a run. A run that
ended otherwise is kept there.
"""

from dataclasses import dataclass
from typing import Any

from experiments.durability import page
from experiments.durability.measure import measure
from experiments.durability.results import results
from experiments.kit.command import run_command
from experiments.kit.options import Options, require_at_least
from experiments.kit.run import Run
from jaxnets.errors import InputError
from jaxnets.training import require_seed


@dataclass(frozen=True, kw_only=True)
class Config(Options):
    """How often to kill, and what."""

    dataset: str | None = "digits"
    """Of the runs that are killed."""
    kills: int = 1000
    """SIGKILLs in all."""
    keras_kills: int = 60
    """How many of them hit runs that train with Keras."""
    epochs: int = 40
    """Of each network in a run that is killed."""
    seed: int = 0
    """Decides the moments, as far as the machine keeps time."""


def main(config: Config) -> dict[str, Any]:
    """Kill and resume; return the content of results.json."""
    require_at_least(config, kills=1, keras_kills=0, epochs=1)
    require_seed(config.seed)
    if config.keras_kills > config.kills:
        raise InputError(
            f"keras_kills={config.keras_kills} must be at most kills={config.kills}"
        )
    if config.dataset_dir is not None:
        raise InputError("--dataset-dir: what is killed trains on a --dataset by name")
    run = Run.open("durability", config)
    run.record(measure(run))
    content = results(run.rows)
    return run.publish(
        content,
        title="Runs that survive being killed",
        lead=lambda: page.lead(content),
        sections=lambda: page.sections(content, run.rows),
    )


if __name__ == "__main__":
    run_command(main, Config)
