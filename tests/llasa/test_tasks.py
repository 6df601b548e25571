"""Tasks beside speaking: their rows, their labels, and a model that has learned them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from click.testing import CliRunner
from talkers import CODEBOOK, FEW, TEACHING, base_tokenizer, prompts, small_codec, utterances

from xcodec2.cli import xcodec2
from xcodec2.codes import Codes
from xcodec2.errors import LlasaError
from xcodec2.llasa.lm import load_lm, load_tokenizer
from xcodec2.llasa.prompts import TASKS, Prompts
from xcodec2.llasa.training.data import labeled
from xcodec2.llasa.training.packing import IGNORED
from xcodec2.llasa.training.prepare import Prepared, prepare
from xcodec2.llasa.training.recipe import LlasaRecipe
from xcodec2.llasa.training.rows import Rows, example
from xcodec2.llasa.training.train import train
from xcodec2.llasa.transcription import LmTranscriber


def corpus(folder: Path) -> Path:
    codec = small_codec()
    metadata = {
        "xcodec2.model": str(codec.model_id),
        "xcodec2.weights_hash": str(codec.weights_hash),
        "xcodec2.codebook_size": str(CODEBOOK),
    }
    rows = [
        {"id": text, "codes": codes.tolist(), "text": text}
        for text, codes in utterances(FEW).items()
    ]
    table = pyarrow.Table.from_pylist(rows).replace_schema_metadata(metadata)
    pyarrow.parquet.write_table(table, folder / "codes.parquet")
    return folder / "codes.parquet"


def rows_of(folder: Path, *tasks: str, length: int = 400, tokenizer=None) -> tuple[Rows, Prompts]:
    tokenizer = tokenizer or base_tokenizer(None, llama=False)
    prepare(corpus(folder), folder / "rows", tokenizer, length=length, validation=0, tasks=tasks)
    return Rows(folder / "rows", "train"), Prompts.of(load_tokenizer(folder / "rows"))


def shown(row: np.ndarray, own: Prompts) -> str:
    """A row with codes left out."""
    kept = row[~own.vocabulary.is_code(row)]
    text = own.tokenizer.decode(kept)
    for name, short in (
        ("UNDERSTANDING_", "U_"),
        ("GENERATION_", "G_"),
        ("SPEECH", "S"),
        ("TEXT", "T"),
    ):
        text = text.replace(name, short)
    return text


@pytest.mark.parametrize("llama", [True, False])
def test_each_task_has_its_row_its_instruction_and_its_labels(tmp_path, llama):
    tokenizer = base_tokenizer() if llama else None
    rows, own = rows_of(tmp_path, *TASKS, tokenizer=tokenizer)
    found = {}
    for number in range(len(rows)):
        row = example(rows[number], own.vocabulary)
        found.setdefault(own.task_of(row), []).append(row)
    assert {task: len(some) for task, some in found.items()} == {
        "tts": 5,
        "asr": 5,
        "continue": 5,
        "interleave": 1,
    }
    codes = list(utterances(FEW).values())
    assert shown(found["tts"][0], own) == "<|T_U_START|>red car.<|T_U_END|><|S_G_START|><|S_G_END|>"
    assert shown(found["asr"][0], own) == "<|S_U_START|><|S_U_END|><|T_G_START|>red car.<|T_G_END|>"
    speech = found["continue"][0]
    assert shown(speech, own) == "<|S_U_START|><|S_U_END|><|S_G_START|><|S_G_END|>"
    assert (
        own.vocabulary.to_codes(speech[own.vocabulary.is_code(speech)]).tolist()
        == codes[0].tolist()
    )
    assert 0.2 < own.answer_start(speech) / len(speech) < 0.8
    assert shown(found["interleave"][0], own) == (
        "<|T_U_START|>red car.<|T_U_END|><|S_G_START|><|S_G_END|><|T_G_START|>red sun.<|T_G_END|>"
        "<|S_G_START|><|S_G_END|>"
    )
    for task, some in found.items():
        item = labeled(own.in_chat(some[0]), own)
        asked = own.tokenizer.decode(item.ids[item.labels == IGNORED])
        assert TASKS[task] in asked
        answer = some[0][own.answer_start(some[0]) :]
        assert item.labels[item.labels != IGNORED].tolist() == answer.tolist()
    made = Prepared.load(tmp_path / "rows")
    assert made.tasks == tuple(TASKS)
    assert "too few recordings" in (tmp_path / "rows" / "refused.tsv").read_text()


def test_recordings_in_turn_are_cut_where_a_row_is_full(tmp_path):
    rows, own = rows_of(tmp_path, "interleave", length=150)
    found = [example(rows[number], own.vocabulary) for number in range(len(rows))]
    assert [len(row) <= 150 for row in found] == [True] * len(found)
    texts = [text for row in found for text in FEW if text in own.tokenizer.decode(row)]
    assert len(found) == 1
    assert texts == [FEW[0], FEW[2]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda row, v: row[1:], "does not begin with the text's mark"),
        (lambda row, v: row[row != v.heard_end], "text and speech are not marked"),
        (lambda row, v: row[row != v.writing_end], "text has no end: cut short"),
        (lambda row, v: np.delete(row, slice(1, list(row).index(v.heard_end))), "no speech"),
        (lambda row, v: np.where(np.arange(len(row)) == 3, 5, row), "tokens that are no codes"),
    ],
)
def test_rows_that_are_none_are_refused(change, words):
    v = prompts().vocabulary
    codes = v.to_ids([1, 2, 3, 4])
    row = np.array([v.heard_start, *codes, v.heard_end, v.writing_start, 7, 8, v.writing_end, 0, 0])
    assert example(row, v).tolist() == row[:-2].tolist()
    with pytest.raises(LlasaError, match=words):
        example(change(row, v), v)


def test_the_command_refuses_tasks_that_are_none(tmp_path):
    args = ["llasa", "prepare", str(tmp_path), str(tmp_path / "o"), "--tokenizer", "bundled"]
    done = CliRunner().invoke(xcodec2, [*args, "--task", "tts,sing"])
    assert done.exit_code == 2
    assert "sing is none; give some of tts, asr, continue, interleave" in done.output


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that speaks and writes the same few utterances."""
    folder = tmp_path_factory.mktemp("writer")
    rows_of(folder, "tts", "asr", length=256)
    recipe = LlasaRecipe(
        out=str(folder / "run"), rows=[str(folder / "rows")], **TEACHING | {"steps": 150}
    )
    return train(recipe)


def test_one_model_writes_what_it_speaks(writer, tmp_path):
    lm = load_lm(writer)
    assert lm.metadata.tasks == ("tts", "asr")
    transcriber = LmTranscriber(lm)
    for text, codes in utterances(FEW).items():
        assert transcriber.transcribe(codes).text == text
    assert transcriber.transcribe([]).text == ""
    codes = utterances(FEW)[FEW[1]]
    own = small_codec()
    Codes(
        codes, codebook_size=CODEBOOK, model=str(own.model_id), weights_hash=str(own.weights_hash)
    ).save(tmp_path / "a.npz")
    run = ["transcribe", str(tmp_path / "a.npz"), "--lm", str(writer)]
    done = CliRunner().invoke(xcodec2, [*run, "--format", "json"])
    assert done.exit_code == 0, (done.output, done.exception)
    end = len(codes) / 50
    segment = {"text": FEW[1], "start": 0.0, "end": end}
    assert json.loads(done.stdout) == {
        "text": FEW[1],
        "words": [],
        "phones": [],
        "segments": [segment],
    }
    vtt = CliRunner().invoke(xcodec2, [*run, "--format", "vtt"]).output
    assert f"00:00:00.000 --> 00:00:0{end:.3f}\n{FEW[1]}" in vtt
    both = CliRunner().invoke(xcodec2, [*run, "--ctc", str(tmp_path / "a.npz")])
    assert both.exit_code == 2


def test_a_model_that_only_speaks_is_refused(taught):
    with pytest.raises(LlasaError, match="has not learned to transcribe: train one on rows of"):
        LmTranscriber.load(taught)
