"""Muon (K. Jordan, 2024; scaled as by J. Liu et al., arXiv 2502.16982): momentum, made orthogonal, for matrices.

All matrices of one shape are worked on together.
"""
from collections import defaultdict

import torch


def orthogonalized(batch, steps=5):
    """The nearest orthogonal matrices, nearly: a quintic Newton-Schulz iteration. [B, m, n] -> [B, m, n] bf16"""
    x = batch.bfloat16() if batch.is_cuda else batch
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Parameters [rows, columns]; `parts` of a group says into how many matrices each is cut along its rows."""

    def __init__(self, groups, lr, momentum=0.95, weight_decay=0.1):
        super().__init__(groups, dict(lr=lr, momentum=momentum, weight_decay=weight_decay, parts=1))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            alike = defaultdict(list)
            for parameter in group["params"]:
                alike[parameter.shape].append(parameter)
            for shape, parameters in alike.items():
                updates = []
                for parameter in parameters:
                    momentum = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
                    momentum.lerp_(parameter.grad, 1 - group["momentum"])
                    updates.append(parameter.grad.lerp(momentum, group["momentum"]).view(group["parts"], -1, shape[1]))
                matrices = torch.cat(updates)
                matrices = orthogonalized(matrices) * 0.2 * max(matrices.shape[1:]) ** 0.5
                for parameter, update in zip(parameters, matrices.split(group["parts"])):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.sub_(update.reshape(shape).to(parameter.dtype), alpha=group["lr"])
