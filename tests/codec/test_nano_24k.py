"""nano-24k: nano's codes, at a higher rate."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from tiny import ASSETS

from xcodec2 import XCodec2Model
from xcodec2.cli import xcodec2

WIDE = "nano-24k"


@pytest.fixture(scope="module")
def wide() -> XCodec2Model:
    return XCodec2Model.from_pretrained(WIDE).eval()


@pytest.fixture(scope="module")
def nano() -> XCodec2Model:
    return XCodec2Model.from_pretrained("nano").eval()


def band(waveform: np.ndarray, rate: int, low: int, high: int) -> float:
    """Share of the power that lies between two frequencies."""
    power = np.abs(np.fft.rfft(waveform)) ** 2
    hertz = np.fft.rfftfreq(len(waveform), 1 / rate)
    return float(power[(hertz >= low) & (hertz < high)].sum() / power.sum())


def test_its_codes_are_those_of_nano(nano, wide):
    codes = nano.encode(ASSETS / "demo.flac")
    assert wide.encode(ASSETS / "demo.flac").codes.equal(codes.codes)
    assert wide.weights_hash == nano.weights_hash


def test_it_decodes_what_nano_encoded_with_the_band_above(nano, wide):
    codes = nano.encode(ASSETS / "demo.flac")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        narrow, waveform = (np.asarray(model.decode(codes)) for model in (nano, wide))
    assert wide.sample_rate == 24_000
    assert abs(len(waveform) - 1.5 * len(narrow)) <= 1
    low, high = band(waveform, 24_000, 0, 8_000), band(waveform, 24_000, 8_200, 12_000)
    assert 1e-5 < high < 0.05
    assert low > 0.95
    assert waveform.std() == pytest.approx(narrow.std(), rel=0.15)


def test_commands_take_it_by_name(tmp_path):
    run, codes, out = CliRunner().invoke, tmp_path / "a.npz", tmp_path / "a.wav"
    assert run(xcodec2, ["encode", str(ASSETS / "demo.flac"), "-o", str(codes)]).exit_code == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        done = run(xcodec2, ["decode", str(codes), "-o", str(out), "--model", WIDE])
    assert done.exit_code == 0, (done.output, done.exception)
    assert soundfile.info(out).samplerate == 24_000
