"""Recordings longer than one pass, and decoding as codes arrive."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from paths import HELPERS
from tiny import NEUCODEC, SPECTROGRAM, XCODEC2, long_speech, random_model

from xcodec2 import Codes, XCodec2Error, XCodec2Model
from xcodec2.codec.inference import batches, streams, windows
from xcodec2.codec.masking import mean_and_variance

CONFIGS = {"xcodec2": XCODEC2, "neucodec": NEUCODEC, "spectrogram": SPECTROGRAM}


@pytest.fixture(scope="module", params=CONFIGS, ids=str)
def model(request) -> XCodec2Model:
    return random_model(CONFIGS[request.param])


@pytest.fixture(scope="module")
def nano() -> XCodec2Model:
    """Trained weights without a limit to what they see, which windows are for."""
    limited = XCodec2Model.from_pretrained("nano")
    model = XCodec2Model(replace(limited.config, attention_window=()))
    model.load_state_dict(limited.state_dict())
    return model.eval()


# ---- long recordings -----------------------------------------------------------------------------


def test_moments_over_blocks_equal_those_over_the_file(model, monkeypatch):
    waveform = long_speech(7.3)
    whole = windows.fbank_blocks(model, waveform)
    fbank = torch.cat(list(whole), dim=1)
    monkeypatch.setattr(windows, "STATISTICS_FRAMES", 100)
    blocks = list(windows.fbank_blocks(model, waveform))
    assert len(blocks) == 4
    torch.testing.assert_close(torch.cat(blocks, dim=1), fbank)
    expected = mean_and_variance(fbank, None, unbiased=True)
    for ours, theirs in zip(windows.file_moments(model, waveform), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_window_that_holds_everything_gives_the_exact_codes(model):
    waveform = long_speech(6)
    exact = model.encode(waveform, 16_000).codes
    assert (
        windows.encode_long(model, waveform, size=2000, overlap=250) == exact
    ).float().mean() > 0.995


@pytest.mark.parametrize("overlap", [0, 1, 25])
def test_windows_give_every_frame_once(model, overlap):
    for seconds in (2.39, 2.4, 2.41):  # around two windows without overlap
        waveform = long_speech(seconds)
        assert len(
            windows.encode_long(model, waveform, size=60, overlap=overlap)
        ) == model.config.frames(len(waveform))


def test_windows_give_nearly_the_exact_codes_the_more_they_see(nano):
    """With trained weights: random attention looks everywhere alike, and no window can stand for
    the whole.
    """
    waveform = long_speech(20.01)
    exact = nano.encode(waveform, 16_000).codes
    little = (windows.encode_long(nano, waveform, size=60, overlap=0) == exact).float().mean()
    much = (windows.encode_long(nano, waveform, size=900, overlap=400) == exact).float().mean()
    assert little < much - 0.05
    assert much > 0.95


def test_file_level_statistics_matter(nano, monkeypatch):
    """A quiet half must be normalized like the loud one, not by itself."""
    waveform = torch.cat([long_speech(10), 0.05 * long_speech(10)])
    heard: list[torch.Tensor] = []
    hook = nano.semantic_encoder.register_forward_pre_hook(lambda _, args: heard.append(args[0][0]))
    try:
        nano.encode(waveform, 16_000)
        windows.encode_long(nano, waveform, size=500, overlap=100)
        whole, last = heard[0], heard[-1]
        torch.testing.assert_close(
            last[5:-5], whole[len(whole) - len(last) :][5:-5], rtol=0, atol=0.02
        )
        monkeypatch.setattr(windows, "file_moments", lambda *_: None)
        windows.encode_long(nano, waveform, size=500, overlap=100)
        assert (heard[-1] - last).mean() > 0.5
    finally:
        hook.remove()


def test_inputs_beyond_the_limit_go_through_windows(model, monkeypatch):
    monkeypatch.setattr(batches, "EXACT_FRAMES", 200)
    waveform = long_speech(12)
    frames = model.config.frames(len(waveform))
    long, short = model.encode([waveform, waveform[:16_000]], 16_000)
    assert torch.equal(long.codes, windows.encode_long(model, waveform).int())
    assert len(long) == frames
    decoded, _ = model.decode([long, short])
    assert len(decoded) == min(round(12 * model.sample_rate), frames * model.config.output_hop)


def test_a_whole_minute_is_one_pass(model, monkeypatch):
    """And it is 3001 frames: padding adds one."""
    passes: list[tuple[int, ...]] = []
    monkeypatch.setattr(
        batches,
        "encode_rows",
        lambda _, rows, *rest: passes.append(rows.shape) or torch.zeros(1, 3001),
    )
    assert len(model.encode(long_speech(60)[:960_000], 16_000)) in (
        3000,
        3001,
    )  # NeuCodec's frames are one fewer
    assert passes == [(1, 960_320)]


MEMORY = """
import resource, torch
from dataclasses import replace
from tiny import SPECTROGRAM, random_model
from xcodec2.codec.inference import batches
small = {"semantic_layers": 1, "spectrogram_layers": 1, "layers": 1}
small |= {"semantic_width": 16, "semantic_ffn": 16}
model = random_model(replace(SPECTROGRAM, **small))
generator = torch.Generator().manual_seed(0)
peaks = []
for minutes in (1.5, 3.5):
    codes = batches.encode(model, [0.1 * torch.randn(int(minutes * 960_000), generator=generator)])
    decoded = batches.decode(model, codes)
    assert len(decoded[0]) == (minutes * 3000 + 1) * 320
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
print(peaks[1] - peaks[0])
"""


def test_memory_does_not_grow_with_length_beyond_the_audio_itself():
    """Two minutes more are 15 MB of samples in and out; windows and statistics must add nothing."""

    result = subprocess.run(
        [sys.executable, "-c", MEMORY],
        capture_output=True,
        text=True,
        cwd=HELPERS,
        check=True,
    )
    assert float(result.stdout) < 60  # MB


@pytest.mark.slow
def test_ten_minutes_with_nano_stay_under_2_5_gb():
    program = """
import resource, torch
from xcodec2 import XCodec2Model
from tiny import long_speech
model = XCodec2Model.from_pretrained()
waveform = long_speech(600)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
decoded = model.decode(model.encode(waveform, 16_000))
assert len(decoded) == len(waveform)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20)
"""

    result = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=HELPERS,
        check=True,
    )
    assert float(result.stdout) < 2.5


# ---- streams -------------------------------------------------------------------------------------


def random_codes(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(65_536, (count,), generator=torch.Generator().manual_seed(seed))


@given(
    sizes=st.lists(st.integers(0, 20), min_size=1, max_size=8),
    step=st.integers(1, 30),
    ahead=st.integers(1, 8),
)
@settings(max_examples=25, deadline=None)
def test_chunks_of_any_sizes_give_all_samples_once(sizes, step, ahead):
    model = STREAM_MODEL
    codes = random_codes(sum(sizes))
    chunks = list(codes.split(sizes))
    pieces = list(model.stream_decode(iter(chunks), step=step, look_back=20, look_ahead=ahead))
    whole = torch.cat(pieces) if pieces else torch.empty(0)
    assert len(whole) == sum(sizes) * 320
    assert all(len(piece) == step * 320 for piece in pieces[:-1])
    regular = (
        list(model.stream_decode([codes], step=step, look_back=20, look_ahead=ahead))
        if len(codes)
        else []
    )
    assert torch.equal(whole, torch.cat(regular) if regular else torch.empty(0))


STREAM_MODEL = random_model(SPECTROGRAM)


def test_a_stream_that_sees_everything_equals_full_decode(model):
    codes = random_codes(60)
    whole = model.decode(codes)
    pieces = list(model.stream_decode(codes.split(7), step=20, look_back=1000, look_ahead=40))
    assert len(pieces) == 2  # 20 + 40 frames known: the first step; then the rest at the end
    assert (
        torch.cat(pieces)[: 20 * 320] - whole[: 20 * 320]
    ).abs().max() < 1e-4 * whole.abs().max()


def test_sound_comes_out_as_soon_as_look_ahead_allows():
    fed = []

    def chunks():
        for chunk in random_codes(200).split(1):
            fed.append(chunk)
            yield chunk

    stream_of_sound = STREAM_MODEL.stream_decode(chunks(), step=25, look_back=50, look_ahead=5)
    next(stream_of_sound)
    assert len(fed) == 30
    next(stream_of_sound)
    assert len(fed) == 55


def test_windows_are_bounded(monkeypatch):
    sizes = []
    decode_window = streams.decode_window
    monkeypatch.setattr(
        streams,
        "decode_window",
        lambda m, codes: sizes.append(len(codes)) or decode_window(m, codes),
    )
    list(
        STREAM_MODEL.stream_decode(random_codes(500).split(10), step=25, look_back=50, look_ahead=5)
    )
    assert max(sizes) == 50 + 25 + 5


def test_joins_fade_from_the_old_window_to_the_new_one():
    tail, waveform = torch.ones(320), torch.zeros(1000)
    whole = streams.joined(tail, waveform)
    assert len(whole) == 1000
    assert whole[0] > 0.99
    assert whole[319] < 0.01
    assert (whole[:320].diff() < 0).all()
    assert (whole[320:] == 0).all()
    assert torch.equal(streams.joined(torch.empty(0), waveform), waveform)


def test_joins_do_not_click(nano, monkeypatch):
    """With hardly any context the windows disagree; the fade hides it, a plain cut does not."""
    codes = nano.encode(long_speech(10), 16_000).codes

    def largest_step_at_a_join() -> float:
        pieces = list(nano.stream_decode(codes.split(50), step=10, look_back=2, look_ahead=1))
        return max((after[0] - before[-1]).abs().item() for before, after in pairwise(pieces))

    faded = largest_step_at_a_join()
    monkeypatch.setattr(streams, "joined", lambda tail, waveform: waveform)
    assert faded < 0.7 * largest_step_at_a_join()


def test_stream_takes_what_decode_takes_and_checks_it():
    model = STREAM_MODEL
    pieces = list(
        model.stream_decode([[1, 2], Codes(codes=[3]), torch.tensor([4]), [], 5, np.int64(6)])
    )
    assert len(torch.cat(pieces)) == 6 * 320
    with pytest.raises(XCodec2Error, match="65535"):
        list(model.stream_decode([[65_536]]))
    with pytest.raises(XCodec2Error, match="look_ahead"):
        model.stream_decode([[1]], look_ahead=0)


def test_streaming_leaves_gradients_alone():
    for _ in STREAM_MODEL.stream_decode([random_codes(100)]):
        assert torch.is_grad_enabled()
