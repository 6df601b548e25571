"""All speech of a run in the memory of its device, and crops that are cut and changed there.

For models so small that reading and augmenting on the CPU would be what a step waits for. Of the
augmentation it knows speed and gain. B crops of N samples.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from xcodec2.corpus import Recording, read_corpus
from xcodec2.errors import TrainingError
from xcodec2.train.data.augment import LOUDEST
from xcodec2.train.recipe import Augment, Source

HALF_WIDTH = 16  # zero crossings of the resampling filter on each side
PCM_SCALE = 32_767


class Tape:
    """Every source's recordings in one long row of 16-bit samples, from which crops are cut at
    random places.

    Args:
        sources: Read whole; each is met as often as its weight says.
        sample_rate: Of the row, in hertz.
        device: Where it lies, at two bytes a sample.

    Raises:
        TrainingError: A source has no recordings.
    """

    def __init__(self, sources: Iterable[Source], sample_rate: int, device: torch.device) -> None:
        def samples(recording: Recording) -> np.ndarray:
            return (recording.load(sample_rate).waveform.numpy() * PCM_SCALE).astype(np.int16)

        rows, weights = [], []
        with ThreadPoolExecutor() as pool:
            for source in sources:
                pieces = list(pool.map(samples, read_corpus(source.path)))
                if not pieces:
                    raise TrainingError(f"{source.path}: has no recordings")
                rows.append(np.concatenate(pieces))
                weights.append(source.weight)
        self.samples = torch.from_numpy(np.concatenate(rows)).to(device)
        sizes = torch.tensor([len(row) for row in rows], device=device)
        self.first, self.sizes = sizes.cumsum(0) - sizes, sizes
        self.chances = (torch.tensor(weights, device=device) / sum(weights)).cumsum(0)
        self.seconds = len(self.samples) / sample_rate

    def require_length(self, length: int, options: Augment) -> None:
        """Ask that crops of `length` samples can be cut from every source.

        Raises:
            TrainingError: A source is shorter.
        """
        needed = int(length * options.speed_range[1]) + 2 * HALF_WIDTH + 2
        if int(self.sizes.min()) < needed:
            raise TrainingError(
                f"data.sources: one has {int(self.sizes.min())} samples in all, and a crop needs "
                f"{needed}: give it more speech or shorten run.crop_seconds"
            )

    def crops(self, count: int, length: int, options: Augment) -> Tensor:
        """(count, length) float32, of changed speed and loudness."""
        device = self.samples.device
        source = torch.searchsorted(
            self.chances, torch.rand(count, device=device, dtype=torch.float32)
        ).clamp(max=len(self.sizes) - 1)
        speed = self.drawn(count, options.speed, options.speed_range, 1.0)
        room = self.sizes[source] - int(length * options.speed_range[1]) - 2 * HALF_WIDTH - 2
        start = (
            self.first[source]
            + HALF_WIDTH
            + (room * torch.rand(count, device=device, dtype=torch.float64)).long()
        )
        crops = self.resampled(start, speed, length)
        gain = 10 ** (self.drawn(count, options.gain, options.gain_db, 0.0) / 20)
        loudest = crops.abs().amax(1).clamp(min=1e-3)
        return crops * torch.minimum(gain, LOUDEST / loudest)[:, None]

    def drawn(
        self, count: int, chance: float, within: tuple[float, float], otherwise: float
    ) -> Tensor:
        """(count,): with that chance a number from the range, else the other one."""
        low, high = within
        changed, value = torch.rand(2, count, device=self.samples.device, dtype=torch.float32)
        return torch.where(changed < chance, low + (high - low) * value, otherwise)

    def resampled(self, start: Tensor, speed: Tensor, length: int) -> Tensor:
        """(B, length) from the places `start` (B,) on, one sample for every `speed` (B,) of the
        tape, by a windowed sinc.
        """
        position = torch.arange(length, device=start.device) * speed.double()[:, None]
        whole = position.long()
        fraction = (position - whole).float()
        cutoff = 1 / speed.clamp(min=1)[:, None]
        out = torch.zeros_like(fraction)
        for tap in range(1 - HALF_WIDTH, HALF_WIDTH + 1):
            distance = tap - fraction
            weight = (
                cutoff
                * torch.sinc(cutoff * distance)
                * (torch.pi / 2 / HALF_WIDTH * distance).cos().square()
            )
            out += weight * self.samples[start[:, None] + whole + tap]
        return out / PCM_SCALE
