"""PyTorch: zero_grad, forward, backward, step, on tensors in memory.

The images are float32 from the start, the order is a fresh permutation of
indices each epoch, and no DataLoader stands between. SGD and Adam are PyTorch's
fused ones, Adam with Keras's epsilon in the place where the paper puts it. The number
of threads comes from OMP_NUM_THREADS. With the option "compiled" torch.compile makes
one program of the network and its loss, for each size of batch.
"""

import itertools
import os
import tempfile
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from experiments.speed.worker import Data, OnPart, Part, Task, to_vectors


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


def optimizer(network: nn.Module, task: Task) -> torch.optim.Optimizer:
    """Plain SGD or Adam, each in one fused kernel."""
    params, rate = network.parameters(), task.learning_rate
    if task.optimizer == "adam":
        return torch.optim.Adam(params, lr=rate, eps=1e-7, fused=True)
    return torch.optim.SGD(params, lr=rate, fused=True)


def run(task: Task, data: Data, on_part: OnPart) -> None:
    """Train on and on, calling `on_part` after each part."""
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.manual_seed(task.seed)
    network = build(task)
    update = optimizer(network, task)
    images = torch.from_numpy(to_vectors(data.image))
    targets = torch.from_numpy(data.label.astype(np.int64))
    cost = functional.cross_entropy
    if task.network == "sigmoid_mse":
        targets = functional.one_hot(targets, task.layer_sizes[-1]).float()
        cost = quadratic_cost

    def loss_fn(images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return cost(network(images), targets)

    if task.options.get("compiled"):
        cache = tempfile.mkdtemp(dir=task.folder)  # a new one: a cold start
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        loss_fn = torch.compile(loss_fn, dynamic=False)

    @torch.no_grad()
    def predict(test: np.ndarray) -> np.ndarray:
        return network(torch.from_numpy(to_vectors(test))).argmax(dim=1).numpy()

    while True:
        began = time.perf_counter()
        for part in task.parts(torch.randperm(len(images)).numpy()):
            for rows in torch.from_numpy(part).split(task.batch_size):
                update.zero_grad()
                loss_fn(images[rows], targets[rows]).backward()
                update.step()
            on_part(Part(time.perf_counter() - began, predict))
            began = time.perf_counter()
