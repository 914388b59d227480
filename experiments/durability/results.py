"""From the rows to the content of results.json."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from experiments.kit.run import Row

MOMENTS = {  # when a kill came, in words
    "start": "start, compiling, or first epoch",
    "epoch": "a later epoch",
    "save": "writing a checkpoint",
    "write": "writing another file",
    "end": "after the last epoch",
}


def results(rows: Sequence[Row]) -> dict[str, Any]:
    """What came of all kills, and of those of each kind of run.

    A kill is survived when its run has come to an end that differs in nothing.
    """
    return {
        **_summary(rows),
        "networks": {
            name: _summary([row for row in rows if row["networks"] == name])
            for name in dict.fromkeys(row["networks"] for row in rows)
        },
    }


def _summary(rows: Sequence[Row]) -> dict[str, Any]:
    kills = [row for row in rows if row["kind"] == "kill"]
    ends = [row for row in rows if row["kind"] == "end"]
    moments = Counter(kill["moment"] for kill in kills)
    return {
        "kills": len(kills),
        "kills_survived": sum(e["kills"] for e in ends if not e["differences"]),
        "runs": len(ends),
        "runs_identical": sum(not end["differences"] for end in ends),
        "differences": sorted({name for end in ends for name in end["differences"]}),
        "epochs_lost_most": max((kill["lost"] for kill in kills), default=0),
        "epochs_lost": sum(kill["lost"] for kill in kills),
        "epochs_kept": sum(end["epochs"] for end in ends),
        "damaged_checkpoints": sum(not kill["is_newest"] for kill in kills),
        "processes_left": sum(kill["survivors"] for kill in kills),
        "bytes_compared": sum(end["bytes"] for end in ends),
        "moments": {moment: moments[moment] for moment in MOMENTS},
    }
