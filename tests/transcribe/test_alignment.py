"""Alignment: every code belongs to one symbol of the text, in order, as the model hears it."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from talkers import CODEBOOK, small_codec, write_track_codes

from xcodec2.cli import xcodec2
from xcodec2.errors import TranscriptionError
from xcodec2.identity import CodecIdentity
from xcodec2.llasa.lm import load_tokenizer
from xcodec2.llasa.prompts import Prompts
from xcodec2.llasa.track import Track, phoneme_tokenizer
from xcodec2.llasa.training.prepare import prepare
from xcodec2.llasa.training.rows import Rows
from xcodec2.transcribe import CtcConfig, CtcNetwork, Transcriber
from xcodec2.transcribe.alignment import durations, likeliest_states

SURE = -0.1


def heard(symbols: list[int], count: int = 4) -> np.ndarray:
    """(T, S) where these symbols are likely, one after another; 0 is the blank."""
    scores = np.full((len(symbols), count), -5.0)
    scores[np.arange(len(symbols)), symbols] = SURE
    return scores


def test_silence_is_at_the_ends_and_blanks_between_are_shared():
    said = heard([0, 0, 0, 1, 1, 0, 0, 0, 2, 3, 3, 3, 0])
    assert durations(said, [1, 2, 3]) == [3, 4, 2, 3, 1]  # the odd one is the earlier's


def test_equal_symbols_have_a_blank_between():
    assert durations(heard([1, 1, 1, 1, 1, 1]), [1, 1]) in (
        [0, 2, 4, 0],
        [0, 4, 2, 0],
        [0, 3, 3, 0],
    )
    with pytest.raises(TranscriptionError, match="2 codes are too few for 2 symbols"):
        durations(heard([1, 1]), [1, 1])
    assert durations(heard([1, 2]), [1, 2]) == [0, 1, 1, 0]
    with pytest.raises(TranscriptionError, match="0 codes"):
        durations(np.zeros((0, 4)), [1])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=3), st.integers(0, 10_000))
def test_the_path_is_the_likeliest_of_all(target, seed):
    scores = np.random.default_rng(seed).normal(size=(6, 4))
    symbols = [0, *itertools.chain(*((one, 0) for one in target))]

    def allowed(path: tuple[int, ...]) -> bool:
        if path[0] > 1 or path[-1] < len(symbols) - 2:
            return False
        for one, two in itertools.pairwise(path):
            skip = two % 2 and two - one == 2 and symbols[one] != symbols[two]
            if two - one not in (0, 1) and not skip:
                return False
        return True

    paths = [
        path
        for path in itertools.combinations_with_replacement(range(len(symbols)), 6)
        if allowed(path)
    ]
    if not paths:
        return
    value = lambda path: sum(scores[place, symbols[one]] for place, one in enumerate(path))  # noqa: E731
    found = tuple(likeliest_states(scores, target).tolist())
    assert allowed(found)
    assert value(found) == pytest.approx(max(map(value, paths)))
    assert sum(durations(scores, target)) == 6


def transcriber(phones: str = "wˈʌntuθɹifɔsk.") -> Transcriber:
    codec = small_codec()
    config = CtcConfig(phones, " ab", codebook_size=CODEBOOK, width=16, blocks=1, kernel=3)
    identity = CodecIdentity(str(codec.model_id), str(codec.weights_hash), CODEBOOK, 50)
    return Transcriber(CtcNetwork(config).eval(), identity)


def test_phones_that_a_model_does_not_know_last_nothing():
    made = transcriber().durations(np.arange(20), "ˈʌxn.")
    assert (len(made), sum(made), made[3]) == (7, 20, 0)
    with pytest.raises(TranscriptionError, match="no phone of 'xyz'"):
        transcriber().durations(np.arange(20), "xyz")


def test_recordings_without_durations_become_rows_of_a_track(tmp_path: Path):
    reader, source = transcriber(), write_track_codes(tmp_path, durations=3)
    table = pyarrow.parquet.read_table(source)
    texts = ["One.", "Two.", "Three.", "Four.", "Six."]
    bare = table.drop_columns(["durations", "phonemes", "text"])
    bare = bare.append_column("text", pyarrow.array(texts))
    pyarrow.parquet.write_table(bare, source)
    reader.save(tmp_path / "ctc.safetensors")
    arguments = ["--tokenizer", str(tmp_path / "tokenizer"), "--track", "--validation", "0"]
    phoneme_tokenizer(CODEBOOK).save_pretrained(tmp_path / "tokenizer")
    arguments += ["--ctc", str(tmp_path / "ctc.safetensors")]
    places = [str(source), str(tmp_path / "rows")]
    done = CliRunner().invoke(xcodec2, ["llasa", "prepare", *places, *arguments])
    assert done.exit_code == 0, (done.output, done.exception)
    rows = Rows(tmp_path / "rows", "train")
    own = Prompts.of(load_tokenizer(tmp_path / "rows"))
    track = Track.of(own)
    assert len(rows) == 5
    speech = rows[0][own.answer_start(rows[0]) + 1 :]
    speech = speech[: int(np.argmax(speech == own.vocabulary.speech_end))]
    assert "".join(one.text for one in track.times(speech)) == "wˈʌn."
    assert track.codes(speech).tolist() == table["codes"][0].as_py()
    made = prepare(
        source,
        tmp_path / "none",
        phoneme_tokenizer(CODEBOOK),
        track=True,
        aligner=lambda codes, phonemes: transcriber("Q").durations(codes, phonemes),
    )
    assert made.refused == {"no durations": 5}
