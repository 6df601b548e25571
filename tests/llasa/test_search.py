"""Searches: the best that can be found is found, the same again for the same seed; verifiers by
name.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from talkers import CODEBOOK, FEW, prompts, small_codec, utterances

from xcodec2.errors import LlasaError
from xcodec2.llasa.backends.base import Generated, Sampling
from xcodec2.llasa.backends.local import InProcess
from xcodec2.llasa.lm import LlasaMetadata, load_lm
from xcodec2.llasa.search import Search, run_search
from xcodec2.llasa.speaker import Speaker
from xcodec2.llasa.verifiers import verifier


@pytest.fixture(scope="module")
def speaker(taught: Path) -> Speaker:
    return Speaker(InProcess(load_lm(taught)), small_codec())


class Scripted:
    """A back end whose continuations are known: the code of each seed, again and again. Each ends
    after 130 codes.
    """

    def __init__(self) -> None:
        self.name, self.prompts, self.metadata, self.context, self.calls = (
            "scripted",
            prompts(),
            LlasaMetadata(),
            1000,
            0,
        )
        self.start = len(prompts().prompt("abc"))

    def generate(self, asked, seeds, sampling):
        self.calls += len(asked)
        results = []
        for prompt, seed in zip(asked, seeds, strict=True):
            room = 130 - (len(prompt) - self.start)
            count = min(room, sampling.max_tokens or room)
            results.append(Generated(np.full(count, seed % CODEBOOK), finished=count == room))
        return results


def likes(wanted: int):
    """A score that is greatest where all codes are the wanted one."""
    return lambda codes: float((codes == wanted).mean()) if len(codes) else -1.0


def test_best_of_n_finds_the_best():
    backend = Scripted()
    found = run_search(
        Search.parse("best-of-8"), backend, prompts().prompt("abc"), Sampling(), 10, likes(13)
    )
    assert (found.best.codes == 13).all()
    assert found.best.finished
    assert found.candidates[0].seed == 13
    assert (found.num_tokens, found.num_verifications, len(found.candidates)) == (8 * 130, 8, 8)


WANTED = np.arange(130) % CODEBOOK


class Narrow(Scripted):
    """One seed in four goes on as wanted, the others astray: the one best utterance is known."""

    def generate(self, asked, seeds, sampling):
        results = []
        for prompt, seed in zip(asked, seeds, strict=True):
            done = len(prompt) - self.start
            count = min(130 - done, sampling.max_tokens or 130)
            right = WANTED[done : done + count]
            codes = right if seed % 4 == 1 else (right + 1 + seed) % CODEBOOK
            results.append(Generated(codes, finished=done + count == 130))
        return results


def nearness(codes: np.ndarray) -> float:
    """How many of the codes are those wanted: also of unfinished speech, and only WANTED itself has
    130.
    """
    return float((codes == WANTED[: len(codes)]).sum())


def test_equal_candidates_are_told():
    asked = (Narrow(), prompts().prompt("abc"), Sampling(temperature=0), 4, likes(13))
    for how in ("best-of-2", "beam-1x2", "partial-2x1"):
        with pytest.warns(UserWarning, match="at temperature 0"):
            run_search(Search.parse(how), *asked)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(run_search(Search.parse("best-of-1"), *asked).candidates) == 1


@pytest.mark.parametrize("how", ["best-of-4", "beam-1x4", "beam-2x4", "partial-2x4"])
def test_searches_find_the_one_known_best(how):
    found = run_search(
        Search.parse(how), Narrow(), prompts().prompt("abc"), Sampling(), 4, nearness
    )
    assert found.best.codes.tolist() == WANTED.tolist()
    assert found.best.finished
    assert found.best.score == 130
    missed = run_search(
        Search.parse("best-of-1"), Narrow(), prompts().prompt("abc"), Sampling(), 4, nearness
    )
    assert missed.best.score < 130


def greatest(codes: np.ndarray) -> float:
    """Sum of codes a token: what a beam can climb step by step."""
    return float(codes.mean())


@pytest.mark.parametrize("how", ["beam-2x4", "partial-2x4"])
def test_beams_keep_the_best_of_every_step(how):
    backend = Scripted()
    found = run_search(Search.parse(how), backend, prompts().prompt("abc"), Sampling(), 3, greatest)
    assert found.best.finished
    assert len(found.best.codes) == 130
    assert len(found.candidates) == 2
    tried = [3 + 1 * 1_000_003 + way for way in range(8)]
    assert found.rounds[0] == sorted((float(seed % CODEBOOK) for seed in tried), reverse=True)[:2]
    assert len(found.rounds) == (6 if how == "beam-2x4" else 4)
    single = run_search(
        Search.parse("best-of-1"), Scripted(), prompts().prompt("abc"), Sampling(), 3, greatest
    )
    assert found.best.score > single.best.score
    assert found.num_tokens < 8 * 130 * 2


def test_a_beam_search_finds_a_known_best_by_its_sound(speaker):
    """The verifier knows the sound that is wanted, and the model, at this temperature, seldom makes
    it.
    """
    text, codes = FEW[3], utterances()[FEW[3]]
    target = speaker.codec.decode(torch.from_numpy(codes)).numpy()

    def near(_text, waveform, _reference):
        length = min(len(waveform), len(target))
        return (
            -float(np.abs(waveform[:length] - target[:length]).mean())
            - abs(len(waveform) - len(target)) / 1e6
        )

    hot = Sampling(temperature=2.0, max_tokens=80)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one = speaker.speak(text, sampling=hot, search=Search.parse("best-of-1"), verifier=near)
        best = speaker.speak(text, sampling=hot, search=Search.parse("best-of-8"), verifier=near)
        beam = speaker.speak(text, sampling=hot, search=Search.parse("beam-4x4"), verifier=near)
    score = [spoken.searches[0].best.score for spoken in (one, best, beam)]
    assert score[1] == max(
        item.score
        for item in best.searches[0].candidates
        if item.finished == best.pieces[0][1].finished
    )
    assert score[1] >= score[0]
    assert len(best.searches[0].candidates) == 8
    assert beam.searches[0].num_verifications > 16


def test_searches_repeat_themselves(speaker):
    runs = [
        speaker.speak(
            FEW[1],
            seed=4,
            search=Search.parse("best-of-3"),
            verifier=lambda text, waveform, _: float(waveform.std()),
        )
        for _ in range(2)
    ]
    first, second = (
        [(item.seed, item.score) for item in run.searches[0].candidates] for run in runs
    )
    assert first == second


@pytest.mark.parametrize(
    "text", ["best", "best-of-0", "beam-4", "partial-2x0", "beam-2000x1", "best-of-8x2"]
)
def test_searches_that_are_none_are_refused(text):
    with pytest.raises(LlasaError, match="a search is"):
        Search.parse(text)


def test_verifiers_are_found_by_name(tmp_path):
    own = tmp_path / "mine.py"
    own.write_text("def loud(text, waveform, reference):\n    return float(abs(waveform).max())\n")
    assert verifier(f"{own}:loud")("a", np.array([0.1, -0.5]), None) == 0.5
    assert verifier("math:dist") is not None
    for name, words in {
        "nice": "no such verifier",
        "no_module:f": "no such verifier",
        "math:pi": "not callable",
    }.items():
        with pytest.raises(LlasaError, match=words):
            verifier(name)
    with pytest.raises(LlasaError, match="give --voice"):
        verifier("similarity")("a", np.zeros(16_000, np.float32), None)
