"""The runs that are killed, and the rows of what came of them."""

import shutil
from collections.abc import Iterator

from experiments.durability.kill import Plan, kill_runs
from experiments.kit.progress import Progress
from experiments.kit.run import Row, Run
from jaxnets import process

# Small networks: most of the time is the start, and much of the rest goes to saving.
NETWORKS = {
    "jax": (
        *("--models", "sigmoid_mse", "relu_softmax", "flax_dense"),
        *("--relu-softmax.layer-sizes", "784", "30", "20", "10"),
        *("--flax-dense.layer-sizes", "784", "32", "10"),
    ),
    "keras": (
        *("--models", "keras_dense"),
        *("--keras-dense.layer-sizes", "784", "32", "10"),
    ),
}
LONGEST = 0.25  # from a program's first checkpoint to its kill, of a network's epochs


def measure(run: Run) -> Iterator[Row]:
    """Kill and resume; a row a kill and a row a run. Runs as they should be go."""
    config = run.config
    data = [("--dataset", run.data.name), ("--examples", config.examples)]
    data += [("--validation-examples", config.validation_examples)]
    data += [("--mnist-dir", config.mnist_dir), ("--data-dir", config.data_dir)]
    common = [str(v) for pair in data if pair[1] is not None for v in pair]
    kills = {"jax": config.kills - config.keras_kills, "keras": config.keras_kills}
    path = run.path / "killed"
    path.mkdir()
    with Progress({name: count for name, count in kills.items() if count}) as progress:
        for name, count in kills.items():
            if not count:
                continue
            options = (*NETWORKS[name], "--epochs", str(config.epochs), *common)
            plan = Plan(name, options, count, LONGEST * config.epochs)
            progress.text(name, "a run that nobody kills")
            for row in process.iterate(kill_runs, plan, path, config.seed):
                yield row
                if row["kind"] == "kill":
                    progress.advance(name)
                    continue
                ending = "otherwise" if row["differences"] else "bit for bit"
                progress.text(name, f"run {row['run']}, {row['kills']} kills: {ending}")
                if not row["differences"]:
                    shutil.rmtree(path / f"{name}-{row['run']}")
    if not any(row["kind"] == "end" and row["differences"] for row in run.rows):
        shutil.rmtree(path)
