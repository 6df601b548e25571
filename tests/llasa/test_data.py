"""From codes to packs: what is written and refused, and that packing loses and leaks nothing."""

from __future__ import annotations

import datetime
import itertools
from pathlib import Path

import fsspec
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
from click.testing import CliRunner
from extraction import Inline, make_corpus
from hypothesis import given, settings
from hypothesis import strategies as st
from talkers import CODEBOOK, base_tokenizer, prompts, speech_tokenizer

from xcodec2.cli import xcodec2
from xcodec2.errors import CodesError, LlasaError, XCodec2Error
from xcodec2.extract import extract, run
from xcodec2.llasa.lm import load_tokenizer
from xcodec2.llasa.prompts import Prompts
from xcodec2.llasa.training.data import (
    labeled,
    misread,
    mixed_in,
    row_texts,
    shuffled_indices,
    speech_examples,
    text_examples,
)
from xcodec2.llasa.training.packing import IGNORED, Example
from xcodec2.llasa.training.prepare import Prepared, prepare
from xcodec2.llasa.training.rows import Refused, Rows, example, row_writer

METADATA = {
    "xcodec2.model": "tiny",
    "xcodec2.weights_hash": "0123456789abcdef",
    "xcodec2.codebook_size": "64",
}


def write_codes(path: Path, records: list[dict], metadata: dict[str, str] = METADATA) -> None:
    """A shard as extraction writes it."""
    fields = [
        ("id", pyarrow.string()),
        ("codes", pyarrow.list_(pyarrow.uint16())),
        ("error", pyarrow.string()),
    ]
    schema = pyarrow.schema([*fields, ("text", pyarrow.string())], metadata=metadata)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records, schema), path)


def record(
    id: str, text: str | None = "Hello.", codes: list[int] | None = None, error: str | None = None
) -> dict:
    return {"id": id, "text": text, "codes": [1, 2, 63] if codes is None else codes, "error": error}


def good_row(text: str, codes: list[int]) -> np.ndarray:
    v = prompts().vocabulary
    parts = [
        [v.text_start],
        prompts().text_ids(text),
        [v.text_end, v.speech_start],
        v.to_ids(codes),
        [v.speech_end],
    ]
    return np.concatenate(parts).astype(np.int64)


# --- rows -----------------------------------------------------------------------------------------


def test_prepare_writes_rows_in_the_published_form(tmp_path):
    write_codes(
        tmp_path / "codes.parquet", [record(f"r{i}", f"Number {i}.", [i, i + 1]) for i in range(40)]
    )
    made = prepare(
        tmp_path / "codes.parquet", tmp_path / "rows", base_tokenizer(), length=48, validation=0.25
    )
    train, val = Rows(tmp_path / "rows", "train"), Rows(tmp_path / "rows", "val")
    assert made.rows == {"train": len(train), "val": len(val)}
    assert len(train) + len(val) == 40
    assert 3 <= len(val) <= 20
    assert train.shape == (len(train), 48)
    raw = np.fromfile(tmp_path / "rows" / "train_input_ids.memmap", np.int32).reshape(train.shape)
    spoken = sorted(int(i) for rows in (train, val) for i in [int(r) for r in codes_of_all(rows)])
    assert spoken == list(range(40))
    ids = example(train[0], prompts().vocabulary)
    assert (raw[0][: len(ids)] == ids).all()
    assert (raw[0][len(ids) :] == speech_tokenizer().eos_token_id).all()
    assert Prepared.load(tmp_path / "rows") == made
    assert made.codec.weights_hash == "0123456789abcdef"


def codes_of_all(rows: Rows) -> list[int]:
    """The first code of each row."""
    v = prompts().vocabulary
    return [v.to_codes([row[int(np.argmax(row == v.speech_start)) + 1]])[0] for row in rows]


def test_prepare_refuses_with_reasons_and_counts(tmp_path):
    (tmp_path / "codes").mkdir()
    bad = [
        record("good"),
        record("failed", error="not audio", codes=[]),
        record("mute", text=None),
        record("signs", text="…!"),
        record("empty", codes=[]),
        record("range", codes=[3, CODEBOOK]),
        record("long", codes=[1] * 60),
        record("control", text="a <|eot_id|> b"),
    ]
    write_codes(tmp_path / "codes" / "a.parquet", bad[:4])
    write_codes(tmp_path / "codes" / "b.parquet", bad[4:])
    made = prepare(tmp_path / "codes", tmp_path / "rows", base_tokenizer(), length=32, validation=0)
    assert made.rows == {"train": 1, "val": 0}
    reasons = (
        "extraction failed, no text, no speakable characters, no codes, codes out of range, "
        "too long, the text holds"
    )
    assert made.refused == dict.fromkeys(reasons.split(", "), 1)
    lines = (tmp_path / "rows" / "refused.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in lines] == ["id", *[item["id"] for item in bad[1:]]]
    assert "long\ttoo long: 70 tokens, a row has 32" in lines


def test_prepare_refuses_codes_of_two_codecs_and_missing_columns(tmp_path):
    write_codes(tmp_path / "a.parquet", [record("a")])
    write_codes(
        tmp_path / "b.parquet", [record("b")], METADATA | {"xcodec2.weights_hash": "f" * 16}
    )
    with pytest.raises(CodesError, match=r"b\.parquet is tiny .*: noise"):
        prepare(tmp_path, tmp_path / "rows", base_tokenizer())
    assert not (tmp_path / "rows" / "rows.json").exists()
    assert not list((tmp_path / "rows").glob("*.memmap"))
    with pytest.raises(XCodec2Error, match="no column 'transcript'; it has id, codes, error, text"):
        prepare(tmp_path / "a.parquet", tmp_path / "rows", base_tokenizer(), text="transcript")
    with pytest.raises(XCodec2Error, match="no such file or folder"):
        prepare(tmp_path / "none", tmp_path / "rows", base_tokenizer())
    with pytest.raises(XCodec2Error, match="no such file or folder"):
        prepare("memory://none", tmp_path / "new", base_tokenizer())
    assert not (tmp_path / "new").exists()


def test_rows_of_the_published_form_are_read(tmp_path):
    """As the published corpus has them, made here without our writer."""
    rows = np.full((3, 40), speech_tokenizer().eos_token_id, np.int32)
    for i in range(3):
        made = good_row("abc", [i, 5])
        rows[i, : len(made)] = made
    memmap = np.memmap(tmp_path / "train_input_ids.memmap", np.int32, "w+", shape=rows.shape)
    memmap[:] = rows
    memmap.flush()
    np.save(tmp_path / "train_input_ids_shape.npy", np.array(rows.shape))
    read = Rows(tmp_path, "train")
    assert codes_of_all(read) == [0, 1, 2]
    with open(tmp_path / "train_input_ids.memmap", "ab") as file:
        file.write(b"more")
    with pytest.raises(LlasaError, match="which is not int32 of shape"):
        Rows(tmp_path, "train")
    with pytest.raises(LlasaError, match="no such file"):
        Rows(tmp_path, "val")


def test_broken_rows_are_refused_with_reasons(tmp_path):
    v = prompts().vocabulary
    whole = good_row("abc", [1, 2, 3])
    broken = {
        "does not begin with the text's mark": whole[1:],
        "text and speech are not marked": whole[whole != v.speech_start],
        "speech has no end: cut short": whole[:-1],
        "no text": np.delete(whole, [1, 2, 3]),
        "no speech": np.delete(whole, [-2, -3, -4]),
        "speech holds tokens that are no codes": np.insert(whole, -2, v.text_start),
        "longer than the context": good_row("abc", [1] * 60),
    }
    with row_writer(tmp_path, "train", 80, 0) as write:
        write(whole)
        for row in broken.values():
            write(row)
    refused = Refused()
    rows = Rows(tmp_path, "train")
    found = list(speech_examples(rows, prompts(), 300, iter(range(len(rows))), refused))
    assert len(found) == 1 + 1  # without the chat it would be short enough
    refused = Refused()
    context = len(prompts().in_chat(whole)) + 10
    (kept,) = speech_examples(rows, prompts(), context, iter(range(len(rows))), refused)
    assert (kept.ids == prompts().in_chat(whole)).all()
    assert refused.reasons == dict.fromkeys(broken, 1)


def test_reading_needs_no_more_memory_than_a_row(tmp_path):
    """A sparse file larger than this machine's memory."""
    shape = (40_000_000, 2048)
    with open(tmp_path / "train_input_ids.memmap", "wb") as file:
        file.truncate(shape[0] * shape[1] * 4)
        row = good_row("last", [7])
        file.seek((shape[0] - 1) * shape[1] * 4)
        file.write(row.astype("<i4").tobytes())
    np.save(tmp_path / "train_input_ids_shape.npy", np.array(shape))
    rows = Rows(tmp_path, "train")
    refused = Refused()
    order = itertools.chain(itertools.islice(shuffled_indices(len(rows), 0), 100), [len(rows) - 1])
    assert len(list(speech_examples(rows, prompts(), 2048, order, refused))) == 1
    assert refused.total == 100


def test_the_command_prints_what_it_made(tmp_path):
    write_codes(tmp_path / "codes.parquet", [record("a"), record("b"), record("c", text="")])
    base_tokenizer().save_pretrained(tmp_path / "base")
    args = [
        "llasa",
        "prepare",
        tmp_path / "codes.parquet",
        tmp_path / "rows",
        "--tokenizer",
        tmp_path / "base",
    ]
    done = CliRunner().invoke(xcodec2, list(map(str, [*args, "--validation", 0, "--length", 64])))
    assert done.exit_code == 0, done.output
    assert done.output.splitlines() == [
        "train     2 rows, 26 tokens",
        "val       0 rows, 0 tokens",
        "refused   1: 1 × no text",
    ]
    again = Prompts.of(load_tokenizer(tmp_path / "rows"))
    assert again.prompt("Hello.").tolist() == prompts().prompt("Hello.").tolist()
    done = CliRunner().invoke(xcodec2, list(map(str, [*args[:-1], tmp_path / "none"])))
    assert "no such folder" in str(done.exception)


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> Inline:
    """Extraction in this process."""
    threads = torch.get_num_threads()
    engine = Inline()
    monkeypatch.setattr(run, "start", engine.start)
    yield engine
    torch.set_num_threads(threads)


def test_an_extraction_is_taken_as_it_is_from_anywhere(tmp_path, inline):
    manifest = make_corpus(tmp_path / "corpus", 5, 0.3, 0.5)
    extract(manifest, tmp_path / "codes", rows=2)
    fsspec.filesystem("memory").put(str(tmp_path / "codes"), "/llasa-codes", recursive=True)
    shards = sorted((tmp_path / "codes" / "data").glob("*.parquet"))
    assert len(shards) > 1
    written = []
    for source in (tmp_path / "codes", "memory://llasa-codes", tmp_path / "codes" / "data"):
        folder = tmp_path / f"rows{len(written)}"
        args = ["llasa", "prepare", source, folder, "--tokenizer", "bundled", "--length", 400]
        done = CliRunner().invoke(xcodec2, list(map(str, [*args, "--validation", 0])))
        assert done.exit_code == 0, (done.output, done.exception)
        assert done.output.splitlines()[0].startswith("train     5 rows")
        assert "3: 3 × extraction failed" in done.output
        written.append((folder / "train_input_ids.memmap").read_bytes())
    assert written[0] == written[1] == written[2]
    one = prepare(shards[0], tmp_path / "one", load_tokenizer("bundled"), length=400)
    assert 0 < sum(one.rows.values()) + sum(one.refused.values()) < 8
    assert one.codec.model == "nano"


def test_numbers_are_text_and_what_is_none_has_a_reason(tmp_path):
    def prepared(values: list, kind: pyarrow.DataType) -> tuple[list[str], dict[str, int]]:
        codes = pyarrow.array([[1, 2]] * len(values), pyarrow.list_(pyarrow.uint16()))
        ids = [str(i) for i in range(len(values))]
        table = pyarrow.table({"id": ids, "codes": codes, "text": pyarrow.array(values, kind)})
        pyarrow.parquet.write_table(table.replace_schema_metadata(METADATA), tmp_path / "c.parquet")
        made = prepare(tmp_path / "c.parquet", tmp_path / "r", base_tokenizer(), validation=0)
        return row_texts([Rows(tmp_path / "r", "train")], prompts(), 10), made.refused

    assert prepared([0, 12, None], pyarrow.int64()) == (["0", "12"], {"no text": 1})
    assert prepared([0.5, float("nan")], pyarrow.float64()) == (["0.5"], {"no text": 1})
    assert prepared(["0", " ", ""], pyarrow.string()) == (["0"], {"no text": 2})
    assert prepared([False], pyarrow.bool_()) == (["False"], {})
    assert prepared([b"a"], pyarrow.binary()) == ([], {"the text is no text but bytes": 1})
    day = datetime.date(2026, 1, 2)
    assert prepared([day], pyarrow.date32()) == (["2026-01-02"], {})


# --- order, labels, mixing ------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 700), st.integers(0, 2**32))
def test_shuffling_meets_every_row_once(count, seed):
    assert sorted(shuffled_indices(count, seed)) == list(range(count))


def test_shuffling_depends_on_the_seed_and_looks_random():
    orders = [list(shuffled_indices(1000, seed)) for seed in range(20)]
    assert len({tuple(order) for order in orders}) == 20
    assert orders[3] == list(shuffled_indices(1000, 3))
    correlations = [np.corrcoef(order, range(1000))[0, 1] for order in orders]
    assert max(map(abs, correlations)) < 0.15


def test_labels_are_the_speech_and_its_marks():
    v = prompts().vocabulary
    made = labeled(prompts().in_chat(good_row("abc", [9, 8])), prompts())
    spoken = [v.speech_start, *v.to_ids([9, 8]), v.speech_end]
    assert made.labels[made.labels != IGNORED].tolist() == spoken
    assert made.ids[-len(spoken) :].tolist() == spoken


def test_text_is_mixed_in_by_its_share_of_tokens(tmp_path):
    (tmp_path / "a.txt").write_text("one line\n\nanother, longer line of text\n")
    v = prompts()
    text = text_examples([tmp_path / "a.txt"], v, 16)
    speech = [labeled(v.in_chat(good_row("abc", [1, 2])), v) for _ in range(50)]
    mixed = list(mixed_in(iter(speech), text, 0.25))
    written = sum(len(item) for item in mixed if item.ids[0] != v.before[0])
    assert written / sum(map(len, mixed)) == pytest.approx(0.25, abs=0.01)
    line = next(item for item in mixed if item.ids[0] != v.before[0])
    assert speech_tokenizer().decode(line.ids) == "one line<|eot_id|>"
    assert line.labels.tolist() == [IGNORED, *line.ids[1:]]
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(LlasaError, match="no text in it"):
        next(text_examples([tmp_path / "empty.txt"], v, 16))


def test_codes_are_misread_and_said_right():
    v = prompts().vocabulary
    ids = np.concatenate([[v.text_start, 5, v.text_end, v.speech_start], v.to_ids([7] * 4000)])
    noise = np.random.default_rng(0)
    made = misread(Example(ids, ids.copy()), v, 0.2, noise)
    assert made.labels.tolist() == ids.tolist()
    assert made.ids[:4].tolist() == ids[:4].tolist()
    wrong = made.ids[4:][made.ids[4:] != ids[4:]]
    assert len(wrong) / 4000 == pytest.approx(0.2 * (1 - 1 / CODEBOOK), abs=0.03)
    assert v.is_code(wrong).all()
    assert len(set(wrong.tolist())) == CODEBOOK - 1
    assert misread(Example(ids, ids), v, 0.0, noise).ids.tolist() == ids.tolist()
