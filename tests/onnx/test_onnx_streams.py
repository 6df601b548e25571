"""Step graphs: streams without PyTorch, equal to the whole."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from decodes import check_steps
from tiny import NEUCODEC, SPECTROGRAM, random_model, speech

from xcodec2 import XCodec2Model
from xcodec2.errors import AudioError, CheckpointError, CodesError, XCodec2Error
from xcodec2.onnx import OnnxCodec
from xcodec2.onnx.export import export, facts_of, write_graph
from xcodec2.onnx.graph import DecoderGraph, EncoderGraph, StepGraph
from xcodec2.onnx.runtime import DECODER

FINITE = replace(
    SPECTROGRAM, attention_window=(9, 1), convolutions_ahead=2, semantic_layers=1, layers=1
)
FRAMES = 30


def through(graph: StepGraph, values: torch.Tensor, length: int, ahead: int) -> list[torch.Tensor]:
    """All results of a batch of rows (B, frames + ahead, …) by steps of other sizes."""
    caches, found, start = graph.fresh(values[:, :1]), [], 0
    for count in (1, 2, 7, 3, 5, 1, FRAMES):
        new = values[:, start : min(start + count, length + ahead)]
        if not new.shape[1]:
            break
        starts = torch.full((len(values),), start)
        results, caches = graph(new, starts, torch.full_like(starts, length), caches)
        found.append(results)
        start += new.shape[1]
    return [torch.cat(parts, dim=1) for parts in zip(*found, strict=True)]


@torch.no_grad()
@pytest.mark.parametrize("padding", [160, 0])
def test_step_graphs_equal_the_model(padding):
    model = random_model(replace(FINITE, feature_padding=padding))
    field, hop = model.receptive_field, model.config.hop
    length = FRAMES - field.encoder_ahead
    waves = torch.stack([speech()[at : at + length * hop - 1] for at in (9_000, 20_000)])
    expected = torch.stack([item.codes for item in model.encode(list(waves), 16_000)]).long()
    padded = torch.nn.functional.pad(waves, (0, FRAMES * hop - waves.shape[1]))
    encoder = StepGraph(EncoderGraph(copy.deepcopy(model)))
    found, _ = through(encoder, padded.unflatten(1, (-1, hop)), length, field.encoder_ahead)
    assert torch.equal(found[:, field.encoder_ahead :][:, : expected.shape[1]], expected)
    count = FRAMES - field.decoder_ahead
    codes = torch.arange(2 * count).view(2, count) * 997 % 65_536
    padded = torch.nn.functional.pad(codes, (0, field.decoder_ahead))
    decoder = StepGraph(DecoderGraph(copy.deepcopy(model)))
    (found,) = through(decoder, padded, count, field.decoder_ahead)
    for row, sound in zip(codes, found, strict=True):
        whole = model.decode(row)
        torch.testing.assert_close(
            sound[field.decoder_ahead * model.config.output_hop :],
            whole,
            rtol=0,
            atol=1e-5 * float(whole.abs().max()),
        )


@pytest.fixture(scope="module")
def unlimited(tmp_path_factory: pytest.TempPathFactory) -> OnnxCodec:
    """A decoder's file of a model without a limit."""
    folder = tmp_path_factory.mktemp("unlimited")
    model = random_model(replace(NEUCODEC, layers=1, semantic_layers=1))
    codes = torch.zeros(2, 4, dtype=torch.long)
    shapes = ({0: torch.export.Dim("batch"), 1: torch.export.Dim("frames")},)
    facts = facts_of(model)
    write_graph(
        DecoderGraph(model), (codes,), shapes, ["codes"], ["waveform"], facts, folder / DECODER
    )
    return OnnxCodec(folder)


@pytest.mark.slow
def test_a_model_without_a_limit_has_no_steps(unlimited):
    with pytest.raises(CheckpointError, match="no limit"):
        unlimited.decoder_stream()
    with pytest.raises(AudioError, match="resample"):
        unlimited.stream_encode([], 8_000)


@pytest.fixture(scope="module")
def model() -> XCodec2Model:
    return random_model(FINITE)


@pytest.fixture(scope="module")
def codec(model, tmp_path_factory: pytest.TempPathFactory) -> OnnxCodec:
    """What `export` makes of it."""
    base: Path = tmp_path_factory.mktemp("steps")
    with pytest.warns(UserWarning, match="spectrogram"):
        model.save_pretrained(base / "model")
    written = export(base / "model", base / "onnx")
    assert {path.name for path in written} >= {"encoder_step.onnx", "decoder_step.onnx"}
    return OnnxCodec(base / "onnx", threads=1)


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 319, 320, 9_000])
def test_streams_equal_the_whole_and_the_model(model, codec, size, monkeypatch):
    wave = speech()[3_000 : 3_000 + size].numpy()
    whole = codec.encode(wave, 16_000)
    assert whole.tolist() == model.encode(wave, 16_000).codes.tolist()
    cuts = np.random.default_rng(size).integers(0, size + 1, 9)
    for step in (1, 4):
        pieces = codec.stream_encode(np.split(wave, np.sort(cuts)), 16_000, step=step)
        assert np.concatenate(list(pieces)).tolist() == whole.tolist()
        sound = codec.decode(whole)
        chunks = [whole[i : i + 3] for i in range(0, len(whole), 3)]
        found = np.concatenate(list(codec.stream_decode([*chunks, []], step=step)))
        assert len(found) == len(sound)
        assert np.abs(found - sound).max() <= 1e-5 * np.abs(sound).max()
    monkeypatch.setattr(codec, "facts", replace(codec.facts, tolerance=1.0))  # each frame alone
    assert codec.encode(wave, 16_000).tolist() == whole.tolist()
    assert np.concatenate(list(codec.stream_encode([wave], 16_000))).tolist() == whole.tolist()


@pytest.mark.slow
def test_streams_refuse_what_they_cannot_take(codec):
    stream = codec.encoder_stream()
    for chunk in (np.zeros((1, 5), np.float32), np.zeros(5, np.int16), np.array([np.nan])):
        with pytest.raises(AudioError, match="chunk"):
            stream.push(chunk)
    with pytest.raises(AudioError, match="at least"):
        stream.finish()
    with pytest.raises(CodesError, match="65535"):
        codec.decoder_stream().push([65_536])
    check_steps(codec)
    stream = codec.decoder_stream()
    assert len(stream.finish()) == 0
    with pytest.raises(XCodec2Error, match="finished"):
        stream.push([1])
