"""Streams of a finite receptive field give what the whole gives, however they are cut, at any age,
alone and as a batch.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_receptive_field import CONFIGS, NAMES
from tiny import SPECTROGRAM, random_model, speech
from torch import Tensor

from xcodec2 import Codes, XCodec2Error, XCodec2Model, streaming
from xcodec2.audio.io import load_audio
from xcodec2.audio.stream import AudioStream
from xcodec2.codec.compiled import streams as steps_in_c
from xcodec2.codec.compiled.streams import CompiledSteps
from xcodec2.codec.inference import certain, engine, passes
from xcodec2.codec.quantizer import bound_twice
from xcodec2.errors import AudioError, CodesError
from xcodec2.streaming import DecoderStream, EncoderStream, finish_all, push_all

MODELS = dict(zip(NAMES, map(random_model, CONFIGS), strict=True))
UNLIMITED = random_model(SPECTROGRAM)


@pytest.fixture(params=["engine", "torch"])
def way(request, monkeypatch) -> str:
    """Who takes the steps."""
    if request.param == "torch":
        for place in (streaming, passes):
            monkeypatch.setattr(place, "engine_of", lambda network: None)
    return request.param


@pytest.fixture(params=NAMES)
def model(request, way) -> XCodec2Model:
    return MODELS[request.param]


def codes_in_all(pieces: list[Tensor]) -> list[int]:
    return torch.cat(pieces).tolist()


def assert_same_sound(found: Tensor, expected: Tensor) -> None:
    """As many samples, within 1e-5 of the peak."""
    assert len(found) == len(expected)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


@given(
    name=st.sampled_from(NAMES),
    size=st.integers(1, 24_000),
    rate=st.sampled_from([8_000, 16_000, 22_050, 48_000]),
    step=st.sampled_from([None, 1, 3, 25]),
    data=st.data(),
)
@settings(max_examples=20, deadline=None)
def test_any_chunks_give_what_the_whole_gives(name, size, rate, step, data):
    model = MODELS[name]
    size = max(size, 1_000 if model.config.feature_padding == 0 else 1)  # NeuCodec needs a frame
    clip = speech()[10_000 : 10_000 + size].numpy()
    cuts = sorted(data.draw(st.lists(st.integers(0, size), max_size=12)))
    whole = model.encode(clip, rate).codes
    pieces = list(model.stream_encode(np.split(clip, cuts), rate, step=step))
    assert codes_in_all(pieces) == whole.tolist()
    sizes = data.draw(st.lists(st.integers(0, 30), max_size=6))
    chunks = whole.tensor_split(np.clip(np.cumsum(sizes), 0, len(whole)).tolist())
    assert_same_sound(
        torch.cat(list(model.stream_decode(chunks, step=step))), model.decode(whole.tolist())
    )


def test_single_samples_and_single_codes_are_chunks(model):
    clip = speech()[:1_700]
    whole = model.encode(clip, 16_000).codes
    assert codes_in_all(list(model.stream_encode(clip.split(1), 16_000))) == whole.tolist()
    sound = torch.cat(list(model.stream_decode(whole.tolist(), step=1)))
    assert_same_sound(sound, model.decode(whole.tolist()))


def test_sessions_of_any_age_run_as_one_batch(model, monkeypatch):
    clips = [speech()[start : start + size] for start, size in ((0, 9_600), (7_000, 4_321), (3, 1))]
    clips = clips if model.config.feature_padding else clips[:2]
    batches = []

    def counting(run):
        def counted(self, streams, *others, **named):
            batches.append(len(streams))
            return run(self, streams, *others, **named)

        return counted

    monkeypatch.setattr(CompiledSteps, "project", counting(CompiledSteps.project))
    monkeypatch.setattr(XCodec2Model, "encode_features", counting(XCodec2Model.encode_features))
    encoders: list[EncoderStream] = []
    decoders: list[DecoderStream] = []
    codes: list[list[Tensor]] = [[] for _ in clips]
    sounds: list[list[Tensor]] = [[] for _ in clips]

    def decode(found: list[Tensor], live: list[int], finished: bool = False) -> None:
        sound = push_all([decoders[i] for i in live], found)
        if finished:
            rest = finish_all([decoders[i] for i in live])
            sound = [torch.cat(pair) for pair in zip(sound, rest, strict=True)]
        for i, new, samples in zip(live, found, sound, strict=True):
            codes[i].append(new)
            sounds[i].append(samples)

    for time in range(0, 12_000, 700):
        if len(encoders) < len(clips) and time % 1_400 == 0:
            encoders.append(model.encoder_stream(16_000))
            decoders.append(model.decoder_stream())
        live = [i for i, e in enumerate(encoders) if not e.finished]
        begun = [time - i * 1_400 for i in live]
        chunks = [clips[i][at : at + 700] for i, at in zip(live, begun, strict=True)]
        decode(push_all([encoders[i] for i in live], chunks), live)
        over = [i for i, at in zip(live, begun, strict=True) if at + 700 >= len(clips[i])]
        decode(finish_all([encoders[i] for i in over]), over, finished=True)
    assert max(batches) > 1
    for clip, found, sound in zip(clips, codes, sounds, strict=True):
        whole = model.encode(clip, 16_000).codes
        assert codes_in_all(found) == whole.tolist()
        assert_same_sound(torch.cat(sound), model.decode(whole.tolist()))


def test_each_frame_is_computed_once(model, way, monkeypatch):
    encoded, decoded = [], []

    def counting(run, counts):
        def counted(self, streams, count):
            counts.append(count)
            return run(self, streams, count)

        return counted

    monkeypatch.setattr(CompiledSteps, "project", counting(CompiledSteps.project, encoded))
    monkeypatch.setattr(CompiledSteps, "sound", counting(CompiledSteps.sound, decoded))
    hooks = [
        model.semantic_encoder.register_forward_hook(
            lambda _, given, __: encoded.append(given[0].shape[1])
        ),
        model.acoustic_decoder.layers[0].register_forward_hook(
            lambda _, given, __: decoded.append(given[0].shape[1])
        ),
    ]
    clip, field = speech()[:20_000], model.receptive_field
    codes = torch.cat(list(model.stream_encode(clip.split(999), 16_000)))
    torch.cat(list(model.stream_decode(codes.split(3))))
    for hook in hooks:
        hook.remove()
    frames = model.config.padded_frames(len(clip))
    assert frames + field.encoder_ahead <= sum(encoded)
    alone = sum(size for size in encoded if size > 50)  # a code at the edge, found again alone
    assert sum(encoded) - alone <= frames + field.encoder_ahead + 1
    assert sum(decoded) <= len(codes) + field.decoder_ahead + 1


def test_a_frame_alone_has_the_code_of_the_whole(model, monkeypatch):
    clip = speech()[:4_000]
    whole = model.encode(clip, 16_000).codes.tolist()
    for place in (certain, steps_in_c, engine):  # so that every frame is computed alone
        monkeypatch.setattr(place, "TOLERANCE", 1.0)
    assert model.encode(clip, 16_000).codes.tolist() == whole
    assert codes_in_all(list(model.stream_encode(clip.split(777), 16_000))) == whole


def edge(levels: tuple[int, ...]) -> float:
    """The number before the bounds at which the first dimension's level changes."""
    low, high = -3.0, 3.0
    for _ in range(60):
        middle = (low + high) / 2
        numbers = torch.full((len(levels),), middle, dtype=torch.float64)
        above = bool(bound_twice(numbers, levels)[0] > -0.5)
        low, high = (low, middle) if above else (middle, high)
    return low


@pytest.mark.parametrize("frame", range(3, 33, 3))
def test_codes_at_an_edge_are_those_of_the_whole(frame):
    """A latent moved onto an edge, where the last bits decide."""
    model = copy.deepcopy(MODELS["finite"])
    clip = speech()[7_000:18_000]
    with torch.no_grad():
        latent = model.encode_features(model.pad(clip[None])).latent
        number = model.quantize(latent).projected[0, frame, 0]
        model.quantizer.project_in.bias[0] += edge(model.config.levels) - number
    whole = model.encode(clip, 16_000).codes.tolist()
    assert codes_in_all(list(model.stream_encode(clip.split(1_000), 16_000))) == whole


def test_sound_comes_as_soon_as_its_codes_allow(model):
    ahead = model.receptive_field.decoder_ahead
    stream = model.decoder_stream(step=1)
    assert stream.latency == (1 + ahead) / 50
    for _ in range(ahead):
        assert len(stream.push(7)) == 0
    assert len(stream.push([7])) == model.config.output_hop


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 44_100, 96_000])
def test_chunks_are_resampled_as_the_whole_is(rate):
    for size in (1, 2, 7, 5_000):
        clip = speech()[4_000 : 4_000 + size].numpy()
        stream, pieces = AudioStream(rate, 16_000), []
        for chunk in np.array_split(clip, 5):
            pieces.append(stream.push(stream.check(chunk)))
        pieces.append(stream.finish())
        assert np.array_equal(np.concatenate(pieces), load_audio(clip, rate).waveform.numpy())


def test_integers_are_scaled_as_encode_scales_them(model):
    clip = (speech()[:5_000] * 32_767).to(torch.int16)
    pieces = list(model.stream_encode(clip.split(1_600), 16_000))
    assert codes_in_all(pieces) == model.encode(clip, 16_000).codes.tolist()


@pytest.mark.parametrize("model", [MODELS["finite"], UNLIMITED], ids=["finite", "windows"])
def test_a_file_or_a_text_is_one_chunk_and_not_its_letters(model, tmp_path):
    codes = Codes(torch.tensor([17, 60_001, 3]))
    path = tmp_path / "speech.npz"
    codes.save(path)
    whole = torch.cat(list(model.stream_decode(codes)))
    for one in (path, str(path), path.read_bytes(), "<|s_17|><|s_60001|><|s_3|>"):
        assert torch.equal(torch.cat(list(model.stream_decode(one))), whole)
    for file in ("speech.wav", b"RIFF", path):
        with pytest.raises(XCodec2Error, match="encode takes files"):
            model.stream_encode(file, 16_000)


def test_what_is_refused_changes_no_session(model):
    one, other = model.encoder_stream(16_000), model.encoder_stream(16_000)
    clip = speech()[:5_000]
    bad = clip.clone()
    bad[17] = torch.nan
    for chunk, message in (
        (bad, "NaN"),
        (clip[None], "1-D"),
        ("speech.wav", "array"),
        (clip > 0, "bool"),
    ):
        with pytest.raises(AudioError, match=message):
            push_all([one, other], [clip, chunk])
    with pytest.raises(XCodec2Error, match="twice"):
        push_all([one, one], [clip, clip])
    with pytest.raises(XCodec2Error, match="as many"):
        push_all([one, other], [clip])
    pieces = [one.push(clip), one.finish()]
    assert codes_in_all(pieces) == model.encode(clip, 16_000).codes.tolist()
    with pytest.raises(XCodec2Error, match="finished"):
        one.push(clip)
    with pytest.raises(AudioError, match="no audio"):
        other.finish()
    decoder = model.decoder_stream()
    with pytest.raises(CodesError, match="65535"):
        decoder.push([65_536])
    assert len(decoder.finish()) == 0
    with pytest.raises(XCodec2Error, match="finished"):
        decoder.finish()


def test_a_session_that_overflows_costs_the_others_nothing(monkeypatch):
    model, project = MODELS["finite"], CompiledSteps.project

    def overflowing(self, streams, count):  # spectra in float64 overflow with no audio
        found = project(self, streams, count)
        for row, stream in enumerate(streams):
            if np.abs(stream.values).max() > 1e38:
                found[row] = np.nan
        return found

    monkeypatch.setattr(CompiledSteps, "project", overflowing)
    clip = speech()[:5_000]
    loud, one, other = (model.encoder_stream(16_000) for _ in range(3))
    found = push_all([one, other], [clip[:1_000], clip[:1_000]])[0].tolist()
    with pytest.raises(XCodec2Error, match="too loud"):
        push_all([one, loud, other], [clip[1_000:], torch.full((9_000,), 3e38), clip[1_000:]])
    with pytest.raises(XCodec2Error, match="finished"):
        loud.push(clip)
    with pytest.raises(AudioError, match="no audio"):
        finish_all([one, model.encoder_stream(16_000)])  # and `one` goes on
    found += one.finish().tolist()
    assert found == model.encode(clip, 16_000).codes.tolist()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.int8])
def test_streams_run_in_other_types(dtype, tmp_path):
    with pytest.warns(UserWarning, match="spectrogram"):
        MODELS["finite"].save_pretrained(tmp_path)
    model = XCodec2Model.from_pretrained(tmp_path, dtype=dtype)
    codes = list(range(0, 60_000, 1_000))
    sound = torch.cat(list(model.stream_decode(codes)))
    whole = model.decode(codes)
    assert (sound - whole).square().sum() < 1e-2 * whole.square().sum()
    clip = speech()[:9_000]
    found = torch.cat(list(model.stream_encode([clip], 16_000)))
    assert (found == model.encode(clip, 16_000).codes).float().mean() > 0.8


def test_a_stream_without_enough_speech_says_so(model):
    with pytest.raises(AudioError, match="no audio"):
        list(model.stream_encode([], 16_000))
    if not model.config.feature_padding:
        with pytest.raises(XCodec2Error, match="at least 320"):
            list(model.stream_encode([torch.zeros(10)], 16_000))
    for bad in ({"step": 0}, {"sample_rate": 0}):
        with pytest.raises(XCodec2Error):
            model.stream_encode([], **({"sample_rate": 16_000} | bad))
    with pytest.raises(XCodec2Error, match="iterator"):
        model.stream_encode(5, 16_000)


def test_without_a_limit_windows_give_every_frame_once_and_most_codes():
    clip = speech()[:20_000]
    whole = UNLIMITED.encode(clip, 16_000).codes
    for size in (100, len(clip)):
        pieces = list(UNLIMITED.stream_encode(clip.split(size), 16_000, step=10, look_back=50))
        assert len(torch.cat(pieces)) == len(whole)
    everything = {"step": 10, "look_back": 1_000, "look_ahead": 1_000}
    found = torch.cat(list(UNLIMITED.stream_encode(clip.split(999), 16_000, **everything)))
    assert (found == whole).float().mean() > 0.995
    sessions = [UNLIMITED.encoder_stream(16_000, **everything) for _ in range(2)]
    push_all(sessions, [clip, clip])
    assert all(torch.equal(codes, found) for codes in finish_all(sessions))
    with pytest.raises(XCodec2Error, match="look_ahead"):
        UNLIMITED.stream_encode([clip], 16_000, look_ahead=0)


def test_changed_weights_are_those_that_streams_use():
    model = random_model(replace(CONFIGS[0], layers=1, semantic_layers=1))
    codes = [1, 2, 3] * 5
    before = torch.cat(list(model.stream_decode([codes])))
    with torch.no_grad():
        model.acoustic_decoder.embed.weight.mul_(1.1)
        model.acoustic_decoder.layers[0].mlp.fc2.weight.mul_(0.5)
        model.acoustic_decoder.post_net[0].conv1.weight.mul_(1.5)
    after = torch.cat(list(model.stream_decode([codes])))
    assert (after - before).abs().max() > 1e-3 * before.abs().max()
    assert_same_sound(after, copy.deepcopy(model).decode(codes))  # which has kept nothing
