"""Linear probes: what a single linear layer reads out of codes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

STEPS = 60
PENALTY = 1e-4
MAX_EXAMPLES = 60_000  # more change the third digit and cost minutes


def linear_probe(features: np.ndarray, classes: np.ndarray, training: np.ndarray) -> float:
    """Share of examples outside `training` that a softmax regression trained on `training` gets
    right.

    features (N, D) float32; classes (N,) integers; training (N,) bool. A class that training lacks
    is always wrong.
    """
    chosen = np.flatnonzero(training)
    if len(chosen) > MAX_EXAMPLES:
        chosen = np.sort(np.random.default_rng(0).choice(chosen, MAX_EXAMPLES, replace=False))
    known, wanted = np.unique(classes[chosen], return_inverse=True)
    x = torch.from_numpy(np.ascontiguousarray(features[chosen], dtype=np.float32))
    mean, deviation = x.mean(0), x.std(0).clamp(min=1e-6)
    weight, bias = fit((x - mean) / deviation, torch.from_numpy(wanted), len(known))
    rest = torch.from_numpy(np.ascontiguousarray(features[~training], dtype=np.float32))
    predicted = (((rest - mean) / deviation) @ weight + bias).argmax(1).numpy()
    return float(np.mean(known[predicted] == classes[~training]))


def fit(x: torch.Tensor, wanted: torch.Tensor, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights (D, classes) and biases of the softmax regression with the least cross entropy, by
    L-BFGS.
    """
    of_x: dict[str, Any] = {"dtype": x.dtype, "device": x.device, "requires_grad": True}
    weight, bias = torch.zeros(x.shape[1], classes, **of_x), torch.zeros(classes, **of_x)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(x @ weight + bias, wanted) + PENALTY * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return weight.detach(), bias.detach()


def with_neighbors(features: np.ndarray, reach: int) -> np.ndarray:
    """(T, D) → (T, (2·reach + 1)·D): each frame beside those around it, zeros beyond the ends."""
    padded = np.pad(features, ((reach, reach), (0, 0)))
    return np.concatenate(
        [padded[step : step + len(features)] for step in range(2 * reach + 1)], axis=1
    )
