"""Many sequences together: the same seed gives the same tokens as alone, to the bit, whatever is
beside it and whenever it comes and goes.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from talkers import CODEBOOK, prompts, small_llama
from transformers.generation.logits_process import (
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from xcodec2.errors import LlasaError
from xcodec2.llasa import BatchGenerator, Sampling
from xcodec2.llasa.decoding.base import Choices
from xcodec2.llasa.generation.draw import Drawer, draw
from xcodec2.llasa.lm import LanguageModel, LlasaMetadata

TORCH = tuple(map(int, torch.__version__.split(".")[:2]))
HOT = Sampling(temperature=1.5, top_p=0.95, repetition_penalty=1.1, max_tokens=30)


@pytest.fixture(scope="module")
def lm() -> LanguageModel:
    """Random weights: any code may follow any."""
    return LanguageModel("wild", small_llama(), prompts(), LlasaMetadata())


def alone(lm: LanguageModel, prompt: np.ndarray, sampling: Sampling, seed: int) -> list[int]:
    generator = BatchGenerator(lm, 1)
    sequence = generator.start(prompt, sampling, seed=seed)
    while generator.step():
        pass
    return sequence.tokens


def test_sequences_that_come_and_go_are_what_they_are_alone(lm):
    asked = [(lm.prompts.prompt("abc"[:n] * n), seed) for seed, n in enumerate([1, 2, 3, 1, 2, 3])]
    generator, started, steps = BatchGenerator(lm, 3), [], 0
    waiting = list(asked)
    while waiting or generator.active:
        if waiting and generator.free and steps % 7 == 0:  # joins while others are under way
            prompt, seed = waiting.pop(0)
            started.append(generator.start(prompt, HOT, seed=seed))
        generator.step()
        steps += 1
    for (prompt, seed), sequence in zip(asked, started, strict=True):
        assert sequence.finished in ("end", "length")
        assert sequence.tokens == alone(lm, prompt, HOT, seed)


def test_scores_do_not_depend_on_the_batch_to_the_bit(lm):
    decoder, choices = lm.decoder, BatchGenerator(lm).speech
    reads = [lm.prompts.prompt("a" * n) for n in (1, 4, 9, 2, 7)]
    together = [decoder.new_state() for _ in reads]
    both = decoder.scores(decoder.advance(together, reads), choices)
    more = decoder.scores(decoder.advance(together, [np.array([n]) for n in range(5)]), choices)
    for row, read in enumerate(reads):
        state = decoder.new_state()
        alone = decoder.scores(decoder.advance([state], [read]), choices)
        assert np.array_equal(alone[0], both[row])
        alone = decoder.scores(decoder.advance([state], [np.array([row])]), choices)
        assert np.array_equal(alone[0], more[row])


def test_each_step_gives_every_sequence_one_token(lm):
    generator = BatchGenerator(lm, 2)
    endless = Sampling(max_tokens=4)
    one = generator.start(lm.prompts.prompt("a"), endless, min_tokens=5)
    assert generator.step() == [one]
    assert len(one.tokens) == 1
    two = generator.start(lm.prompts.prompt("b"), endless, min_tokens=5)
    assert generator.free == 0
    with pytest.raises(LlasaError, match="2 sequences are under way"):
        generator.start(lm.prompts.prompt("c"))
    assert generator.step() == [one, two]
    assert (len(one.tokens), len(two.tokens)) == (2, 1)
    generator.cancel(one)
    assert one.finished == "cancelled"
    assert generator.active == (two,)
    generator.step(), generator.step()
    assert generator.step() == [two]
    assert two.finished == "length"
    assert generator.free == 2
    assert generator.step() == []
    assert len(two.tokens) == 4
    assert len(one.tokens) == 2
    generator.cancel(two)
    assert two.finished == "length"


def test_other_tokens_can_be_allowed(lm):
    few = Choices(np.array([5, 6, 9]))
    generator = BatchGenerator(lm, 2)
    text = generator.start([1, 2, 3], Sampling(5.0), choices=few, end=9, seed=1)
    speech = generator.start(lm.prompts.prompt("a"), Sampling(max_tokens=9), seed=2, min_tokens=9)
    while generator.step():
        pass
    assert text.finished == "end"
    assert set(text.tokens) <= {5, 6}
    assert text.tokens
    assert set(speech.tokens) <= set(lm.prompts.vocabulary.code_ids.tolist())


@pytest.mark.parametrize(
    ("prompt", "changes", "words"),
    [
        ([], {}, "prompt must be ids"),
        ([1 << 40], {}, "prompt must be ids"),
        ([1], {"choices": Choices(np.array([-1]))}, "choices must be ids"),
        ([1] * 1024, {}, "context 1024"),
        ([1], {"seed": 1 << 70}, "seed"),
    ],
)
def test_what_cannot_be_started_is_refused(lm, prompt, changes, words):
    generator = BatchGenerator(lm)
    with pytest.raises(LlasaError, match=words):
        generator.start(prompt, **changes)
    assert generator.active == ()


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(0.8),
        Sampling(1.0, top_k=7),
        Sampling(1.3, top_p=0.6),
        Sampling(0.5, top_p=0.9, top_k=40, repetition_penalty=1.3),
        Sampling(0, repetition_penalty=3.0),
    ],
)
@pytest.mark.skipif(TORCH < (2, 7), reason="its multinomial draws other numbers")
def test_a_draw_is_what_transformers_and_multinomial_make_of_the_scores(sampling):
    """The same numbers give the same tokens as every release before."""
    values = torch.Generator().manual_seed(9)
    ids = np.arange(1000, 1000 + CODEBOOK)
    size = 1100
    theirs, ours = torch.Generator().manual_seed(4), Drawer(4, size)
    read = torch.arange(1010, 1020)[None]
    for _ in range(100):
        scores = 3 * torch.randn(CODEBOOK, generator=values)
        all_scores = torch.full((1, size), -torch.inf)
        all_scores[0, 1000 : 1000 + CODEBOOK] = scores
        if sampling.repetition_penalty != 1:
            all_scores = RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty)(
                read, all_scores
            )
        if sampling.temperature:
            all_scores = TemperatureLogitsWarper(sampling.temperature)(read, all_scores)
        if sampling.top_k:
            all_scores = TopKLogitsWarper(sampling.top_k)(read, all_scores)
        if sampling.top_p < 1:
            all_scores = TopPLogitsWarper(sampling.top_p)(read, all_scores)
        if sampling.temperature:
            wanted = int(torch.multinomial(all_scores.softmax(-1)[0], 1, generator=theirs))
        else:
            wanted = int(all_scores.argmax())
        choices = Choices(ids)
        place = draw(scores.numpy(), choices, sampling, ours, choices.places(read[0].numpy()))
        assert ids[place] == wanted
