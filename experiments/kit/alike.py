"""Whether all processes of a run have the same settings."""

import contextlib
import json
from collections.abc import Mapping
from typing import Any

import jax

from experiments.kit.cluster import CONNECT_SECONDS, is_first
from jaxnets.errors import InputError


def require_alike(content: Mapping[str, Any]) -> None:
    """Raise InputError, in every process, unless all have the same settings.

    Args:
      content: what must be the same everywhere, of JSON's types.
    """
    if not jax.distributed.is_initialized():
        return
    store, number = _store(), jax.process_index()
    store.key_value_set(f"jaxnets/settings/{number}", json.dumps(content, default=str))
    milliseconds = 1000 * CONNECT_SECONDS
    if is_first():
        mine = json.loads(json.dumps(content, default=str))
        verdict = ""
        for other in range(1, jax.process_count()):
            key = f"jaxnets/settings/{other}"
            theirs = json.loads(store.blocking_key_value_get(key, milliseconds))
            if differing := differences(mine, theirs):
                verdict = f"process {other} differs from process 0: " + "; ".join(
                    differing
                )
                break
        store.key_value_set("jaxnets/verdict", verdict or "alike")
        if verdict:  # the others end when this one does, so they are to know it first
            with contextlib.suppress(jax.errors.JaxRuntimeError):
                for other in range(1, jax.process_count()):
                    key = f"jaxnets/known/{other}"
                    store.blocking_key_value_get(key, milliseconds)
    else:
        verdict = store.blocking_key_value_get("jaxnets/verdict", 2 * milliseconds)
        store.key_value_set(f"jaxnets/known/{number}", "known")
    if verdict not in ("", "alike"):
        raise InputError(verdict)


def differences(first: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Values that are not the same in both, by their full names."""
    texts = []
    for key in {**first, **other}:
        a, b = first.get(key), other.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            texts += [f"{key}.{text}" for text in differences(a, b)]
        elif a != b:
            texts.append(f"{key} is {b}, not {a}")
    return texts


def _store() -> Any:
    """What JAX's coordinator keeps for all processes; it has no public name."""
    from jax._src import distributed

    return distributed.global_state.client
