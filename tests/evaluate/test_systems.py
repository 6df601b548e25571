"""Baselines: what comes back is in time with what went in, and the bits are those that were
written.
"""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from tiny import speech

from xcodec2.errors import XCodec2Error
from xcodec2.evaluate import Pair
from xcodec2.evaluate.metrics.pesq import PESQ
from xcodec2.evaluate.systems import classic
from xcodec2.evaluate.systems.hub import HubCodec
from xcodec2.evaluate.systems.named import baseline, bit_rate
from xcodec2.evaluate.systems.programs import run_program
from xcodec2.tokenizer import SpeechTokenizer


def installed(name: str):
    """A baseline, or a skip that says which program is missing."""
    try:
        return baseline(name)
    except XCodec2Error as missing:
        if "is not installed" not in str(missing):
            raise
        pytest.skip(str(missing))


def lag(original: np.ndarray, decoded: np.ndarray, most: int = 400) -> int:
    """Samples by which `decoded` is late: where the products of the two add up to most."""
    middle = original[most:-most]
    products = [
        np.dot(middle, decoded[most + shift : len(original) - most + shift])
        for shift in range(-most, most + 1)
    ]
    return int(np.argmax(products)) - most


@pytest.mark.parametrize(
    ("name", "rate"), [("opus@16k", 16_000), ("speex@12k", 12_000), ("mulaw", 128_000)]
)
@pytest.mark.parametrize(
    "samples", [24_000, 77_352]
)  # short files take other paths in Speex' decoder
def test_waveform_codecs_are_in_time_and_take_what_they_say(name, rate, samples):
    clip = speech().numpy()[-samples:]
    decoded = installed(name)(clip)
    assert len(decoded.waveform) == len(clip)
    assert abs(lag(clip, decoded.waveform)) <= 3
    assert decoded.bits / len(clip) * 16_000 == pytest.approx(rate, rel=0.2)


@pytest.mark.parametrize(("mode", "rate"), [("3200", 3200), ("1600", 1600), ("700C", 800)])
def test_codec2_is_in_time_and_takes_whole_bytes_a_frame(mode, rate):
    pystoi = pytest.importorskip("pystoi")
    clip = speech().numpy()
    decoded = installed(f"codec2@{mode}")(clip)
    assert len(decoded.waveform) == len(clip)
    assert decoded.bits / len(clip) * 16_000 == pytest.approx(rate, rel=0.02)
    # A vocoder's waveform is another one: in time is where it is understood best.
    inner, end = clip[960:-960], len(clip) - 960
    early, there, late = (
        pystoi.stoi(inner, decoded.waveform[960 + s : end + s], 16_000) for s in (-240, 0, 240)
    )
    assert there == max(early, there, late) > 0.6


def test_more_bits_sound_better():
    clip = speech().numpy()
    few, many = (
        PESQ()(Pair(clip, installed(f"opus@{rate}")(clip).waveform)) for rate in ("6k", "24k")
    )
    assert many["pesq_wb"] > few["pesq_wb"] + 0.5


def test_mulaw_is_the_standard_curve():
    samples = np.array([0.0, 0.001, -0.02, 0.3, -1.0, 1.5], np.float32)
    decoded = classic.MuLaw()(samples).waveform
    assert decoded[0] == 0
    np.testing.assert_allclose(decoded[1:4], samples[1:4], rtol=0.05)
    np.testing.assert_allclose(decoded[4:], [-1, 1])
    steps = classic.MuLaw()(np.linspace(-1, 1, 100_001, dtype=np.float32)).waveform
    assert len(np.unique(steps)) == 255


def test_ogg_packets_over_several_pages():
    """A packet of 600 bytes is segments of 255, 255 and 90, one of 255 ends with an empty segment;
    pages split them.
    """

    def page(*segments: int) -> bytes:
        return b"OggS" + bytes(22) + bytes([len(segments), *segments]) + bytes(sum(segments))

    found = classic.ogg_packets(page(19) + page(255, 255, 90, 255) + page(0, 7))
    assert list(map(len, found)) == [19, 600, 255, 7]
    split = b"OggS" + bytes(22) + b"\x02\xff\xff" + b"a" * 510
    split += b"OggS" + bytes(22) + b"\x02\x02\x01" + b"bbc"
    assert list(classic.ogg_packets(split)) == [b"a" * 510 + b"bb", b"c"]
    assert list(classic.ogg_packets(b"no such thing")) == []


def test_names_and_missing_programs(monkeypatch):
    assert [bit_rate(text) for text in ("6k", "1.5k", "700")] == [6000, 1500, 700]
    for name in ("opus", "opus@", "codec2", "original@3", "mp3@32k", ""):
        with pytest.raises(XCodec2Error, match="there are original"):
            baseline(name)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(
        XCodec2Error, match=r"opusenc is not installed .*apt-get install opus-tools"
    ):
        baseline("opus@6k")
    with pytest.raises(XCodec2Error, match="codec2 has no mode '9600'; it has 3200"):
        baseline("codec2@9600")


def test_a_program_that_fails_says_why():
    with pytest.raises(XCodec2Error, match=r"sh failed: it broke"):
        run_program("sh", "-c", "echo it broke >&2; exit 3")


def hub_models():
    """Random models of a few thousand weights, of each kind that transformers has."""
    transformers = pytest.importorskip("transformers")
    encodec = transformers.EncodecConfig(
        num_filters=4,
        hidden_size=8,
        codebook_dim=8,
        num_lstm_layers=1,
        target_bandwidths=[1.5, 3.0, 6.0],
    )
    dac = transformers.DacConfig(
        encoder_hidden_size=4, decoder_hidden_size=128, n_codebooks=4, codebook_dim=4
    )
    mimi = transformers.MimiConfig(
        num_filters=4, hidden_size=32, codebook_dim=16, vector_quantization_hidden_dimension=16,
        num_quantizers=4, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
        head_dim=16, intermediate_size=32, upsample_groups=32,
    )  # fmt: skip
    return {
        "encodec": (transformers.EncodecModel(encodec), "3k", 3000),
        # Three of its codebooks at 31.25 frames a second.
        "dac": (transformers.DacModel(dac), "1k", 937.5),
        "mimi": (transformers.MimiModel(mimi), "300", 275),  # two at 12.5
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["encodec", "dac", "mimi"])
def test_codecs_of_transformers_run_and_count_their_bits(kind, tmp_path):
    torch.manual_seed(0)
    model, rate, wanted = hub_models()[kind]
    model.save_pretrained(tmp_path / kind)
    clip = speech().numpy()[:48_000]
    decoded = baseline(f"hub:{tmp_path / kind}@{rate}")(clip)
    assert decoded.bits / 3 == pytest.approx(wanted, rel=0.03)
    assert len(decoded.waveform) / decoded.sample_rate == pytest.approx(3, abs=0.06)
    assert baseline(f"hub:{tmp_path / kind}")(clip).bits > decoded.bits
    codec = HubCodec(str(tmp_path / kind))
    assert isinstance(codec, SpeechTokenizer)
    codes = codec.encode(clip, 16_000).codes
    assert codes.shape[1] == pytest.approx(3 * codec.frame_rate, abs=2)
    assert 0 <= codes.min() <= codes.max() < codec.codebook_size


def test_hub_baselines_that_are_none(tmp_path):
    with pytest.raises(XCodec2Error, match="cannot be loaded"):
        baseline(f"hub:{tmp_path}/nothing@6k")
