"""Samples of any type and number of channels → mono float32."""

from __future__ import annotations

import math
import warnings
from typing import TypeAlias

import numpy as np

from xcodec2.errors import AudioError

#: Hz, and (samples, channels) float32 that are valid until the next block.
Block: TypeAlias = tuple[int, np.ndarray]

BLOCK_VALUES = 1 << 17  # samples x channels at once
# Decibels that the average may be softer than the loudest channel: a voice in one of two channels
# loses 6, one in two of four as well, in the middle of 5.1 it loses 15.
MAX_LOSS = 9.0


def to_float32(block: np.ndarray) -> np.ndarray:
    """Float samples as they are; integers by their full range, through float64 so that 64 bits are
    not cut first.
    """
    if block.dtype.kind == "f":
        with np.errstate(over="ignore"):  # becomes infinite, which the caller refuses
            return block.astype(np.float32)
    half = 2.0 ** (8 * block.dtype.itemsize - 1)
    values = block.astype(np.float64)
    return ((values - half if block.dtype.kind == "u" else values) / half).astype(np.float32)


def pcm16(block: np.ndarray) -> np.ndarray:
    """Float samples as int16, clipped at ±1: the reverse of `to_float32`."""
    block = np.clip(block.astype(np.float32), -1, 1)
    return np.clip(np.rint(block * 32768), -32768, 32767).astype(np.int16)


def finite(samples: np.ndarray, name: str) -> np.ndarray:
    """The samples. Raises AudioError when one is not a finite number."""
    if not np.isfinite(samples).all():
        raise AudioError(f"{name}: has NaN, infinite or far too large samples")
    return samples


def average(block: np.ndarray) -> np.ndarray:
    """(samples, channels) → (samples,), summed by channel in float64: the bits do not depend on the
    layout.
    """
    if block.shape[1] == 1:
        return np.ascontiguousarray(block[:, 0])
    total = block[:, 0].astype(np.float64)
    for channel in range(1, block.shape[1]):
        total += block[:, channel]
    return (total / block.shape[1]).astype(np.float32)


class Downmix:
    """(samples, channels) → (samples,): one channel, or the average of all.

    Args:
        channel: Which to take, from 0; None averages.
        name: Of the file, for errors.
    """

    def __init__(self, channel: int | None, name: str) -> None:
        self.channel, self.name = channel, name
        self.energies: np.ndarray | None = None  # of each channel, then of the average

    def __call__(self, block: np.ndarray) -> np.ndarray:
        """Mono. Raises AudioError for NaN, infinity and a channel that is not there."""
        channels = block.shape[1]
        if self.channel is not None:
            if self.channel >= channels:
                there = "one channel, 0" if channels == 1 else f"channels 0…{channels - 1}"
                raise AudioError(f"{self.name}: has {there}; there is no channel {self.channel}")
            return finite(np.ascontiguousarray(block[:, self.channel]), self.name)
        if channels == 1:
            return finite(np.ascontiguousarray(block[:, 0]), self.name)
        mono = finite(average(block), self.name)
        self.measure(block, mono)
        return mono

    def measure(self, block: np.ndarray, mono: np.ndarray) -> None:
        """Take note of how loud channels (samples, channels) and their average (samples,) are."""
        energies = np.array([np.vdot(c, c) for c in (*block.T, mono)], np.float64)
        if self.energies is None:
            self.energies = energies
        elif len(self.energies) == len(energies):
            self.energies += energies

    def warn_of_loss(self) -> None:
        """One warning when the average is much softer than the loudest channel."""
        if self.energies is None:
            return
        loudest = int(self.energies[:-1].argmax())
        most, left = float(self.energies[loudest]), float(self.energies[-1])
        if not 0 < most < math.inf or left > most * 10 ** (-MAX_LOSS / 10):
            return
        loss = f"{10 * math.log10(most / left):.0f} dB softer than" if left else "silence beside"
        count = len(self.energies) - 1
        warnings.warn(
            f"{self.name}: the average of its {count} channels is {loss} channel {loudest}: they "
            "are "
            "in opposite phase, or the voice is in a few of them; take one of them with "
            f"`--channel {loudest}`, in Python channel={loudest}",
            stacklevel=3,
        )


def checked_channel(channel: object) -> int | None:
    """A channel's number, from 0, or None. Raises AudioError for what is neither."""
    if channel is None:
        return None
    whole = isinstance(channel, (int, np.integer)) and not isinstance(channel, bool)
    if not whole or channel < 0:  # type: ignore[operator]
        raise AudioError(f"channel must be 0 or more, or None for the average, not {channel!r}")
    return int(channel)  # type: ignore[call-overload]
