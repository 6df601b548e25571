"""Hub ids, through the Hub's real client and a server on loopback."""

from __future__ import annotations

import errno
import io
import json
import re
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from fake_hub import COMMIT, FakeHub
from paths import ROOT
from safetensors.torch import load_file, save_file
from test_transformers import reference_features, with_xcodec2
from tiny import random_model, speech

from xcodec2 import XCodec2Model
from xcodec2.cli import main
from xcodec2.codec.checkpoints.client import errors_of
from xcodec2.errors import CheckpointError

CARD = "---\nlicense: cc-by-nc-4.0\n---\n# A codec\n"


@pytest.fixture
def hub(published, tmp_path, monkeypatch) -> Iterator[FakeHub]:
    """A Hub with `someone/codec` as XCodec2 was published: no config.json, no card."""
    folder = tmp_path / "hub" / "someone" / "codec"
    folder.mkdir(parents=True)
    save_file(published, folder / "model.safetensors")
    hub = FakeHub(tmp_path / "hub")
    from huggingface_hub import constants

    point_to(hub.endpoint, monkeypatch)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between the client's retries
    yield hub
    hub.close()


def point_to(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants, hf_api

    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(hf_api.api, "endpoint", endpoint)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    monkeypatch.setenv("HF_TOKEN", "a-token")


def codes_of(name: str | Path, **settings: str) -> torch.Tensor:
    return XCodec2Model.from_pretrained(name, **settings).encode(speech()[:16_000], 16_000).codes


def info(*arguments: str) -> dict[str, Any]:
    code, out, _ = run("info", *arguments, "--json")
    assert code == 0
    return json.loads(out)


def run(*arguments: str) -> tuple[int, str, str]:
    """`xcodec2 ARGUMENTS` in this process: exit code, output and errors."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as stop:
        main(list(arguments))
    return int(stop.value.code or 0), out.getvalue(), err.getvalue()


# ---- downloads -----------------------------------------------------------------------------------


def test_a_hub_id_downloads_only_what_a_model_needs(hub):
    model = XCodec2Model.from_pretrained("someone/codec")
    assert model.model_id == "someone/codec"
    assert torch.equal(codes_of("someone/codec"), codes_of(hub.root / "someone" / "codec"))
    assert not any("pytorch_model.bin" in path for _, path, _ in hub.asked)


def test_a_repository_that_is_not_there_raises(hub):
    with pytest.raises(CheckpointError, match="no such model on the Hub"):
        XCodec2Model.from_pretrained("someone/else")


def test_a_hub_that_cannot_be_reached_raises(hub, monkeypatch):
    point_to("http://127.0.0.1:9", monkeypatch)  # the discard port: nothing listens
    with pytest.raises(CheckpointError, match=r"cannot be reached|download failed"):
        XCodec2Model.from_pretrained("someone/codec")


def test_a_revision_is_another_model(hub, published):
    folder = hub.root / "someone" / "codec@v2"
    folder.mkdir()
    other = dict(published)
    other["fc_prior.bias"] = published["fc_prior.bias"] + 1
    save_file(other, folder / "model.safetensors")
    first, second = codes_of("someone/codec"), codes_of("someone/codec", revision="v2")
    assert not torch.equal(first, second)
    assert torch.equal(codes_of("someone/codec@v2"), second)
    assert torch.equal(codes_of("someone/codec@main"), first)
    with pytest.raises(CheckpointError, match="no such revision"):
        XCodec2Model.from_pretrained("someone/codec", revision="v3")


@pytest.mark.skipif(
    huggingface_hub.__version__.startswith("1."), reason="this client goes on when asked again"
)
def test_a_download_that_breaks_off_goes_on_where_it_ended(hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)  # 10 MB are kept
    hub.break_after = 100_000
    codes = codes_of("someone/codec")
    assert torch.equal(codes, codes_of(hub.root / "someone" / "codec"))
    spans = [span for method, path, span in hub.asked if method == "GET" and span]
    assert spans == ["bytes=100000-"]
    size = (hub.root / "someone" / "codec" / "model.safetensors").stat().st_size
    assert hub.sent == size


def test_a_connection_that_ends_is_told_in_one_error(hub, tmp_path):
    hub.withheld = "model.safetensors"
    for command in (
        ("info", "someone/codec"),
        ("convert", "someone/codec", str(tmp_path / "converted"), "--to", "transformers"),
    ):
        code, _, err = run(*command)
        assert code == 1
        assert "error: someone/codec: the download failed (" in err
        assert "unexpected" not in err


@pytest.mark.parametrize("library", ["requests", "httpx", "httpx2"])
def test_the_errors_of_each_connection_library_are_known(library, monkeypatch):
    """The Hub's client had several; its own error derives from the one that it has."""
    connections = pytest.importorskip(library)
    base = connections.HTTPError
    error = type("HfHubHTTPError", (base,), {})
    monkeypatch.setattr("huggingface_hub.errors.HfHubHTTPError", error)
    refused = getattr(connections, "ConnectError", None) or connections.ConnectionError
    with (
        pytest.raises(CheckpointError, match=r"download failed \(refused"),
        errors_of("some/codec"),
    ):
        raise refused("refused")


def test_offline_a_model_in_the_cache_loads(hub, monkeypatch):
    """Also one without config.json or with pytorch_model.bin alone, where the cache must remember
    what is not there.
    """
    folder = hub.root / "someone" / "pickled"
    folder.mkdir()
    tensors = load_file(hub.root / "someone" / "codec" / "model.safetensors")
    torch.save(tensors, folder / "pytorch_model.bin")
    expected = codes_of("someone/codec"), codes_of("someone/pickled")
    asked = len(hub.asked)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert torch.equal(codes_of("someone/codec"), expected[0])
    assert torch.equal(codes_of("someone/pickled"), expected[1])
    assert len(hub.asked) == asked
    with pytest.raises(CheckpointError, match="not in the local cache"):
        XCodec2Model.from_pretrained("someone/never")


def test_info_of_a_model_in_the_cache_needs_no_connection(hub, monkeypatch):
    """Nor its card, which loading does not fetch; nor does it wait for the Hub again and again."""
    folder = hub.root / "someone" / "codec"
    codes_of("someone/codec")
    expected = info(str(folder)) | {"model": "someone/codec"}
    with monkeypatch.context() as offline:
        offline.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        assert info("someone/codec") == expected
        assert expected["license"] is None
    (folder / "README.md").write_text(CARD)
    assert info("someone/codec")["license"] == "cc-by-nc-4.0"
    point_to("http://127.0.0.1:9", monkeypatch)
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    assert info("someone/codec") == expected | {"license": "cc-by-nc-4.0"}
    assert waited == []


def test_a_cache_that_cannot_be_written_is_read(hub, monkeypatch):
    """Shared caches of clusters: the client wants to lock what it only reads."""
    expected = codes_of("someone/codec")
    (hub.root / "someone" / "codec" / "model.safetensors").write_bytes(b"a later version")

    def refused(path: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr("huggingface_hub.file_download.WeakFileLock", refused)
    assert torch.equal(codes_of("someone/codec"), expected)
    folder = hub.root / "someone" / "new"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"of another model")
    with pytest.raises(CheckpointError, match="Read-only file system"):
        XCodec2Model.from_pretrained("someone/new")


# ---- before anything is fetched ------------------------------------------------------------------


def test_info_tells_license_and_rates_before_the_weights_are_fetched(hub):
    folder = hub.root / "someone" / "codec"
    (folder / "README.md").write_text(CARD)
    size = (folder / "model.safetensors").stat().st_size
    facts = info("someone/codec")
    assert facts["license"] == "cc-by-nc-4.0"
    assert (facts["sample_rate"], facts["frame_rate"], facts["hop"]) == (16_000, 50, 320)
    assert facts["download"] == f"{size / 1e6:,.1f} MB, not fetched"
    fetched = info(str(folder))
    assert facts["parameters"] == fetched["parameters"]
    assert hub.sent < size / 2 + len(CARD)
    XCodec2Model.from_pretrained("someone/codec")
    assert info("someone/codec")["weights_hash"] == fetched["weights_hash"]


def test_info_looks_at_revisions_shards_and_pickles(hub):
    random_model().save_pretrained(hub.root / "someone" / "codec@v2", max_shard_size="100KB")
    facts = info("someone/codec", "--revision", "v2")
    assert (facts["model"], facts["format"]) == ("someone/codec@v2", "transformers")
    assert facts["license"] is None
    folder = hub.root / "someone" / "pickled"
    folder.mkdir()
    (folder / "pytorch_model.bin").write_bytes(bytes(1_500_000))
    facts = info("someone/pickled")
    assert (facts["download"], facts["frame_rate"]) == ("1.5 MB, not fetched", None)
    (folder / "config.json").write_text('{"model_type": "neucodec"}')  # names nothing of the file
    assert info("someone/pickled")["format"] is None
    (hub.root / "someone" / "empty").mkdir()
    assert "holds none of" in run("info", "someone/empty")[2]
    assert run("info", "nano", "--revision", "v2")[0] == 2
    assert run("info", "someone/codec@v2", "--revision", "v2")[0] == 2


def test_info_fetches_no_shards(hub):
    """Not at the second call either, when their index is in the cache."""
    folder = hub.root / "someone" / "codec@v2"
    random_model().save_pretrained(folder, max_shard_size=1_000_000)
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    for _ in range(2):
        before = hub.sent
        facts = info("someone/codec@v2")
        assert facts["download"] == f"{size / 1e6:,.1f} MB, not fetched"
        assert hub.sent - before < size / 2
    XCodec2Model.from_pretrained("someone/codec@v2")
    assert info("someone/codec@v2")["weights_hash"] == random_model().weights_hash


INDEX = "model.safetensors.index.json"


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("model.safetensors", b"", "not a readable checkpoint"),
        ("model.safetensors", b"x", "not a readable checkpoint"),
        ("model.safetensors", b"\x64" + bytes(7), "not a readable checkpoint"),
        ("model.safetensors", b"no safetensors, but text", "not a readable checkpoint"),
        ("model.safetensors", (1 << 40).to_bytes(8, "little") + b"{}", "not a readable checkpoint"),
        ("model.safetensors", b"\x02" + bytes(7) + b"[]", "not a readable checkpoint"),
        ("model.safetensors", b"\x09" + bytes(7) + b'{"a": []}', "not a readable checkpoint"),
        (INDEX, b"nonsense", "not a readable index"),
        (INDEX, b"[]", "not a readable index"),
        (INDEX, b'{"weight_map": {"a": "../x.safetensors"}}', "no plain safetensors file name"),
        (INDEX, b'{"weight_map": {"a": "x.safetensors"}}', "a part named in .* is missing"),
    ],
)
def test_damaged_repositories_are_told_in_one_error(hub, file, content, reason):
    folder = hub.root / "someone" / "damaged"
    folder.mkdir()
    (folder / file).write_bytes(content)
    code, _, err = run("info", "someone/damaged")
    assert code == 1
    assert re.search(reason, err)
    assert "unexpected" not in err


def test_a_file_that_is_cut_short_is_told_by_its_header(hub):
    file = hub.root / "someone" / "codec" / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert "is cut short" in run("info", "someone/codec")[2]


def test_info_says_why_distill_neucodec_is_refused(hub, monkeypatch):
    folder = hub.root / "neuphonic" / "distill-neucodec"
    folder.mkdir(parents=True)
    (folder / "pytorch_model.bin").write_bytes(bytes(1_500_000))
    for offline in (False, True):
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
        code, _, err = run("info", "neuphonic/distill-neucodec")
        assert code == 1
        assert "DistilHuBERT" in err
    assert hub.asked == []


def test_conversion_from_the_hub_keeps_the_model_card(hub, tmp_path):
    (hub.root / "someone" / "codec" / "README.md").write_text(CARD)
    assert run("convert", "someone/codec", str(tmp_path / "own"), "--to", "transformers")[0] == 0
    assert info(str(tmp_path / "own"))["license"] == "cc-by-nc-4.0"


# ---- uploads -------------------------------------------------------------------------------------


def test_push_to_hub_and_load_again(hub, tmp_path):
    model = random_model()
    report = tmp_path / "report"
    report.mkdir()
    metrics = {"stoi": {"mean": 0.91234, "n": 3}, "wer": None}
    summary = {"version": "0.1.0", "recordings": 3, "systems": {"mine": {"metrics": metrics}}}
    (report / "summary.json").write_text(json.dumps(summary))
    url = model.push_to_hub("me/codec", license="apache-2.0", evaluation=report)
    assert url.endswith(f"me/codec/commit/{COMMIT}")
    assert torch.equal(codes_of("me/codec"), model.encode(speech()[:16_000], 16_000).codes)
    card = (hub.root / "me" / "codec" / "README.md").read_text()
    assert card.startswith("---\nlicense: apache-2.0\nlibrary_name: transformers\n")
    assert "16000 Hz speech → 50 codes a second" in card
    assert str(model.weights_hash) in card
    assert "| system | stoi |\n| --- | --- |\n| mine | 0.9123 |" in card
    assert info("me/codec")["license"] == "apache-2.0"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"license": "my own\nlicense: mit"}, "no identifier of a license"),
        ({"license": "mit", "evaluation": ROOT / "pyproject.toml"}, "not a report"),
    ],
)
def test_what_cannot_be_pushed_is_refused_before_anything_is_sent(hub, settings, message):
    with pytest.raises(CheckpointError, match=message):
        random_model().push_to_hub("me/codec", **settings)
    assert hub.asked == []


def test_an_upload_without_a_connection_is_told_in_one_error(hub, monkeypatch):
    point_to("http://127.0.0.1:9", monkeypatch)
    with pytest.raises(CheckpointError, match="me/codec: the upload failed"):
        random_model().push_to_hub("me/codec", license="mit")


# ---- shards --------------------------------------------------------------------------------------


def test_shards_and_their_index(tmp_path):
    model = random_model()
    expected = model.encode(speech()[:16_000], 16_000).codes
    model.save_pretrained(tmp_path)
    model.save_pretrained(tmp_path, max_shard_size=200_000)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    shards = sorted(set(index["weight_map"].values()))
    assert len(shards) > 2
    assert {path.name for path in tmp_path.glob("*.safetensors")} == set(shards)
    assert index["metadata"]["total_size"] == sum(4 * p.numel() for p in model.parameters())
    assert torch.equal(codes_of(tmp_path), expected)
    model.save_pretrained(tmp_path)  # nothing of the shards may be left to be read
    assert [path.name for path in tmp_path.glob("*.safetensors*")] == ["model.safetensors"]
    with pytest.raises(CheckpointError, match="max_shard_size"):
        model.save_pretrained(tmp_path, max_shard_size="huge")


@with_xcodec2
def test_transformers_automodel_loads_what_is_written(tmp_path):
    from transformers import AutoModel

    model = random_model()
    model.save_pretrained(tmp_path, max_shard_size=200_000)
    clip = speech()[:16_000]
    theirs = AutoModel.from_pretrained(tmp_path).eval()
    assert type(theirs).__name__ == "Xcodec2Model"
    with torch.no_grad():
        padded = model.pad(clip[None])
        found = theirs.encode(padded[None], reference_features(padded[0], model.config))
    assert torch.equal(found.audio_codes.flatten().int(), model.encode(clip, 16_000).codes)
