"""The codec on MLX, beside PyTorch's."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch
from decodes import check_steps, check_what_decodes
from tiny import NEUCODEC, SPECTROGRAM, XCODEC2, quantized, random_model, snr, speech

from xcodec2 import XCodec2Config, XCodec2Error, XCodec2Model

pytest.importorskip("mlx.core")

from xcodec2.mlx import MlxCodec

POOLED = replace(XCODEC2, pooling=2, sample_rate=24_000)
FINITE = replace(SPECTROGRAM, attention_window=(4, 0))
AHEAD = replace(SPECTROGRAM, attention_window=(3, 1), convolutions_ahead=2)
UNPADDED = replace(FINITE, feature_padding=0, sample_rate=24_000)
UPSAMPLED = replace(
    XCODEC2, width=128, sample_rate=44_100, upsampling=(3, 3), upsampling_kernels=(9, 6)
)
ROUNDING = 1e-4  # of a bounded number: two float32 sums of other orders


@functools.cache
def both(config: XCodec2Config) -> tuple[XCodec2Model, MlxCodec]:
    model = random_model(config)
    return model, MlxCodec(model)


@pytest.mark.parametrize(
    "config",
    [XCODEC2, NEUCODEC, POOLED, SPECTROGRAM, FINITE, AHEAD, UNPADDED, UPSAMPLED],
    ids=[
        "XCodec2",
        "NeuCodec",
        "25 codes a second",
        "spectrogram",
        "finite",
        "ahead",
        "unpadded",
        "44.1 kHz",
    ],
)
def test_codes_and_sound_on_mlx_equal_pytorch(config):
    model, codec = both(config)
    for samples in (16_001, 320 * 33):
        clip = speech()[:samples]
        expected, found = model.encode(clip, 16_000).codes, codec.encode(clip.numpy(), 16_000)
        assert len(found) == len(expected)
        margin = quantized(model, clip).margin[0]
        assert (margin[: len(found)][torch.from_numpy(found) != expected] < ROUNDING).all()
    torch_sound, sound = model.decode(expected), codec.decode(found)
    assert sound.dtype == np.float32
    assert snr(torch_sound, torch.from_numpy(sound)) > 100


def test_nano_on_mlx_has_its_codes():
    codec, model = MlxCodec.from_pretrained("nano"), XCodec2Model.from_pretrained("nano")
    assert (codec.sample_rate, codec.frame_rate, codec.codebook_size) == (16_000, 50, 65_536)
    assert codec.weights_hash == model.weights_hash
    clip = speech()[:48_000]
    expected = model.encode(clip, 16_000).codes
    assert np.array_equal(codec.encode(clip.numpy(), 16_000), expected.numpy())


@pytest.mark.parametrize(
    ("config", "step"),
    [(FINITE, 4), (AHEAD, 3), (UNPADDED, 4)],
    ids=["finite", "ahead", "unpadded"],
)
def test_streams_on_mlx_equal_the_whole(config, step):
    model, codec = both(config)
    clip = speech()[:12_000].numpy()
    codes = model.encode(torch.from_numpy(clip), 16_000).codes.numpy()
    stream = codec.encoder_stream(step)
    parts = [stream.push(part) for part in np.split(clip, [1, 300, 301, 7000, 7000, 9_999])]
    assert sum(map(len, parts)) > len(codes) - step - stream.delay - 3  # they come as it goes on
    streamed = np.concatenate([*parts, stream.finish()])
    assert len(streamed) == len(codes)
    assert (streamed != codes).sum() <= 1  # on an edge, if any
    sound = codec.decoder_stream(step)
    pieces = [sound.push(part) for part in np.split(codes, [1, 1, 9, 20])]
    whole = model.decode(torch.from_numpy(codes))
    assert snr(whole, torch.from_numpy(np.concatenate([*pieces, sound.finish()]))) > 100


@pytest.mark.parametrize(
    ("decoder", "least", "share"),
    [("float16", 40, 0.6), ("bfloat16", 20, 0.6), ("int8", 25, 0.6), ("int4", 3, 0.6)],
)
def test_smaller_decoders_on_mlx_have_the_codes_and_less_exact_sound(decoder, least, share):
    model = XCodec2Model.from_pretrained("nano")
    codec, exact = MlxCodec(model, decoder), MlxCodec(model)
    clip = speech()[:16_000]
    codes = model.encode(clip, 16_000).codes
    assert np.array_equal(codec.encode(clip.numpy(), 16_000), codes.numpy())
    assert snr(model.decode(codes), torch.from_numpy(codec.decode(codes.numpy()))) > least
    assert codec.decoder.weights.nbytes < share * exact.decoder.weights.nbytes


@pytest.mark.parametrize("config", [XCODEC2, FINITE], ids=["XCodec2", "finite"])
def test_codes_of_any_kind_decode_on_mlx(config):
    model, codec = both(config)
    check_what_decodes(codec, model.encode(speech()[:20_001], 16_000))


def test_what_mlx_cannot_do_says_so():
    _, codec = both(XCODEC2)
    clip = speech()[:3200].numpy()
    with pytest.raises(XCodec2Error, match="cannot stream on MLX"):
        codec.encoder_stream()
    with pytest.raises(XCodec2Error, match="too long for one pass"):
        codec.decode(np.zeros(4000, int))
    check_steps(both(FINITE)[1])
    with pytest.raises(XCodec2Error, match="decoder is one of"):
        MlxCodec.from_pretrained("nano", decoder="int2")
    with pytest.raises(XCodec2Error, match="at least 320"):
        both(NEUCODEC)[1].encode(clip[:300], 16_000)
    stream = both(FINITE)[1].encoder_stream()
    stream.push(clip)
    stream.finish()
    with pytest.raises(XCodec2Error, match="finished"):
        stream.push(clip)
    with pytest.raises(XCodec2Error, match="floats"):
        both(FINITE)[1].encoder_stream().push(np.zeros(10, np.int16))
