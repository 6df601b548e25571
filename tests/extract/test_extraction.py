"""An extraction's folder opened as it is: from any file system, whatever lies beside the shards."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import fsspec
import pytest
import torch
from click.testing import CliRunner
from extraction import Inline, make_corpus, write_shard

from xcodec2 import XCodec2Model
from xcodec2.audio.io import load_audio
from xcodec2.cli import main, xcodec2
from xcodec2.corpus import read_corpus
from xcodec2.errors import XCodec2Error
from xcodec2.extract import extract, open_extraction, run


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    """An extraction with all that lies beside the shards, and some that should not."""
    out = tmp_path / "tokens"
    write_shard(out / "data" / "codes-00000000000000aa.parquet", ["a", "b"])
    write_shard(out / "data" / "codes-00000000000000bb.parquet", ["c", "bad"])
    (out / "README.md").write_text("---\nconfigs: []\n---\n")
    (out / "summary.json").write_text(json.dumps({"shards": 2, "rows": 4}))
    (out / "extraction.json").write_text(json.dumps({"source": "/corpus"}))
    (out / ".lock").touch()
    (out / "data" / ".xcodec2-0123456789abcdef.tmp").write_bytes(b"half a shard")
    (out / "notes.parquet").write_bytes(b"PAR1 but no more")
    return out


def ids(source: object) -> list[str]:
    return [row["id"] for shard in open_extraction(source).shards() for row in shard.rows(["id"])]


def test_every_way_to_name_an_extraction_gives_its_shards(tokens, monkeypatch):
    whole = ["a", "b", "c", "bad"]
    (shard, _) = sorted((tokens / "data").glob("*.parquet"))
    memory = fsspec.filesystem("memory")
    memory.put(str(tokens), "/bucket/tokens", recursive=True)
    monkeypatch.chdir(tokens.parent)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for source in (tokens, f"{tokens}/", "tokens", tokens / "data", tokens.as_uri()):
            assert ids(source) == whole
        for url in ("memory://bucket/tokens", "memory://bucket/tokens/data/"):
            assert ids(url) == whole
        assert (
            ids(f"{tokens}/data/*.parquet") == ids("memory://bucket/tokens/data/codes-*") == whole
        )
        assert ids(shard) == ["a", "b"]


def test_parquet_of_other_origin_is_taken_below_its_folder(tmp_path):
    write_shard(tmp_path / "mine" / "one.parquet", ["a"])
    write_shard(tmp_path / "mine" / "deep" / "two.parquet", ["b"])
    write_shard(tmp_path / "mine" / "_delta_log" / "x.parquet", ["c"])
    write_shard(tmp_path / "mine" / ".cache" / "x.parquet", ["d"])
    (tmp_path / "mine" / "README.md").write_text("mine")
    found = open_extraction(tmp_path / "mine")
    assert sorted(ids(tmp_path / "mine")) == ["a", "b"]
    assert found.count_rows() == 2
    assert found.facts["weights_hash"] == "0123"


def test_what_is_no_extraction_is_refused_in_one_sentence(tokens, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "README.md").write_text("nothing else")
    (tmp_path / "text.parquet").write_text("PAR1 not at all")
    for source, reason in {
        tmp_path / "empty": "holds no Parquet",
        tmp_path / "missing": "no such file or folder",
        "memory://bucket/missing": "no such file or folder",
        "nosuchprotocol://x/y": "cannot be opened .*nosuchprotocol",
        tmp_path / "text.parquet": "text.parquet: not a readable Parquet file",
    }.items():
        with pytest.raises(XCodec2Error, match=reason):
            open_extraction(source)
    with pytest.raises(XCodec2Error, match=r"has no column 'text'; it has id, source, codes"):
        open_extraction(tokens, ["id", "codes", "text"])


def test_an_extraction_that_was_stopped_is_opened_with_a_warning(tokens):
    (tokens / "data" / "codes-00000000000000bb.parquet").unlink()
    with pytest.warns(UserWarning, match=r"not finished \(1 of 2 shards"):
        assert ids(tokens) == ["a", "b"]
    (tokens / "summary.json").unlink()
    with pytest.warns(UserWarning, match=r"not finished \(1 shards"):
        assert ids(tokens) == ["a", "b"]


def test_a_damaged_shard_is_named(tokens):
    path = tokens / "data" / "codes-00000000000000bb.parquet"
    content = bytearray(path.read_bytes())
    content[4:300] = bytes(296)  # the footer stays
    path.write_bytes(content)
    for read in (lambda shard: list(shard.rows()), lambda shard: shard.table()):
        with pytest.raises(XCodec2Error, match=r"00bb\.parquet: not a readable Parquet"):
            [read(shard) for shard in open_extraction(tokens).shards()]


def test_a_row_is_loaded_by_its_id(tokens):
    codes = open_extraction(tokens).load("b")
    assert codes.codes.tolist() == [0, 1, 2, 3]
    assert (codes.num_samples, codes.sample_rate) == (960, 16_000)
    assert (codes.model, codes.weights_hash, codes.frame_rate) == ("nano", "0123", 50)
    with pytest.raises(XCodec2Error, match="'bad' has no codes: damaged"):
        open_extraction(tokens).load("bad")
    with pytest.raises(XCodec2Error, match="has no row with the id 'z'"):
        open_extraction(tokens).load("z")


# ---- a row by its id, and the recordings behind the tokens --------------------------------------


def test_the_command_decodes_a_row_by_its_id(tokens, tmp_path):
    model = XCodec2Model.from_pretrained("nano").eval()
    expected = model.decode(open_extraction(tokens).load("b"))
    memory = fsspec.filesystem("memory")
    memory.put(str(tokens), "/decode/tokens", recursive=True)
    for n, source in enumerate([str(tokens), "memory://decode/tokens"]):
        target = tmp_path / f"{n}.wav"
        result = CliRunner().invoke(xcodec2, ["decode", source, "--id", "b", "-o", str(target)])
        assert result.exit_code == 0, result.output
        found = load_audio(target)
        assert found.num_samples == 960
        assert torch.allclose(found.waveform, expected, atol=1e-4)
    several = ["decode", str(tokens), "--id", "a", "--id", "c", "-o", f"{tmp_path}/wavs/"]
    assert CliRunner().invoke(xcodec2, several).exit_code == 0
    assert sorted(path.name for path in (tmp_path / "wavs").iterdir()) == ["a.wav", "c.wav"]


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        (["--id", "z"], 1, "no row with the id 'z'"),
        (["--id", "bad"], 1, "'bad' has no codes: damaged"),
        ([], 2, "name rows with --id"),
        (["more", "--id", "a"], 2, "--id is for one folder"),
    ],
)
def test_a_row_that_cannot_be_decoded_is_one_line(args, code, told, tokens, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["decode", str(tokens), *args, "-o", str(tmp_path / "a.wav")])
    assert ended.value.code == code
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1
    assert not (tmp_path / "a.wav").exists()


def test_tokens_stand_for_the_recordings_that_they_were_made_of(tmp_path, monkeypatch):
    manifest = make_corpus(tmp_path / "corpus", 3, 0.2, 0.3, bad=False)
    renamed = manifest.with_name("other.tsv")
    renamed.write_text(manifest.read_text().replace("id\tpath", "id\tclip", 1))
    monkeypatch.setattr(run, "start", Inline().start)
    threads = torch.get_num_threads()
    extract(manifest, tmp_path / "tokens")
    extract(renamed, tmp_path / "more", audio_column="clip")
    torch.set_num_threads(threads)
    (tmp_path / "tokens" / "README.md").write_text("a card")
    monkeypatch.chdir(tmp_path)
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path / "tokens"), "/corpora/tokens", recursive=True)
    expected = list(read_corpus(manifest))
    for source in ("tokens", tmp_path / "tokens/data", "memory://corpora/tokens"):
        assert list(read_corpus(source)) == expected
    assert [r.source for r in read_corpus("more")] == [r.source for r in expected]
    renamed.unlink()
    with pytest.raises(XCodec2Error, match=r"made of .*other\.tsv, which cannot be read from here"):
        list(read_corpus("more"))
    identity = tmp_path / "more" / "extraction.json"
    for source in (str(tmp_path / "more"), "memory://corpora/tokens"):
        identity.write_text(json.dumps({"source": source, "reading": {"remote": 1, "x": []}}))
        with pytest.raises(XCodec2Error, match="cannot be read from here"):
            list(read_corpus("more", remote=False))
