"""LARS and LAMB as the papers have them, and Muon with everything around it: in PyTorch, a parameter at a time."""

import math

import pytest
import torch


class LARS(torch.optim.Optimizer):
    """PyTorch has none: algorithm 1 of the paper, a parameter at a time; biases (one axis) are plain SGD."""

    def __init__(self, params, lr=1.0, momentum=0.9, trust=1e-3, weight_decay=0.0):
        super().__init__(params, {"lr": lr, "m": momentum, "eta": trust, "beta": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                rate, beta = group["lr"], group["beta"] * (p.ndim > 1)
                if p.ndim > 1:
                    of_p, of_g = math.sqrt((p * p).sum()), math.sqrt((p.grad * p.grad).sum())
                    rate *= group["eta"] * of_p / (of_g + beta * of_p)
                v = group["m"] * self.state[p].get("v", 0 * p) + rate * (p.grad + beta * p)
                p -= v
                self.state[p]["v"] = v


class LAMB(torch.optim.Optimizer):
    """PyTorch has none: algorithm 2 of the paper, a parameter at a time; biases (one axis) are plain Adam."""

    def __init__(self, params, lr=5e-3, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.0):
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "lambda": weight_decay})
        self.t = 0

    @torch.no_grad()
    def step(self):
        self.t += 1
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for p in group["params"]:
                m, v = self.state[p].get("mv", (0, 0))
                m, v = b1 * m + (1 - b1) * p.grad, b2 * v + (1 - b2) * p.grad**2
                self.state[p]["mv"] = m, v
                r = m / (1 - b1**self.t) / ((v / (1 - b2**self.t)).sqrt() + group["eps"])
                if p.ndim > 1:
                    r += group["lambda"] * p
                    r *= p.norm() / r.norm()
                p -= group["lr"] * r


class Muon(torch.optim.Optimizer):
    """torch.optim.Muon for matrices, which lie there the other way round, and Adam for the rest.

    Theirs iterates in bfloat16; set to stay in its dtype here.
    """

    def __init__(self, params, lr=1e-3, others=None, **settings):
        params = list(params)
        super().__init__(params, {"lr": lr})
        self.turned = {p: torch.nn.Parameter(p.detach().T.clone()) for p in params if p.ndim > 1}
        self.muon = torch.optim.Muon(self.turned.values(), lr, **{"weight_decay": 0.0} | settings)
        self.adam = torch.optim.AdamW(
            [p for p in params if p.ndim < 2],
            **{"weight_decay": 0.0} | (others or {}),
        )

    def step(self):
        for p, turned in self.turned.items():
            turned.grad = p.grad.T.clone()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
            self.muon.step()
        self.adam.step()
        for p, turned in self.turned.items():
            p.data.copy_(turned.detach().T)
