"""Codes do not depend on how many threads there are."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch
from paths import ROOT

from xcodec2 import XCodec2Model
from xcodec2.cli import threads as settled
from xcodec2.llasa.backends.local import InProcess
from xcodec2.llasa.lm import load_for_speech
from xcodec2.llasa.sampling import Sampling
from xcodec2.quick import quick_model

COUNTS = (1, 2, 3, 4)


@pytest.fixture
def with_threads():
    """Run something with so many of PyTorch's threads."""
    before = torch.get_num_threads()

    def run(count, what):
        torch.set_num_threads(count)
        return what()

    yield run
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def speech():
    wave, rate = soundfile.read(ROOT / "src" / "xcodec2" / "assets" / "demo.flac", dtype="float32")
    return wave[: 2 * rate]


def test_any_number_of_threads_gives_the_same_codes_of_wholes_lists_and_short_commands(
    with_threads, speech
):
    model, quick = XCodec2Model.from_pretrained("nano").eval(), quick_model("nano", "cpu")
    pieces = [speech, speech[5000:21000], speech[9000:30000]]

    def codes():
        made = [model.encode(speech, 16_000), *model.encode(pieces, 16_000)]
        made.append(quick.encode(speech, 16_000))
        return np.concatenate([item.array for item in made]).tolist()

    one, *others = [with_threads(count, codes) for count in COUNTS]
    assert len(one) > 300
    assert all(other == one for other in others)


def test_any_number_of_threads_gives_the_same_speech(with_threads):
    lm = load_for_speech()

    def spoken():
        prompt = lm.prompts.prompt("ðə lˈidəɹ hæz lˈɛft.")
        (made,) = InProcess(lm).generate([prompt], [0], Sampling(temperature=0, max_tokens=25))
        return made.codes.tolist()

    one, *others = [with_threads(count, spoken) for count in COUNTS]
    assert all(other == one for other in others)


@pytest.mark.parametrize("verb", ["encode", "decode", "info", "reconstruct", "speak"])
def test_threads_of_short_commands_do_not_spin(verb, monkeypatch):
    for name in ("OMP_WAIT_POLICY", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "")  # put back afterwards
        monkeypatch.delenv(name)
    settled.settle_threads(verb)
    environment = settled.os.environ
    assert (environment["OMP_WAIT_POLICY"], environment["OPENBLAS_NUM_THREADS"]) == ("passive", "1")
