"""Train four networks on MNIST and compare them on its test set.

    python -m experiments.compare
    python -m experiments.compare --models relu_softmax row_rnn

On two cores it takes one to four minutes, prints a table and leaves a folder,
runs/<time>-compare, with report.html, draw.html to draw digits on, figures,
results.json, metrics.jsonl, predictions.csv and the trained weights. Expected test
accuracies, by seed: 94 to 95.5 % for Model 1 (rarely 86 %), 97.7 to 98.1, 97.1 to 98.2.
Without MNIST files and without a network it runs on scikit-learn's digits and
says so. Whatever breaks a run off, this goes on with it, to the same end bit for bit:

    python -m experiments.compare --resume runs/<time>-compare
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

import jax

from experiments.compare import page, results
from experiments.compare.settings import Config, Settings, choose_recipes
from experiments.compare.source import reader, require_stream
from experiments.kit import cluster, scalars
from experiments.kit.alike import require_alike
from experiments.kit.command import run_command
from experiments.kit.follower import Follower
from experiments.kit.products import tell_tensorflow
from experiments.kit.progress import Progress
from experiments.kit.run import Row, Run
from jaxnets import models, trained, training
from jaxnets.data import Dataset
from jaxnets.errors import InputError
from jaxnets.neurons import ten_class
from jaxnets.types import Prediction, Recipe, TrainState


def main(config: Settings) -> dict[str, Any]:
    """Run the comparison; return the content of results.json, in process 0."""
    # Joined before anything touches a device.
    with cluster.joined(config), jax.default_matmul_precision(config.precision):
        return compare(config)


def compare(config: Settings) -> dict[str, Any]:
    """The comparison, in one of its processes."""
    recipes = choose_recipes(config)
    mesh = None if config.redraw else cluster.mesh(config)
    kind = Run if cluster.is_first() else Follower
    run = kind.open("compare", config, settings=lambda data: applied(recipes, data))
    require_stream(run)
    require_alike(run.shared_content())
    recipes = fitting(choose_recipes(run.config), run.data)
    require_whole(run, recipes)
    rows = measure(run, recipes, mesh)
    run.record(scalars.mirrored(run, rows) if run.writes_scalars else rows)
    if not cluster.is_first():
        return {}
    answers = results.read_predictions(run)
    params = results.read_params(run, recipes, answers)
    content = results.comparison(run, recipes, answers, params)
    return run.publish(
        content,
        title="Neural networks on handwritten digits",
        lead=lambda: page.lead(content, run.data.name),
        sections=lambda: page.sections(run, content, answers, params),
        facts={"matrix products": run.config.precision},
        links=page.links(run) if answers else [],
    )


def fitting(recipes: Mapping[str, Recipe], data: Dataset) -> dict[str, Recipe]:
    """The recipes made to fit the data; InputError where one cannot be."""
    fitted = {name: models.adapted(name, r, data) for name, r in recipes.items()}
    for name, recipe in fitted.items():
        models.validate_fits(name, recipe, data)
    return fitted


def applied(recipes: Mapping[str, Recipe], data: Dataset) -> dict[str, Any]:
    """What `config.json` says of the recipes."""
    fitted = fitting(recipes, data)
    return {"recipes": {name: asdict(recipe) for name, recipe in fitted.items()}}


def measure(
    run: Run[Settings],
    recipes: Mapping[str, Recipe],
    mesh: jax.sharding.Mesh | None = None,
) -> Iterator[Row]:
    """Train one model after the other: a row an epoch, then files for the test set."""
    answers = results.read_predictions(run)  # those of a run that is resumed
    totals = {name: recipe.num_epochs for name, recipe in recipes.items()}
    # While the first network is made and compiled, another core has little to do.
    with Progress(totals) as progress, ThreadPoolExecutor(1) as another_core:
        baselines = another_core.submit(keep_baselines, run)
        for name, recipe in recipes.items():
            if models.get(name).framework == "keras" and not cluster.is_first():
                continue  # process 0 trains it, and the others wait
            num_before = len(results.rows_of(run, name))  # by a run that is resumed
            if name in answers and num_before == recipe.num_epochs:
                progress.advance(name, num_before, "was finished before")
                continue
            progress.text(name, f"{'-'.join(map(str, recipe.layer_sizes))}, compiling")
            progress.advance(name, num_before)
            keys = training.run_keys(run.config.seed)
            state = reached(run, name, recipe)
            if state is None and models.get(name).framework == "jax":
                # Keras draws its own weights.
                start = models.get(name).network.init(keys.init, recipe.layer_sizes)
                results.keep_first_layer(run, name, 0, start)
            shown = {1, -(-recipe.num_epochs // 6), recipe.num_epochs}
            where: dict[str, Any] = {}  # Keras: on one device, from memory
            if models.get(name).framework == "keras":
                tell_tensorflow()
            else:
                where = {"mesh": mesh, "read": reader(run, recipe, mesh)}
            try:
                for event in models.train_and_test(
                    name,
                    recipe,
                    run.data,
                    run.config.seed,
                    state=state,
                    **where,
                ):
                    if isinstance(event, Prediction):
                        answers[name] = results.answers_of(event)
                        continue
                    state = event.state
                    baselines.result()  # they are kept; or raises why not
                    row = results.epoch_row(name, event, run.data.name)
                    yield row
                    if event.number in shown:
                        results.keep_first_layer(run, name, event.number, state.params)
                    run.checkpoint((state, keys.data), model=name, epoch=event.number)
                    progress.advance(name, text=results.in_words(row))
            finally:
                if state is not None:  # a model that is cut short keeps its weights
                    count = len(results.rows_of(run, name))
                    network = trained.of_model(
                        name, recipe, state.params, count, run.data
                    )
                    trained.write(run.path / "weights" / f"{name}.npz", network)
            results.write_predictions(run, answers)  # which need the weights


def reached(run: Run[Settings], name: str, recipe: Recipe) -> TrainState | None:
    """The model's state in the checkpoint that a resumed run goes on from, if any.

    Raises InputError where it is that of another network.
    """
    if run.position.get("model") != name:
        return None
    like = models.state_like(name, recipe), training.run_keys(run.config.seed).data
    kept = run.restore(like, model=name)
    return kept[0] if kept else None


def require_whole(run: Run[Settings], recipes: Mapping[str, Recipe]) -> None:
    """Raise InputError where a resumed run lacks what it has reached."""
    if not run.position:
        return
    left_out = {row["model"] for row in run.rows} - set(recipes)
    if left_out:
        names = ", ".join(sorted(left_out))
        raise InputError(f"{run.path} has epochs of {names}; keep it among --models")
    answers = results.read_predictions(run)
    for name, recipe in recipes.items():
        reached(run, name, recipe)
        count, last = len(results.rows_of(run, name)), recipe.num_epochs
        is_finished = name in answers and count == last
        if count and not is_finished and run.position["model"] != name:
            raise InputError(
                f"{run.path} has {count} of {last} epochs of {name}, and "
                f"{'its' if name in answers else 'no'} answers in "
                f"{results.PREDICTIONS}; both are needed to go on with the next model. "
                "Leave its epochs as they were, or begin anew"
            )


def keep_baselines(run: Run[Settings]) -> None:
    """Write what needs no network, unless an earlier session of the run has."""
    if run.kept("baselines") is None:
        baselines = ten_class.baselines(run.data, run.config.seed)
        run.keep("baselines", baselines._asdict())


if __name__ == "__main__":
    run_command(main, Config)
