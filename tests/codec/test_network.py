"""The network is stated once: what changes there changes wherever it runs."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch
from tiny import NEUCODEC, SPECTROGRAM, XCODEC2, random_model, speech

from xcodec2.codec.decoder import AcousticDecoder, Decoded
from xcodec2.codec.network import CodecNetwork, Encoded
from xcodec2.extract import encoding
from xcodec2.onnx import graph
from xcodec2.train.generator import Generator
from xcodec2.train.recipe import Teacher, read_recipe
from xcodec2.train.tasks.distillation import Student

SMALL = replace(SPECTROGRAM, semantic_layers=1, layers=1, spectrogram_layers=1)
RECIPE = read_recipe("nano", ["losses.semantic=1.0", "losses.self_guidance=1.0"])
WAVEFORM = speech()[None, 8_000:16_100]


@pytest.fixture(scope="module")
def model():
    return random_model(SMALL)


def trained(model) -> tuple[torch.Tensor, torch.Tensor]:
    """What the quantizer rounds in training, and the reconstruction."""
    generator = Generator(model, RECIPE).eval()
    output = generator(WAVEFORM, WAVEFORM.shape[1])
    return output.projected.detach(), output.waveform.detach()


def exported(model) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes and waveform of the graphs as ONNX's exporter traces them."""
    with torch.no_grad():
        codes = graph.EncoderGraph(copy.deepcopy(model))(WAVEFORM)
        return codes, graph.DecoderGraph(copy.deepcopy(model))(codes)


def extracted(model) -> torch.Tensor:
    """Codes of a batch, exactly."""
    found = encoding.encode_exactly(model, [WAVEFORM[0], WAVEFORM[0, :5000]], 40.0)
    return torch.cat(found)


def everywhere(model) -> dict[str, torch.Tensor]:
    projected, training_waveform = trained(model)
    onnx_codes, onnx_waveform = exported(model)
    codes = model.encode(WAVEFORM[0], 16_000).codes
    return {
        "training": projected,
        "ONNX": onnx_codes,
        "extraction": extracted(model),
        "inference": codes,
        "decoding: training": training_waveform,
        "decoding: ONNX": onnx_waveform,
        "decoding: inference": model.decode(codes),
    }


def swapped_branches(self, *args, **settings) -> Encoded:
    encoded = encode_features(self, *args, **settings)
    joined = torch.cat([encoded.acoustic, encoded.adapted], dim=1)
    return encoded._replace(latent=self.fc_encoder(joined.transpose(1, 2)))


def louder(self, x, lengths=None) -> Decoded:
    decoded = from_embedded(self, x, lengths)
    return decoded._replace(waveform=2 * decoded.waveform)


encode_features, from_embedded = CodecNetwork.encode_features, AcousticDecoder.from_embedded


def test_a_change_in_one_place_changes_all(model, monkeypatch):
    before = everywhere(model)
    monkeypatch.setattr(CodecNetwork, "encode_features", swapped_branches)
    changed = everywhere(model)
    for place in ("training", "ONNX", "extraction", "inference"):
        assert not torch.equal(before[place], changed[place]), place
    monkeypatch.undo()
    monkeypatch.setattr(AcousticDecoder, "from_embedded", louder)
    changed = everywhere(model)
    for place in ("decoding: training", "decoding: ONNX", "decoding: inference"):
        torch.testing.assert_close(2 * before[place], changed[place], msg=place)


def test_features_are_the_same_for_the_teachers_student(model, monkeypatch):
    student = Student(
        copy.deepcopy(model), Teacher("nowhere", width=4, feature_rate=50.0), phones=0
    )
    before = student(WAVEFORM)[0].detach()
    features = CodecNetwork.features
    monkeypatch.setattr(CodecNetwork, "features", lambda *a: (features(*a)[0] / 2, None))
    assert not torch.equal(before, student(WAVEFORM)[0])


@torch.no_grad()
def test_forward_is_the_three_in_a_row(model):
    encoded = model.encode_features(model.pad(WAVEFORM))
    quantized = model.quantize(encoded.latent)
    decoded = model.decode_vectors(quantized.vectors)
    assert torch.equal(model(WAVEFORM), decoded.waveform)
    frames = model.config.frames(WAVEFORM.shape[1])
    assert encoded.semantic.shape == (1, frames, SMALL.semantic_width)
    assert encoded.adapted.shape == (1, SMALL.semantic_width, frames)
    assert encoded.acoustic.shape == decoded.hidden.shape == (1, SMALL.width, frames)
    assert encoded.latent.shape == (1, frames, SMALL.latent_width)
    assert quantized.codes.shape == quantized.margin.shape == (1, frames)


@torch.no_grad()
@pytest.mark.parametrize("config", [XCODEC2, NEUCODEC], ids=["XCodec2", "NeuCodec"])
def test_both_branches_end_together(config):
    network = CodecNetwork(replace(config, semantic_layers=1, layers=1, acoustic_channels=2))
    for samples in (640, 959, 960, 3000):
        encoded = network.encode_features(network.pad(speech()[None, :samples]))
        frames = config.frames(samples)
        assert encoded.latent.shape[1] == encoded.acoustic.shape[2] == frames


@torch.no_grad()
def test_the_margin_tells_how_far_a_code_is_from_another(model):
    quantizer = model.quantizer
    latent = model.encode_features(model.pad(WAVEFORM)).latent
    found = quantizer(latent)
    nearest = int(found.margin.argmin())
    bounded = found.bounded[0, nearest]
    to_edges = ((bounded - 0.5) - (bounded - 0.5).round()).abs()
    assert math.isclose(float(found.margin[0, nearest]), float(to_edges.min()))
    latent[0, 0] = torch.nan
    assert not quantizer(latent).margin[0, 0] > 0
