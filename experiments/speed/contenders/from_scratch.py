"""jaxnets' from-scratch functions, `relu_softmax`, on a task of any ReLU network."""

from experiments.speed.contenders import jaxnets_scan
from experiments.speed.contenders.task import Data, OnEpoch, Task


def run(task: Task, data: Data, on_epoch: OnEpoch) -> None:
    """Train; see `contenders.task` for what is handed over."""
    jaxnets_scan.run(task._replace(model="relu_softmax"), data, on_epoch)
