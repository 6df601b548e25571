"""Voices on a phoneme track: a clip is heard before the text, in rows as in prompts."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
from click.testing import CliRunner
from talkers import CODEBOOK, small_codec, write_track_codes
from tiny import speech
from transformers import LlamaConfig, LlamaForCausalLM

from xcodec2.cli import xcodec2
from xcodec2.codes import Codes
from xcodec2.errors import LlasaError
from xcodec2.llasa.backends.local import InProcess
from xcodec2.llasa.lm import LanguageModel, LlasaMetadata
from xcodec2.llasa.prompts import Prompts
from xcodec2.llasa.search import Search
from xcodec2.llasa.speaker import Speaker
from xcodec2.llasa.track import Track, phoneme_tokenizer
from xcodec2.llasa.training.data import WrongText, labeled, row_texts
from xcodec2.llasa.training.packing import IGNORED
from xcodec2.llasa.training.prepare import Prepared, prepare
from xcodec2.llasa.training.recipe import LlasaRecipe
from xcodec2.llasa.training.rows import Rows, example
from xcodec2.llasa.training.train import rows_metadata
from xcodec2.llasa.vocabulary import CLIP
from xcodec2.llasa.voices import StoredVoice, VoiceStore, known_voice, preset_store


def rows_of(folder: Path, durations: int = 4) -> tuple[list[np.ndarray], Prompts]:
    tokenizer = phoneme_tokenizer(CODEBOOK)
    prepare(
        write_track_codes(folder, durations),
        folder / "rows",
        tokenizer,
        length=1000,
        validation=0,
        track=True,
        voices=True,
    )
    own = Prompts.of(tokenizer)
    found = Rows(folder / "rows", "train")
    ids = Track.of(own).ids
    return [example(found[number], own.vocabulary, ids) for number in range(len(found))], own


def test_rows_begin_with_a_clip_of_their_voice(tmp_path):
    rows, own = rows_of(tmp_path)
    v = own.vocabulary
    assert len(rows) == 3  # each voice's first recording is a clip alone
    table = pyarrow.parquet.read_table(tmp_path / "codes.parquet").to_pylist()
    for row, clip, said in zip(rows, (0, 2, 1), (2, 3, 4), strict=True):
        assert own.task_of(row) == "tts"
        end = int(np.argmax(row == v.heard_end))
        assert (row[0], row[end + 1]) == (v.heard_start, v.text_start)
        assert v.to_codes(row[1:end]).tolist() == table[clip]["codes"]
        text = row[own.text_start(row) : own.answer_start(row) - 1]
        assert own.tokenizer.decode(text) == table[said]["phonemes"]
        item = labeled(own.in_chat(row), own)
        learned = item.labels[item.labels != IGNORED]
        assert learned.tolist() == row[own.answer_start(row) :].tolist()
        assert v.to_codes(learned[v.is_code(learned)]).tolist() == table[said]["codes"]
    assert row_texts([Rows(tmp_path / "rows", "train")], own, 9, Track.of(own)) == [
        table[said]["phonemes"] for said in (2, 3, 4)
    ]
    recipe = LlasaRecipe(str(tmp_path), [str(tmp_path / "rows")], 1, 1e-3, base="x")
    made = Prepared.load(tmp_path / "rows")
    assert made.voices
    metadata = rows_metadata(recipe, made.codec, ())
    assert (metadata.track, metadata.one_voice) == (True, False)


def test_long_recordings_lend_a_part(tmp_path):
    rows, own = rows_of(tmp_path, durations=30)
    for row in rows:
        heard = int(np.argmax(row == own.vocabulary.heard_end)) - 1
        assert heard == CLIP


def test_wrong_text_leaves_the_clip_and_the_codes(tmp_path):
    rows, own = rows_of(tmp_path)
    change = WrongText(own, Track.of(own))
    assert change(rows[0]) is None
    changed = change(rows[1])
    v = own.vocabulary
    assert changed[v.is_code(changed)].tolist() == rows[1][v.is_code(rows[1])].tolist()
    shown = own.tokenizer.decode(changed[own.text_start(changed) : own.answer_start(changed) - 1])
    assert shown == "θɹˈi."


@pytest.mark.parametrize("what", ["end", "text", "clip"])
def test_clips_that_are_none_are_refused(tmp_path, what):
    rows, own = rows_of(tmp_path)
    v, row = own.vocabulary, rows[0].copy()
    if what == "clip":
        row[2] = v.text_end
    else:
        row = row[row != (v.heard_end if what == "end" else v.speech_start)]
    with pytest.raises(LlasaError, match=r"not marked|no codes"):
        example(row, v, Track.of(own).ids)


def test_voices_need_a_track(tmp_path):
    with pytest.raises(LlasaError, match="a phoneme track alone"):
        prepare(
            write_track_codes(tmp_path), tmp_path / "rows", phoneme_tokenizer(CODEBOOK), voices=True
        )


def talker(**facts: bool) -> InProcess:
    own = Prompts.of(phoneme_tokenizer(CODEBOOK))
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(own.tokenizer),
        max_position_embeddings=2048,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
    )
    metadata = LlasaMetadata(phonemes=True, track=True, **facts)
    return InProcess(LanguageModel("talker", LlamaForCausalLM(config).eval(), own, metadata))


def test_a_voice_is_heard_before_each_piece_and_needs_no_transcript():
    backend, asked = talker(), []
    speaker = Speaker(backend, small_codec())
    voice = speaker.voice(speech()[: 4 * 16_000], sample_rate=16_000)
    inner = backend.generate
    backend.generate = lambda prompts, *rest: asked.extend(prompts) or inner(prompts, *rest)
    spoken = speaker.speak("One one. Two two.", voice=voice, chunk=9)
    v = backend.prompts.vocabulary
    start = (len(voice.codes) - CLIP) // 2
    assert len(asked) == len(spoken.pieces) == 2
    for prompt in asked:
        end = int(np.argmax(prompt == v.heard_end))
        assert prompt[0] == v.heard_start
        assert v.to_codes(prompt[1:end]).tolist() == voice.codes[start : start + CLIP].tolist()
        assert prompt[-1] == v.speech_start
    asked.clear()
    speaker.speak("One one. Two two.", chunk=9)  # without a voice none is lent: its own is known
    assert all(v.heard_start not in prompt for prompt in asked)
    with pytest.raises(LlasaError, match="one voice only"):
        Speaker(talker(one_voice=True), small_codec()).voice(speech()[:32_000], "", 16_000)


@pytest.mark.parametrize("method", ["beam-2x2", "partial-2x2", "best-of-2"])
def test_candidates_of_a_track_are_whole(method):
    speaker = Speaker(talker(), small_codec())
    search = Search.parse(method)
    verifier = lambda text, waveform, reference: -float(len(waveform))  # noqa: E731
    if search.method == "best-of":
        spoken = speaker.speak("One.", search=search, verifier=verifier)
        lengths = [len(item.codes) for item in spoken.searches[0].candidates]
        assert lengths == sorted(lengths)
        assert spoken.pieces[0][1].finished
    else:
        with pytest.raises(LlasaError, match="phoneme track: search it with best-of-N"):
            speaker.speak("One.", search=search, verifier=verifier)


def test_a_model_brings_voices_and_the_users_own_come_first(tmp_path):
    def voice(id: str, text: str) -> StoredVoice:
        codes = Codes([3, 1, 2], 960, 16_000, codebook_size=64, model="small", weights_hash="ab12")
        return StoredVoice(id, codes, text, "made by a program")

    lm, own = tmp_path / "lm", VoiceStore(tmp_path / "own")
    assert preset_store(lm).folder == lm / "voices"
    for id in ("low", "high"):
        preset_store(lm).add(voice(id, "The model's."))
    own.add(voice("high", "The user's."))
    assert known_voice("low", own, lm).text == "The model's."
    assert known_voice("high", own, lm).text == "The user's."
    with pytest.raises(LlasaError, match=r"no voice none in .*; the model's own: high, low"):
        known_voice("none", own, lm)
    arguments = ["voices", "list", "--voices", str(own.folder), "--lm", str(lm)]
    listed = CliRunner().invoke(xcodec2, arguments).output.splitlines()
    assert [line.split("\t")[::4] for line in listed] == [
        ["high", "The user's."],
        ["low", "The model's."],
    ]


def test_the_command_asks_for_a_transcript_where_the_model_does(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        track, text = tmp_path / "track", tmp_path / "text"
        for lm, on_track in ((track, True), (text, False)):
            lm.mkdir()
            facts = LlasaMetadata(small_codec().identity, phonemes=on_track, track=on_track)
            facts.save(lm)
        clip = tmp_path / "clip.wav"
        clip.touch()
        speak = ["speak", "Hi.", "-o", str(tmp_path / "a.wav"), "--voice", str(clip)]
        asks = CliRunner().invoke(xcodec2, [*speak, "--lm", str(text)])
        takes = CliRunner().invoke(xcodec2, [*speak, "--lm", str(track)])
    assert "belong together" in asks.output
    assert "belong together" not in takes.output
