"""A run that was broken off: its checkpoint, and what must be as it was."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np

from experiments.kit import folder
from experiments.kit.options import Options, Resumable, RunFinished, from_json
from jaxnets import checkpoint
from jaxnets.checkpoint import Checkpoint
from jaxnets.data import Dataset
from jaxnets.errors import InputError

Config = TypeVar("Config", bound=Options)
State = TypeVar("State")

CHECKPOINT = "checkpoint.npz"
CHANGED = "Resumed with changes, so not bit for bit: "  # in a run's notice
# What may differ when a run goes on: where files are, what follows from the rest, and
# the commit, which any edited page changes.
FREE = {
    *("output", "overwrite", "redraw", "resume", "allow_changes"),
    *("mnist_dir", "data_dir", "dataset_dir", "checkpoint_seconds"),
    *("tensorboard", "distributed", "coordinator", "num_processes", "process_id"),
    *(folder.MARK, "notice", "head.notice", "recipes", "head.versions.commit"),
}
# JAX's own settings that decide numbers.
JAX_SETTINGS = (
    *("enable_x64", "default_matmul_precision", "disable_jit"),
    *("default_prng_impl", "threefry_partitionable"),
)


class Origin(NamedTuple):
    """Where a run goes on from: a state, and what it is of."""

    num_rows: int  # of `metrics.jsonl` that came before
    position: Mapping[str, Any]  # as given to `Run.checkpoint`
    config: Mapping[str, Any]  # the content of `config.json` then
    kept: Checkpoint | None  # None: at the very beginning

    def state(self, like: State, position: Mapping[str, Any]) -> State | None:
        """The state, if it is the one of this position."""
        asked = json.loads(json.dumps(position))
        if self.kept is None or not asked.items() <= dict(self.position).items():
            return None
        return self.kept.state(like)


def require_run(path: Path, experiment: str | None = None) -> dict[str, Any]:
    """The content of a run's `config.json`; InputError if it is not such a run."""
    stored = folder.read_config(path)
    name = stored and stored.get("head", {}).get("experiment")
    if not stored or not name or (experiment and name != experiment):
        kind = f"a run of {experiment}" if experiment else "a run"
        raise InputError(f"{path} is not the folder of {kind}")
    return stored


def stored_options(
    config_type: type[Config], path: Path, experiment: str | None = None
) -> Config:
    """The options of an earlier run, to resume it; raises as `require_run`."""
    anew = {"resume": path, "output": None, "overwrite": False, "redraw": None}
    anew |= dict.fromkeys(("coordinator", "num_processes", "process_id"))
    anew |= {"distributed": False}
    return from_json(config_type, {**require_run(path, experiment), **anew})


def require_unfinished(path: Path) -> None:
    """Raise RunFinished where all of a run is done and its page is made."""
    results = folder.read_object(path / folder.RESULTS)
    if results.get("status") == "complete" and results.get("finding") is not None:
        raise RunFinished(f"The run in {path} is finished; there is nothing to resume.")


def find_origin(path: Path, config: Mapping[str, Any]) -> Origin:
    """Where a run with this `config.json` goes on from; raises as `checkpoint.load`."""
    file = path / CHECKPOINT
    if not checkpoint.exists(file):
        return Origin(0, {}, config, None)
    kept = checkpoint.load(file)
    about = kept.about
    if not about.keys() >= {"rows", "position", "config"}:
        raise InputError(f"{kept.file} is no checkpoint of a run; remove it")
    return Origin(about["rows"], about["position"], about["config"], kept)


def data_sha256(dataset: Dataset) -> dict[str, str]:
    """SHA-256 of each part's images and labels."""
    digests = {}
    for part in ("train", "validation", "test"):
        digest = hashlib.sha256()
        for array in getattr(dataset, part):
            digest.update(np.ascontiguousarray(array).data)
        digests[part] = digest.hexdigest()
    return digests


def circumstances(dataset: Dataset) -> dict[str, Any]:
    """What decides a run's numbers beside its options, versions and processor."""
    names = ((name, f"jax_{name}") for name in JAX_SETTINGS)
    return {
        "data_sha256": data_sha256(dataset),
        "platform": jax.default_backend(),
        "num_devices": len(jax.devices()),
        "process_count": jax.process_count(),
        "jax": {name: getattr(jax.config, full, None) for name, full in names},
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two contents of `config.json`, in words."""
    old, new = _flat(before), _flat(json.loads(json.dumps(now, default=str)))
    return [
        f"{name.removeprefix('head.')} was {_text(old.get(name))} and is "
        f"{_text(new.get(name))}"
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    ]


def require_allowed(
    changed: Sequence[str], options: Resumable, path: Path, notice: str | None
) -> str:
    """The run's notice with what has changed; InputError unless that is allowed.

    Another test set is never allowed: a run has one. Nor is what `options.fixed` names.
    """
    text = "; ".join(changed)
    for name in options.fixed:
        if any(change.startswith(f"{name} was ") for change in changed):
            raise InputError(f"{path} has rows of another {name} ({text}); begin anew")
    if not options.allow_changes:
        raise InputError(
            f"{path} would not go on bit for bit: {text}. Leave it as it was, or add "
            "--allow-changes"
        )
    if any(change.startswith("data_sha256.test ") for change in changed):
        raise InputError(f"{path} has been tested on other images: {text}")
    return " ".join(filter(None, (notice, f"{CHANGED}{text}.")))


def changes_in(notice: str | None) -> str | None:
    """What has changed between a run's sessions, by its notice; None: nothing."""
    return (notice or "").partition(CHANGED)[2] or None


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by their full name, without what may differ."""
    values: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if name in FREE:
            continue
        if isinstance(value, dict):
            values |= _flat(value, f"{name}.")
        else:
            values[name] = value
    return values


def _text(value: Any) -> str:
    if isinstance(value, str) and len(value) == checkpoint.DIGEST_LENGTH:
        return f"{value[:12]}..."
    return str(value)
