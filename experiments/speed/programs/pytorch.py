"""PyTorch: zero_grad, forward, backward, step, on tensors in memory.

The images are float32 from the start, the order is a fresh permutation of
indices each epoch, and no DataLoader stands between. SGD and Adam are PyTorch's
fused ones, Adam with Keras's epsilon in the place where the paper puts it. Denormal
numbers count as 0, as XLA and TensorFlow take them; else Adam's moments of pixels that
are hardly ever inked become such, and an epoch takes twice as long after the third.
The number of threads comes from OMP_NUM_THREADS. With the option "compiled"
torch.compile makes one program of the network and its loss, for each size of batch.

Where there is a CUDA device all tensors are on it, the order too. A compiled step, the
optimizer's included, is then captured as a CUDA graph that is launched once a batch:
without it the host takes longer to launch a small network's kernels than they run.
"""

import itertools
import os
import tempfile
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from experiments.speed.worker import Data, OnPart, Part, Task, to_vectors

WARM_UP = 3  # steps before a graph is captured

TrainOn = Callable[[torch.Tensor], None]  # of rows' places int64 [N]


def build(task: Task) -> nn.Sequential:
    """The model's layers, with its own initial distribution."""
    layers: list[nn.Module] = []
    for num_in, num_out in itertools.pairwise(task.layer_sizes):
        layer = nn.Linear(num_in, num_out)
        if task.network == "sigmoid_mse":
            nn.init.normal_(layer.weight)
            nn.init.normal_(layer.bias)
            layers += [layer, nn.Sigmoid()]
        else:
            uniform = task.network == "flax_dense"
            fill = nn.init.xavier_uniform_ if uniform else nn.init.xavier_normal_
            fill(layer.weight)
            nn.init.zeros_(layer.bias)
            layers += [layer, nn.ReLU()]
    # Model 1 ends in activations, the others in logits.
    return nn.Sequential(*(layers if task.network == "sigmoid_mse" else layers[:-1]))


def quadratic_cost(activations: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Half the squared distance, mean over the batch."""
    total = functional.mse_loss(activations, targets, reduction="sum")
    return total / (2 * len(targets))


def optimizer(
    network: nn.Module, task: Task, *, captured: bool = False
) -> torch.optim.Optimizer:
    """Plain SGD or Adam, each in one fused kernel, which a CUDA graph may hold."""
    params, rate = network.parameters(), task.learning_rate
    if task.optimizer == "adam":
        how: dict[str, bool] = {"fused": True, "capturable": captured}
        return torch.optim.Adam(params, lr=rate, eps=1e-7, **how)
    return torch.optim.SGD(params, lr=rate, fused=True)


def run(task: Task, data: Data, on_part: OnPart) -> None:
    """Train on and on, calling `on_part` after each part."""
    torch.set_flush_denormal(True)  # before PyTorch starts threads, which inherit it
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    precision = os.environ.get("JAX_DEFAULT_MATMUL_PRECISION", "highest")
    torch.set_float32_matmul_precision("highest" if precision == "highest" else "high")
    torch.manual_seed(task.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    is_compiled = bool(task.options.get("compiled"))
    captured = is_compiled and device.type == "cuda"
    network = build(task).to(device)
    update = optimizer(network, task, captured=captured)
    images = torch.from_numpy(to_vectors(data.image)).to(device)
    targets = torch.from_numpy(data.label.astype(np.int64)).to(device)
    cost = functional.cross_entropy
    if task.network == "sigmoid_mse":
        targets = functional.one_hot(targets, task.layer_sizes[-1]).float()
        cost = quadratic_cost

    def loss_fn(images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return cost(network(images), targets)

    if is_compiled:
        cache = tempfile.mkdtemp(dir=task.folder)  # a new one: a cold start
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        loss_fn = torch.compile(loss_fn, dynamic=False)

    def step(rows: torch.Tensor) -> None:
        update.zero_grad()
        loss_fn(images[rows], targets[rows]).backward()
        update.step()

    @torch.no_grad()
    def predict(test: np.ndarray) -> np.ndarray:
        vectors = torch.from_numpy(to_vectors(test)).to(device)
        return network(vectors).argmax(dim=1).cpu().numpy()

    train_on = (on_graph if captured else one_by_one)(step, task)
    name = "cpu" if device.type == "cpu" else torch.cuda.get_device_name(device)
    while True:
        began = time.perf_counter()
        order = torch.randperm(len(images), device=device)
        for part in task.parts(order):
            train_on(part)
            if device.type == "cuda":
                torch.cuda.synchronize()
            on_part(Part(time.perf_counter() - began, predict, device=name))
            began = time.perf_counter()


def one_by_one(step: TrainOn, task: Task) -> TrainOn:
    """From a step on rows to all steps of an order."""

    def train_on(order: torch.Tensor) -> None:
        for rows in order.split(task.batch_size):
            step(rows)

    return train_on


def on_graph(step: TrainOn, task: Task, device: str = "cuda") -> TrainOn:
    """As `one_by_one`, each full batch by the launch of a graph.

    The graph finds its rows itself: the batch's first place is on the device.
    """
    size = task.batch_size
    order = torch.zeros(task.examples, dtype=torch.int64, device=device)
    first = torch.zeros((), dtype=torch.int64, device=device)
    places = torch.arange(size, device=device)

    def next_step() -> None:
        step(order[first + places])
        first.add_(size)

    graph: torch.cuda.CUDAGraph | None = None

    def train_on(part: torch.Tensor) -> None:
        nonlocal graph
        order[: len(part)] = part
        first.zero_()
        num_full = len(part) // size
        if graph is None and num_full > WARM_UP:
            graph = capture(next_step)
            num_full -= WARM_UP
        run_next = graph.replay if graph else next_step
        for _ in range(num_full):
            run_next()
        if rest := len(part) % size:
            step(part[-rest:])

    return train_on


def capture(step: Callable[[], None]) -> torch.cuda.CUDAGraph:
    """The graph of a step, after some that run and compile what they need."""
    stream = torch.cuda.Stream()  # capturing asks for one of its own
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()  # captured, not run
    return graph
