"""The picture shows what the waveform holds."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from hints import install_hint

from xcodec2 import XCodec2Error
from xcodec2.audio.spectrogram import MAX_COLUMNS, spectrogram, spectrogram_picture


def test_a_tone_stands_at_its_frequency() -> None:
    rate, frequency = 24000, 3000
    image = spectrogram(torch.sin(2 * torch.pi * frequency * torch.arange(rate) / rate), rate)
    middle = image[:, image.shape[1] // 2]
    assert middle.argmax() / (len(middle) - 1) * rate / 2 == pytest.approx(frequency, abs=20)
    assert middle.max() - middle[len(middle) // 2] > 60  # 6 kHz is dark


def test_length_and_memory_are_bounded_at_both_ends() -> None:
    assert spectrogram(torch.zeros(1), 16000).shape[1] == 1
    assert spectrogram(torch.zeros(16000), 16000).shape[1] == 201  # every 5 ms
    assert spectrogram(torch.zeros(16000 * 600), 16000).shape[1] <= MAX_COLUMNS + 1


def test_waveforms_of_different_lengths_share_a_picture(tmp_path: Path) -> None:
    panels = {"long": torch.randn(16000), "short": torch.randn(100), "silent": torch.zeros(800)}
    spectrogram_picture(tmp_path / "three.png", panels, 16000)
    assert (tmp_path / "three.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(XCodec2Error, match="needs matplotlib: " + install_hint("pictures")):
        spectrogram_picture(tmp_path / "a.png", {"a": torch.zeros(100)}, 16000)
