"""The network: codes (B, T) → log probabilities of phones and of characters at each code.

B batch, T codes, D width, S symbols (the blank is symbol 0).

A code is the sum of the vectors of its bytes, so that rare codes share what frequent ones learn,
and any codebook has the same few rows. Depthwise convolutions mix in time: `CtcConfig.reach` codes
ahead and back decide, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BYTE = 256


@dataclass(frozen=True)
class CtcConfig:
    """Every number of the architecture.

    Attributes:
        phones: Symbols of the phone output, without the blank.
        characters: Symbols of the character output, without the blank.
        codebook_size: Codes are 0 … codebook_size - 1.
        width: D.
        blocks: Residual blocks.
        kernel: Codes that a block's convolution spans; odd.
        expansion: Width of the blocks' hidden layer over D.
        dropout: In training.
    """

    phones: str
    characters: str
    codebook_size: int = 65_536
    width: int = 256
    blocks: int = 10
    kernel: int = 11
    expansion: int = 2
    dropout: float = 0.1

    @property
    def reach(self) -> int:
        """Codes back and ahead that one output depends on."""
        return self.blocks * (self.kernel // 2)

    @property
    def bytes_per_code(self) -> int:
        """How many bytes number every code."""
        return max(1, -(-(self.codebook_size - 1).bit_length() // 8))


@dataclass(frozen=True)
class Emissions:
    """Log probabilities, (B, T, S) each; symbol 0 is the blank."""

    phones: Tensor
    characters: Tensor


class Block(nn.Module):
    """Depthwise convolution in time, then two layers at each code; both added to their input."""

    def __init__(self, config: CtcConfig) -> None:
        super().__init__()
        width, hidden = config.width, config.width * config.expansion
        self.mix = nn.Conv1d(width, width, config.kernel, padding=config.kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, hidden)
        self.down = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, D) and mask (B, T, 1), zero where there is no code → (B, T, D)."""
        mixed = depthwise((x * mask).transpose(1, 2), self.mix).transpose(1, 2)
        return x + self.dropout(self.down(F.gelu(self.up(self.norm(mixed)))))


def depthwise(x: Tensor, mix: nn.Conv1d) -> Tensor:
    """(B, D, T) → (B, D, T) float32: as a picture of one row, which CPUs train faster than a
    line, and in float32, which is faster there than bfloat16.
    """
    with torch.autocast(x.device.type, enabled=False):
        return F.conv2d(
            x.float()[:, :, None],
            mix.weight[:, :, None],
            mix.bias,
            padding=(0, mix.kernel_size[0] // 2),
            groups=len(mix.weight),
        )[:, :, 0]


class CtcNetwork(nn.Module):
    """Codes → log probabilities of symbols."""

    def __init__(self, config: CtcConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = nn.ModuleList(
            nn.Embedding(BYTE, config.width) for _ in range(config.bytes_per_code)
        )
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(config.width)
        self.phones = nn.Linear(config.width, len(config.phones) + 1)
        self.characters = nn.Linear(config.width, len(config.characters) + 1)

    def forward(self, codes: Tensor, lengths: Tensor, hidden: Tensor | None = None) -> Emissions:
        """Emissions for a padded batch; each row is what it is alone.

        Args:
            codes: (B, T) int64; what lies beyond a row's length may be any code.
            lengths: (B,) codes in each row.
            hidden: (B, T) bool, true where training hides the code; None hides none.

        Returns:
            Log probabilities of phones (B, T, S) and characters (B, T, S).
        """
        places = torch.arange(codes.shape[1], device=codes.device)
        mask = (places < lengths[:, None])[..., None].float()
        x: Tensor = sum(
            table((codes >> (8 * place)) & 0xFF) for place, table in enumerate(self.embeddings)
        )
        if hidden is not None:
            x = x.masked_fill(hidden[..., None], 0.0)
        for block in self.blocks:
            x = block(x, mask)
        x = self.norm(x)
        return Emissions(
            self.phones(x).float().log_softmax(-1), self.characters(x).float().log_softmax(-1)
        )
