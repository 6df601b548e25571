"""Speech tokenizers: models, exported ones and one's own are used alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from tiny import random_model, speech

from xcodec2.evaluate import TokenizerSystem, evaluate
from xcodec2.evaluate.systems.tokenizer import model_system
from xcodec2.tokenizer import SpeechTokenizer, as_array


class Signs:
    """A tokenizer of one's own: whether each block of 20 ms is high or low on average."""

    sample_rate, frame_rate, codebook_size = 16_000, 50.0, 2

    def encode(self, audio: np.ndarray, sample_rate: int) -> torch.Tensor:
        assert sample_rate == 16_000
        blocks = np.resize(audio, (len(audio) // 320, 320))
        return torch.from_numpy((blocks.mean(1) > 0).astype(np.int64))

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        return (codes.float() - 0.5).repeat_interleave(320)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Two clips with labels: a, then b."""
    for index in range(2):
        samples = speech().numpy()[20_000 * index : 20_000 * index + 16_000]
        soundfile.write(tmp_path / f"{index}.wav", samples, 16_000)
        (tmp_path / f"{index}.lab").write_text("#\n0.5 125 a\n1.0 125 b\n")
    return tmp_path


def test_models_and_ones_own_are_tokenizers():
    assert isinstance(random_model(), SpeechTokenizer)
    assert isinstance(Signs(), SpeechTokenizer)
    assert not isinstance(torch.nn.Identity(), SpeechTokenizer)


@pytest.mark.usefixtures("no_page")
def test_ones_own_is_evaluated_with_its_codes(corpus):
    signs = TokenizerSystem("signs", Signs(), key="signs 1")
    summary = evaluate(
        str(corpus), corpus / "out", models=(), systems=[signs], metrics=["si-sdr", "invariance"],
        phones=str(corpus), cost=False, worst=0,
    )  # fmt: skip
    found, codes = summary["systems"]["signs"], summary["codes"]["signs"]
    assert found["bit_rate"] == 50
    assert found["metrics"]["kept_gain"]["mean"] == 1  # a level changes no sign
    assert codes["use"] == codes["use"] | {"total": 100, "codebook_size": 2, "nominal_bit_rate": 50}
    assert codes["phones"]["frames"] == 100


class TwoBooks(Signs):
    """Every code twice."""

    def encode(self, audio: np.ndarray, sample_rate: int) -> torch.Tensor:
        return super().encode(audio, sample_rate).repeat(2, 1)

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        return super().decode(codes[0])


@pytest.mark.usefixtures("no_page")
def test_of_several_codebooks_the_bits_are_counted(corpus, tmp_path_factory):
    def measured(*metrics: str) -> tuple[dict, dict]:
        system = TokenizerSystem("two", TwoBooks())
        summary = evaluate(
            str(corpus),
            tmp_path_factory.mktemp("out"),
            models=(),
            systems=[system],
            metrics=metrics,
            cost=False,
            worst=0,
        )
        return summary["systems"]["two"], summary["codes"]

    found, codes = measured("si-sdr", "invariance")
    assert (found["bit_rate"], found["metrics"].keys(), codes) == (100, {"si_sdr"}, {})
    found, codes = measured()
    assert (found["failed"], codes) == (2, {})


def test_what_probes_are_given(tiny_folder):
    codes = np.array([0, 1, 1])
    np.testing.assert_array_equal(
        TokenizerSystem("signs", Signs()).features(codes), [[1, 0], [0, 1], [0, 1]]
    )
    digits = model_system(str(tiny_folder)).features(np.array([0, 65_535]))
    assert digits.shape == (2, 32)
    assert (digits.sum(1) == 8).all()
    large = Signs()
    large.codebook_size = 65_536
    assert TokenizerSystem("large", large).features(codes) is None  # no digits, too many to count


@pytest.mark.parametrize("kind", [np.asarray, torch.tensor, list])
def test_results_of_any_kind_become_arrays(kind):
    found = as_array(kind([1.0, 2.0]))
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, [1, 2])
    codes = random_model().encode(speech()[:3200], 16_000)
    np.testing.assert_array_equal(as_array(codes), codes.codes.numpy())
