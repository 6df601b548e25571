"""Whose codes these are, in how many forms they are taken, and how they are shown."""

from __future__ import annotations

import base64
import io
import re
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from tiny import speech

import xcodec2
from xcodec2 import Codes, XCodec2Model
from xcodec2.errors import CodesError, XCodec2Error
from xcodec2.identity import CodecIdentity, CodesWarning
from xcodec2.printable import printable

NUMBERS = [17, 60_001, 0, 65_535]
TOKENS = "".join(f"<|s_{number}|>" for number in NUMBERS)


@pytest.fixture(scope="module")
def nano() -> XCodec2Model:
    return XCodec2Model.from_pretrained().eval()


# --- forms that decode takes ----------------------------------------------------------------------


def test_every_form_of_the_same_codes_gives_the_same_sound(nano, tmp_path):
    expected = nano.decode(torch.tensor(NUMBERS))
    np.save(tmp_path / "plain.npy", np.array(NUMBERS, "<u2"))
    nano.as_codes(NUMBERS).save(tmp_path / "codes.npz")
    (tmp_path / "tokens.txt").write_text(f"{TOKENS}\n")
    forms = [
        NUMBERS,
        [torch.tensor(number) for number in NUMBERS],
        [torch.tensor(NUMBERS[0]), *NUMBERS[1:]],
        [np.array(number) for number in NUMBERS],
        [np.uint16(number) for number in NUMBERS],
        tmp_path / "codes.npz",
        str(tmp_path / "codes.npz"),
        str(tmp_path / "plain.npy"),
        tmp_path / "tokens.txt",
        TOKENS,
        f"<|SPEECH_GENERATION_START|>{TOKENS}<|SPEECH_GENERATION_END|>\n",
        TOKENS.replace("><", "> <"),
        [f"<|s_{number}|>" for number in NUMBERS],
    ]
    for form in forms:
        assert torch.equal(nano.decode(form), expected), form
    batch = [TOKENS, tmp_path / "codes.npz", torch.tensor(NUMBERS)]
    for waveform in nano.decode(batch):
        torch.testing.assert_close(waveform, expected, rtol=0, atol=1e-5)
    assert len(nano.decode([torch.tensor([1]), torch.tensor([2])])) == 2
    streamed = nano.stream_decode([TOKENS[: TOKENS.index("><") + 1], torch.tensor(60_001)])
    assert torch.cat([*streamed]).shape == (640,)


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("<|s_65536|>", "<|s_65536|> is outside"),
        ("<|s_1|><|s_99999999999|>", "not only speech tokens"),
        ("<|s_1|> hello <|s_2|>", "also 'hello"),
        ("<|s_1|><|s_2", "also '<|s_2'"),
        ("<|SPEECH_GENERATION_START|>", "there are no codes"),
        ("no-such-file.npz", "no such file"),
        ([torch.tensor(1.5)], "integer"),
        ([torch.tensor(True)], "integer"),
        ([torch.tensor(70_000), torch.tensor(1)], "70000"),
    ],
)
def test_what_is_not_codes_is_one_error(nano, form, words):
    with pytest.raises(XCodec2Error, match=re.escape(words)):
        nano.decode(form)


def test_a_plain_array_is_taken_at_the_models_own_frame_rate(tmp_path):
    np.save(tmp_path / "plain.npy", np.array([1, 2], "<u2"))
    loaded = Codes.load(tmp_path / "plain.npy", frame_rate=25, codebook_size=4)
    assert (loaded.frame_rate, loaded.codebook_size, loaded.duration) == (25, 4, 0.08)


def test_codes_go_through_bytes_unchanged(nano):
    codes = nano.encode(speech()[:16_000], 16_000)
    assert Codes.load(codes.to_bytes()) == codes
    for damaged in (b"", b"PK", codes.to_bytes()[:-40], b"<|s_1|>\xff"):
        with pytest.raises(CodesError):
            Codes.load(damaged)


# --- whose they are -------------------------------------------------------------------------------


def test_codes_of_this_model_are_decoded_without_a_word(nano):
    codes = nano.encode(speech()[:16_000], 16_000)
    renamed = replace(codes, model="the same weights by another name")
    anonymous = replace(codes, model=None, weights_hash=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for item in (codes, codes, renamed, anonymous):
            nano.decode(item)
        XCodec2Model.from_pretrained(decoder_only=True).decode(codes)
        XCodec2Model.from_pretrained(dtype=torch.bfloat16).decode(codes)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weights_hash": "0" * 16}, r"encoded with nano \(weights 0000.*this model is nano"),
        ({"model": "other", "weights_hash": None}, "encoded with other, this model is nano"),
        ({"frame_rate": 25}, "has 25 codes per second, this model has 50"),
    ],
)
def test_codes_of_other_weights_or_another_frame_rate_are_warned_of(nano, tmp_path, change, words):
    codes = replace(nano.encode(speech()[:16_000], 16_000), **change)
    for _ in range(2):
        with pytest.warns(CodesWarning, match=words) as told:
            nano.decode(codes)
        assert told[0].filename == __file__
    codes.save(tmp_path / "a.npz")
    with pytest.warns(CodesWarning, match=rf"a\.npz .*{words}"):
        nano.decode([tmp_path / "a.npz"])
    with pytest.warns(CodesWarning, match=words):
        list(nano.stream_decode(codes))


def test_a_model_that_has_been_trained_since_is_another(nano):
    model = XCodec2Model.from_pretrained()
    codes = model.encode(speech()[:16_000], 16_000)
    model.decode(codes)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.001)
    with pytest.warns(CodesWarning, match="encoded with nano"):
        model.decode(codes)


def test_another_codebook_is_refused(nano):
    with pytest.raises(CodesError, match="a codebook of 4, this model has a codebook of 65536"):
        nano.decode(Codes([1, 2], codebook_size=4))


def test_check_refuses_what_differs_as_far_as_both_say():
    a = CodecIdentity("a", "1" * 16)
    a.check(CodecIdentity("b", "1" * 16), "this", "that")
    a.check(CodecIdentity(), "this", "that")
    a.check(CodecIdentity("a"), "this", "that")
    others = [
        CodecIdentity("a", "2" * 16),
        CodecIdentity("b"),
        CodecIdentity("a", "1" * 16, codebook_size=4),
        CodecIdentity("a", "1" * 16, frame_rate=25),
    ]
    for other in others:
        with pytest.raises(CodesError, match=r"this .* that"):
            a.check(other, "this", "that")


# --- how they are shown ---------------------------------------------------------------------------


def test_repr_is_one_short_line_with_the_duration(nano):
    codes = nano.encode(speech()[:48_000], 16_000)
    assert repr(codes) == "Codes(151 codes, 3.00 s, model='nano')"
    assert repr(Codes(torch.zeros(10_000, dtype=torch.int32))) == "Codes(10000 codes, 200.00 s)"
    hostile = repr(Codes([1], model="\x1b]0;x\x07" + "long" * 100))
    assert hostile.isprintable()
    assert len(hostile) < 150


def test_a_notebook_shows_a_player(nano):
    codes = nano.encode(speech()[:16_000], 16_000)
    for shown in (codes._repr_html_(), replace(codes)._repr_html_()):
        sound = re.search(r"src='data:audio/wav;base64,([^']+)'", shown)
        assert sound
        heard, rate = soundfile.read(io.BytesIO(base64.b64decode(sound[1])))
        assert (len(heard), rate) == (16_000, 16_000)
        assert np.abs(heard - nano.decode(codes).numpy()).max() < 1e-4
    unknown = replace(codes, model="<script>", weights_hash="0" * 16)
    assert "audio" not in unknown._repr_html_()
    assert "<script>" not in unknown._repr_html_()


def test_dir_and_all_agree_and_every_name_is_there():
    assert dir(xcodec2) == sorted(xcodec2.__all__)
    assert {"Codes", "XCodec2Model", "XCodec2Config", "XCodec2Error"} <= set(dir(xcodec2))
    assert all(getattr(xcodec2, name) for name in dir(xcodec2))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, naïve, 日本語, می‌خواهم", "plain, naïve, 日本語, می‌خواهم"),
        ("\x1b[31mred\x07", r"\u001b[31mred\u0007"),
        ("a\nb\tc\rd", r"a\u000ab\u0009c\u000dd"),
        ("\x9b1m\x7f", r"\u009b1m\u007f"),
        ("evil\u202etxt.exe\u2069", r"evil\u202etxt.exe\u2069"),
        ("half \udcff", r"half \udcff"),
        ("a\u2028b", r"a\u2028b"),
        (Path("x\x1b.wav"), r"x\u001b.wav"),
    ],
)
def test_nothing_that_commands_a_terminal_is_printed(text, shown):
    assert printable(text) == shown
