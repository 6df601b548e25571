"""An item of a batch gives what it gives alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import NEUCODEC, SPECTROGRAM, XCODEC2, random_model, speech

from xcodec2.codec import decoder, masking, snake
from xcodec2.codec.inference import batches
from xcodec2.codec.inference.passes import float32_switches, full_float32
from xcodec2.codec.kernels import convolution, snake_cpu

CONFIGS = {"xcodec2": XCODEC2, "neucodec": NEUCODEC, "spectrogram": SPECTROGRAM}


@pytest.fixture(scope="module", params=CONFIGS, ids=str)
def model(request):
    return random_model(CONFIGS[request.param])


def utterances(count: int, shortest: float = 0.1, longest: float = 6.0) -> list[torch.Tensor]:
    """Pieces of speech of many lengths, some of them a multiple of the hop."""
    generator = torch.Generator().manual_seed(0)
    clip = torch.cat([speech(), speech().flip(0)])
    pieces = []
    for i in range(count):
        seconds = shortest + (longest - shortest) * torch.rand((), generator=generator)
        size = int(seconds * 16_000) // 320 * 320 if i % 5 == 0 else int(seconds * 16_000)
        start = int(torch.randint(len(clip) - size, (), generator=generator))
        pieces.append(clip[start : start + size])
    return pieces


def test_thirty_utterances_in_one_list_equal_single_runs(model):
    items = utterances(30, longest=1.5)
    together = model.encode(items, 16_000)
    alone = [model.encode(item, 16_000) for item in items]
    assert [len(codes) for codes in together] == [len(codes) for codes in alone]
    wrong = sum(int((a.codes != b.codes).sum()) for a, b in zip(together, alone, strict=True))
    assert wrong <= 0.001 * sum(map(len, alone))  # one, where rounding decides
    for waveform, codes in zip(model.decode(alone), alone, strict=True):
        single = model.decode(codes)
        assert waveform.shape == single.shape
        assert (waveform - single).abs().max() < 1e-4 * single.abs().max()


def test_masks_are_exact(request, model):
    """In float64, where rounding cannot hide a leak, latents and waveforms of a batch are those of
    single runs.
    """
    request.addfinalizer(model.float)
    model.double()
    items = [item.double() for item in utterances(6, 0.1, 2.0)]
    hop = model.config.hop
    padded = [model.config.padded_frames(len(item)) * hop for item in items]
    rows = torch.stack([F.pad(item, (0, max(padded) - len(item))) for item in items])
    with torch.no_grad():
        latents = model.encode_features(rows, torch.tensor(padded)).latent
        for item, latent in zip(items, latents, strict=True):
            single = model.encode_features(model.pad(item[None])).latent[0]
            torch.testing.assert_close(latent[: len(single)], single, atol=1e-11, rtol=1e-11)
    codes = [torch.arange(1000 * n, 1000 * n + n) for n in (3, 50, 17)]
    for row, waveform in zip(codes, batches.decode(model, codes), strict=True):
        torch.testing.assert_close(
            waveform, batches.decode(model, [row])[0], atol=1e-7, rtol=1e-6
        )  # float32 at the end


def test_equal_lengths_run_without_masks(model, monkeypatch):
    seen = []
    encode_features = model.encode_features

    def spy(rows, lengths=None, moments=None):
        seen.append(lengths)
        return encode_features(rows, lengths, moments)

    monkeypatch.setattr(model, "encode_features", spy)
    model.encode([speech()[:16_000], speech()[1000:17_010]], 16_000)
    assert seen == [None]


def test_order_is_kept_and_lists_stay_lists(model):
    items = [speech()[:n] for n in (9_000, 3_000, 20_000, 3_001)]
    encoded = model.encode(items, 16_000)
    assert [codes.num_samples for codes in encoded] == [9_000, 3_000, 20_000, 3_001]
    assert isinstance(model.encode(items[:1], 16_000), list)
    assert model.encode([], 16_000) == []
    assert model.decode([1, 2, np.int64(3)]).shape == (3 * model.config.output_hop,)
    assert [len(w) for w in model.decode([torch.tensor([1, 2]), torch.tensor([3])])] == [
        2 * model.config.output_hop,
        model.config.output_hop,
    ]


def test_batches_stay_under_the_budget():
    items = [torch.zeros(n) for n in (10, 60, 30, 30, 90, 5)]
    sizes = []

    def run(rows):
        sizes.append([len(row) for row in rows])
        return rows

    finished = []
    frames = [len(item) for item in items]
    planned = batches.least_padding(frames, 100, start=30)
    results = batches.in_batches(items, frames, planned, run, lambda item: item, finished.append)
    assert [len(row) for row in results] == frames
    assert sizes == [[5, 10], [30, 30], [60], [90]]
    assert all(len(rows) * max(rows) <= 100 for rows in sizes)
    assert finished == [15, 60, 60, 90]


@pytest.mark.parametrize(
    ("frames", "most", "start", "sizes"),
    [
        (
            [10, 60, 30, 30, 90, 5],
            100,
            1,
            [[5], [10], [30, 30], [60], [90]],
        ),  # batches cost next to nothing
        ([10, 90, 30, 5], 100, 1000, [[5, 10, 30], [90]]),  # as few as can be
        ([20, 20, 20, 20, 20], 60, 10, [[20, 20], [20, 20, 20]]),
        ([50, 70], 40, 10, [[50], [70]]),  # too long for any
        ([5, 6], 0, 10, [[5], [6]]),
        ([], 100, 10, []),
    ],
)
def test_batches_weigh_padding_against_their_number(frames, most, start, sizes):
    planned = batches.least_padding(frames, most, start)
    assert [[frames[index] for index in indices] for indices in planned] == sizes


@pytest.mark.parametrize(
    ("config", "module", "name"),
    [
        (XCODEC2, snake, "zero_tail"),
        (SPECTROGRAM, convolution, "zero_tail"),
        (XCODEC2, convolution, "zero_tail"),
        (XCODEC2, decoder, "valid_mask"),
    ],
)
def test_leaving_a_mask_out_is_caught(monkeypatch, config, module, name):
    """Each kind of mask matters: without it the batch differs from single runs."""
    model = random_model(config)
    items = utterances(4, 0.2, 1.5)
    codes = [torch.randint(65_536, (n,)) for n in (10, 40, 25)]
    leaky = (
        (lambda x, lengths: x)
        if name == "zero_tail"
        else (lambda lengths, size: torch.ones(len(lengths), size) > 0)
    )
    monkeypatch.setattr(
        snake_cpu, "can_run", lambda x: False
    )  # it leaves zeros behind the end, mask or not
    monkeypatch.setattr(module, name, leaky)
    with torch.no_grad():
        rows = model.encode(items, 16_000)
        encode_differs = any(
            not torch.equal(a.codes, model.encode(i, 16_000).codes)
            for a, i in zip(rows, items, strict=True)
        )
        waves = model.decode(codes)
        decode_differs = any(
            (w - model.decode(c)).abs().max() > 1e-3 * w.abs().max()
            for w, c in zip(waves, codes, strict=True)
        )
    both = module is convolution and config is XCODEC2  # semantic branch and decoder
    assert (encode_differs and decode_differs) if both else (encode_differs or decode_differs)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=4))
@settings(max_examples=25, deadline=None)
def test_held_and_zeroed_tails(lengths):
    size = max(lengths) + 3
    x = torch.randn(len(lengths), 2, size)
    held, zeroed = (f(x, torch.tensor(lengths)) for f in (masking.hold_tail, masking.zero_tail))
    for row, length in enumerate(lengths):
        assert torch.equal(held[row, :, :length], x[row, :, :length])
        assert torch.equal(zeroed[row, :, :length], x[row, :, :length])
        assert (held[row, :, length:] == x[row, :, length - 1 : length]).all()
        assert (zeroed[row, :, length:] == 0).all()


def test_moments_stop_at_each_end():
    x = torch.randn(2, 9, 3, dtype=torch.float64)
    mean, variance = masking.mean_and_variance(x, torch.tensor([9, 4]), unbiased=True)
    torch.testing.assert_close(mean[1, 0], x[1, :4].mean(0))
    torch.testing.assert_close(variance[1, 0], x[1, :4].var(0))
    torch.testing.assert_close(variance[0, 0], x[0].var(0))


def test_25_tokens_a_second_is_a_configuration():
    model = random_model(replace(XCODEC2, strides=(2, 4, 4, 4, 5)))
    assert model.frame_rate == 25
    codes = model.encode(speech(), 16_000)
    assert len(codes) == len(speech()) // 640 + 1
    assert len(model.decode(codes)) == len(speech())


def test_a_gpus_float32_keeps_all_its_bits_and_gives_back_what_was_set():
    places = [(place, name) for place, name, _ in float32_switches()]
    before = [getattr(place, name) for place, name in places]
    with full_float32(torch.device("cuda")):
        assert [getattr(place, name) for place, name in places] == [
            exact for _, _, exact in float32_switches()
        ]
    assert [getattr(place, name) for place, name in places] == before
    with full_float32(torch.device("cpu")):
        assert [getattr(place, name) for place, name in places] == before
