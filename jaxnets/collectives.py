"""What a compiled program sends between devices, read from its text."""

import math
import re
from typing import Any, NamedTuple

KINDS = (
    "all-reduce",
    "all-gather",
    "reduce-scatter",
    "all-to-all",
    "ragged-all-to-all",
    "collective-permute",
    "collective-broadcast",
)
# "%name = f32[10]{0} all-reduce(...)", of which "-start" is the asynchronous form.
_OPERATION = re.compile(
    rf"= (?P<shape>[^=]*?) (?P<kind>{'|'.join(KINDS)})(?P<start>-start)?\("
)
_COMMENT = re.compile(r"/\*.*?\*/")  # such as the index of a tuple's sixth part
_ARRAY = re.compile(r"(?P<type>pred|[a-z]+(?P<bits>\d+)\w*)\[(?P<sizes>[\d,]*)\]")
_COMPUTATION = re.compile(r"^(?:ENTRY )?%?(?P<name>[\w.-]+) \(.*\{$")
_LOOP = re.compile(r"\bbody=%?([\w.-]+)")
_REFERENCE = re.compile(
    r"\b(?:body|condition|calls|to_apply|true_computation|false_computation)"
    r"=%?([\w.-]+)|branch_computations=\{([^}]*)\}"
)


class Collective(NamedTuple):
    """One operation in which all devices take part."""

    kind: str  # of `KINDS`
    num_bytes: int  # of the result on one device
    in_loop: bool  # whether it stands in a loop, and so may run many times


def collectives(program: Any) -> list[Collective]:
    """The collectives of a compiled program, in the order of its text.

    Args:
      program: what `jax.jit(f).lower(...).compile()` gives, or its `as_text()`.
    """
    text = _COMMENT.sub("", program if isinstance(program, str) else program.as_text())
    computations = _computations(text)
    looped = _reachable(computations, set(_LOOP.findall(text)))
    return [
        Collective(match["kind"], _num_bytes(_result(match)), name in looped)
        for name, lines in computations.items()
        for line in lines
        if (match := _OPERATION.search(line))
    ]


def _computations(text: str) -> dict[str, list[str]]:
    """The lines of each computation of the program, by its name."""
    computations: dict[str, list[str]] = {}
    for line in text.splitlines():
        if begin := _COMPUTATION.match(line):
            name = begin["name"]
            computations[name] = []
        elif computations:
            computations[name].append(line)
    return computations


def _reachable(computations: dict[str, list[str]], names: set[str]) -> set[str]:
    """These computations, those that they call, and so on."""
    reached: set[str] = set()
    while names:
        name = names.pop()
        reached.add(name)
        for one, several in _REFERENCE.findall("\n".join(computations.get(name, ()))):
            called = {part.strip(" %") for part in [one, *several.split(",")]}
            names |= called - reached - {""}
    return reached


def _result(operation: re.Match[str]) -> str:
    """The shape of the result; most asynchronous forms have the operands' before it."""
    shape = operation["shape"]
    if not operation["start"] or operation["kind"] == "all-reduce":
        return shape
    parts, depth = [""], 0
    for letter in shape[1:-1]:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return parts[1]


def _num_bytes(shape: str) -> int:
    """Bytes of an array, `f32[3,4]{1,0}`, or of a tuple of them."""
    total = 0
    for array in _ARRAY.finditer(shape):
        sizes = [int(size) for size in array["sizes"].split(",") if size]
        total += math.prod(sizes) * max(1, int(array["bits"] or 8) // 8)
    return total
