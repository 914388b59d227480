"""PyTorch, eager: zero_grad, forward, backward, step, on tensors in memory.

The images are float32 from the start, the order is a fresh permutation of
indices each epoch, and no DataLoader stands between. Adam is PyTorch's fused
one, with Keras's epsilon in the place where the paper puts it. The number of
threads comes from OMP_NUM_THREADS.
"""

import itertools
import os
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from experiments.speed.worker import Data, Epoch, OnEpoch, Task, to_vectors


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
    """Plain SGD, or Adam in one fused kernel."""
    params, rate = network.parameters(), task.learning_rate
    if task.optimizer == "adam":
        return torch.optim.Adam(params, lr=rate, eps=1e-7, fused=True)
    return torch.optim.SGD(params, lr=rate)


def run(task: Task, data: Data, on_epoch: OnEpoch) -> None:
    """Train, calling `on_epoch` after each epoch."""
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.manual_seed(task.seed)
    network = build(task)
    update = optimizer(network, task)
    images = torch.from_numpy(to_vectors(data.image))
    targets = torch.from_numpy(data.label.astype(np.int64))
    loss_fn = functional.cross_entropy
    if task.network == "sigmoid_mse":
        targets = functional.one_hot(targets, task.layer_sizes[-1]).float()
        loss_fn = quadratic_cost

    @torch.no_grad()
    def predict(test: np.ndarray) -> np.ndarray:
        return network(torch.from_numpy(to_vectors(test))).argmax(dim=1).numpy()

    for _ in range(task.num_epochs):
        began = time.perf_counter()
        for rows in torch.randperm(len(images)).split(task.batch_size):
            update.zero_grad()
            loss_fn(network(images[rows]), targets[rows]).backward()
            update.step()
        on_epoch(Epoch(time.perf_counter() - began, predict))
