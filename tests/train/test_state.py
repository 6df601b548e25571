"""Updates: AdamW as the recipe asks for it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from xcodec2.errors import TrainingError
from xcodec2.train.recipe import Optimizer, read_recipe
from xcodec2.train.state import adamw


def weights_after(options: Optimizer) -> torch.Tensor:
    """Of a layer that was updated three times."""
    torch.manual_seed(0)
    layer = nn.Linear(64, 64)
    optimizer = adamw(layer, options)
    optimizer.param_groups[0]["lr"] = 1e-3
    for step in range(3):
        optimizer.zero_grad()
        layer(torch.full((1, 64), 1.0 + step)).square().sum().backward()
        optimizer.step()
    return layer.weight.detach()


def test_adamw_is_that_of_the_first_release_unless_the_recipe_asks_for_the_fused_one():
    torch.manual_seed(0)
    layer = nn.Linear(64, 64)
    first = torch.optim.AdamW(layer.parameters(), 1e-3, betas=(0.8, 0.9), weight_decay=0.01)
    for step in range(3):
        first.zero_grad()
        layer(torch.full((1, 64), 1.0 + step)).square().sum().backward()
        first.step()
    plain, fused = (weights_after(Optimizer(((0, 1e-3),), fused=fused)) for fused in (False, True))
    assert torch.equal(plain, layer.weight)
    torch.testing.assert_close(fused, plain)
    assert not torch.equal(fused, plain)  # it rounds otherwise
    assert [read_recipe(name).optimizer.fused for name in ("nano", "nano-3")] == [False, True]


def test_something_must_learn():
    with pytest.raises(TrainingError, match=r"start\.frozen: nothing is left to learn"):
        adamw(nn.Linear(2, 2).requires_grad_(False), Optimizer(((0, 1e-3),)))
