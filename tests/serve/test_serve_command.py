"""The command: what it refuses, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import httpx
import pytest
from click.testing import CliRunner
from serving import babbler, clip, health, streaming_codec, wait_until
from talkers import prompts

from xcodec2.cli import xcodec2
from xcodec2.cli.serve import bytes_of, keys_of
from xcodec2.llasa.guard import most_codes_of_text
from xcodec2.llasa.voices import VoiceStore
from xcodec2.serve.server import is_loopback


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--host", "0.0.0.0"], "--api-key-file"),
        (["--host", "::"], "--api-key-file"),
        (["--host", "example.org"], "--api-key-file"),
        (["--max-upload", "much"], "25MB"),
        (["--lm", "http://127.0.0.1:1"], "--tokenizer"),
        (["--port", "65536"], "65535"),
        (["--api-key-file", "no-such-file"], "no-such-file"),
        (["--static", "site", "--port", "80", "--lm", "none"], "--lm, --port"),
    ],
)
def test_what_is_refused(args, said):
    result = CliRunner().invoke(xcodec2, ["serve", *args])
    assert result.exit_code == 2
    assert said in result.output


def test_addresses_sizes_and_keys(tmp_path):
    assert all(map(is_loopback, ("127.0.0.1", "127.1.2.3", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "example.org")))
    assert [bytes_of(size) for size in ("25MB", "1.5k", "7", "2 GB")] == [
        25_000_000,
        1_500,
        7,
        2_000_000_000,
    ]
    path = tmp_path / "keys"
    path.write_text("# ours\nfirst-key-1\n\n  second-key \n")
    assert keys_of(path) == ["first-key-1", "second-key"]
    path.write_text("first-key-1\n", "utf-8-sig")
    assert keys_of(path) == ["first-key-1"]
    for content, said in ((b"# none\n", "no key"), (b"\xff\xfe\x00", "as text"), (b"short", "8")):
        path.write_bytes(content)
        with pytest.raises(click.UsageError, match=said):
            keys_of(path)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of a language model and its codec."""
    folder = tmp_path_factory.mktemp("models")
    codec, lm = folder / "codec", folder / "babble"
    with pytest.warns(UserWarning, match="transformers"):
        streaming_codec().save_pretrained(codec)
    babbler().save_pretrained(lm)
    prompts().tokenizer.save_pretrained(lm)
    return lm, codec


@contextmanager
def serving(models: tuple[Path, Path], voices: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    lm, codec = models
    command = [sys.executable, "-m", "xcodec2.cli", "serve", "--port", "0", "--lm", str(lm)]
    process = subprocess.Popen(
        [*command, "--model", str(codec), "--voices", str(voices)],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    assert process.stderr is not None
    try:
        url = process.stderr.readline().split()[-1]
        threading.Thread(target=process.stderr.read, daemon=True).start()
        wait_until(lambda: health(url) == 200, 900)
        yield process, url
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_sigterm_lets_what_runs_finish(models, tmp_path):
    with serving(models, tmp_path) as (process, url):
        body = {"input": "red car.", "seed": 11, "response_format": "pcm"}
        with httpx.stream("POST", f"{url}/v1/audio/speech", json=body, timeout=60) as answer:
            pieces = answer.iter_raw(4096)
            content = next(pieces)
            process.send_signal(signal.SIGTERM)
            wait_until(lambda: health(url) != 200)
            content += b"".join(pieces)
        # this model never ends by itself: what such a text can need at most
        assert len(content) == 2 * 480 * most_codes_of_text("red car.")
        assert process.wait(30) == 0


@pytest.mark.slow
def test_killed_while_voices_are_added_the_catalogue_is_whole(models, tmp_path):
    """Each voice is there with all that it has, or not at all; and the server starts again."""
    folder = tmp_path / "voices"
    added: list[str] = []
    with serving(models, folder) as (process, url):

        def add() -> None:
            for number in range(1000):
                form = {"name": f"v{number}", "ref_text": "red car", "consent": "mine"}
                try:
                    answer = httpx.post(
                        f"{url}/v1/audio/voices",
                        data=form,
                        files={"audio_sample": clip(1.2)},
                        timeout=60,
                    )
                except httpx.HTTPError:
                    return
                if answer.status_code == 200:
                    added.append(answer.json()["id"])

        thread = threading.Thread(target=add)
        thread.start()
        wait_until(lambda: len(added) >= 5, 60)
        process.kill()
        thread.join()
    kept = {voice.id for voice in VoiceStore(folder)}
    assert set(added) <= kept
    assert len(kept) <= len(added) + 1
    with serving(models, folder) as (_, url):
        data = httpx.get(f"{url}/v1/audio/voices").json()["data"]
    assert {voice["id"] for voice in data} == kept | {"default"}


def test_models_that_cannot_be_loaded_end_the_server(tmp_path):
    """In this process: another one would take seconds to import torch."""
    result = CliRunner().invoke(
        xcodec2, ["serve", "--port", "0", "--lm", "none", "--model", str(tmp_path / "none")]
    )
    assert result.exit_code == 1
    assert "none" in str(result.exception)
