"""Voices over HTTP: kept with their consent, spoken in, deleted."""

from __future__ import annotations

import asyncio
import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from serving import clip, running, samples_of, talker

from xcodec2.llasa.voices import StoredVoice, VoiceStore, voice_of
from xcodec2.serve import create_app
from xcodec2.serve.routes import voices
from xcodec2.serve.service import Loaded

FORM = {"name": "Anna Blume", "ref_text": "red car", "consent": "She agreed, 2026-11-28."}


def add(client, content: bytes = clip(1.5), **changes):
    return client.post(
        "/v1/audio/voices",
        data={key: value for key, value in (FORM | changes).items() if value is not None},
        files={"audio_sample": ("../../a.wav", content)},
    )


def test_a_voice_is_kept_spoken_in_and_deleted(tmp_path):
    speaker = talker()
    with (
        running(create_app(speaker, voices_folder=tmp_path, warm=False)) as url,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        made = add(client).json()
        assert made["id"] == "anna-blume"
        assert made["name"] == FORM["name"]
        (path,) = tmp_path.iterdir()  # one file, and nothing of the client's file name
        stored = VoiceStore(tmp_path).load("anna-blume")
        assert path.name == "anna-blume.safetensors"
        assert stored.consent == FORM["consent"]
        assert stored.codes == speaker.codec.encode(clip(1.5))
        assert add(client).json()["error"]["code"] == "voice_exists"
    with (  # another server, the same folder
        running(create_app(speaker, voices_folder=tmp_path, warm=False)) as url,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        listed = client.get("/v1/audio/voices").json()
        assert listed["object"] == "list"
        assert listed["data"] == listed["voices"]
        assert [voice["id"] for voice in listed["data"]] == ["default", "anna-blume"]
        assert client.get("/v1/audio/voices/anna-blume").json()["consent"] == FORM["consent"]
        body = {"input": "red car.", "seed": 7, "response_format": "pcm", "sample_rate": 16_000}
        voice = speaker.voice(io.BytesIO(clip(1.5)), FORM["ref_text"])
        expected = speaker.speak("red car.", seed=7, voice=voice).waveform.clamp(-1, 1).numpy()
        for name in ("anna-blume", "Anna Blume", {"id": "anna-blume"}):
            answer = client.post("/v1/audio/speech", json=body | {"voice": name})
            assert answer.headers["x-voice"] == "anna-blume"
            np.testing.assert_allclose(samples_of(answer.content), expected, atol=1e-4)
        assert client.delete("/v1/audio/voices/anna-blume").json()["deleted"] is True
        assert not list(tmp_path.iterdir())
        assert client.delete("/v1/audio/voices/anna-blume").status_code == 404


def test_voices_that_the_model_brings_are_spoken_in_and_stay(tmp_path):
    speaker = talker()
    codes = speaker.codec.encode(clip(1.5))
    presets, own = VoiceStore(tmp_path / "lm"), VoiceStore(tmp_path / "own")
    for id, store in (("deep", presets), ("bright", presets), ("bright", own)):
        store.add(StoredVoice(id, codes, "red car", "a synthetic voice", id.title()))

    def load() -> Loaded:
        return Loaded(speaker.codec, speaker, presets=presets)

    with (
        running(create_app(load=load, voices_folder=own.folder, warm=False)) as url,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        while not client.get("/health").is_success:
            time.sleep(0.05)
        listed = client.get("/v1/audio/voices").json()["data"]
        found = {voice["id"]: voice["built_in"] for voice in listed}
        assert found == {"default": True, "deep": True, "bright": False}  # an added one is first
        assert client.get("/v1/audio/voices/deep").json()["text"] == "red car"
        body = {"input": "red car.", "seed": 7, "response_format": "pcm", "sample_rate": 16_000}
        expected = speaker.speak("red car.", seed=7, voice=voice_of(presets.load("deep"), speaker))
        for name in ("deep", "Deep"):
            answer = client.post("/v1/audio/speech", json=body | {"voice": name})
            assert answer.headers["x-voice"] == "deep"
            clipped = expected.waveform.clamp(-1, 1).numpy()
            np.testing.assert_allclose(samples_of(answer.content), clipped, atol=1e-4)
        assert client.delete("/v1/audio/voices/deep").status_code == 400
        assert add(client, name="Deep").json()["error"]["code"] == "voice_exists"
        assert add(client, name="DEEP!").json()["id"] not in ("deep", "Deep")
        assert presets.ids() == ["bright", "deep"]
        assert client.delete("/v1/audio/voices/bright").is_success
        listed = client.get("/v1/audio/voices").json()["data"]
        assert {voice["id"]: voice["built_in"] for voice in listed}["bright"] is True


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"name": None}, "name"),
        ({"name": "alloy"}, "name"),
        ({"consent": None}, "consent"),
        ({"consent": " "}, "consent"),
        ({"ref_text": "..."}, "ref_text"),
        ({"content": clip(0.5)}, "audio_sample"),
    ],
)
def test_voices_that_are_refused(client, changes, param):
    answer = add(client, **changes)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
    assert len(client.get("/v1/audio/voices").json()["data"]) == 1


@pytest.mark.parametrize("id", ["nobody", "..%2F..%2Fetc", "a.b", "%00", "x" * 300])
def test_ids_lead_nowhere(client, id):
    assert client.get(f"/v1/audio/voices/{id}").status_code == 404
    assert client.delete(f"/v1/audio/voices/{id}").status_code == 404


def test_two_that_come_at_once_do_not_both_get_a_name(tmp_path, monkeypatch):
    both = threading.Barrier(2)
    monkeypatch.setattr(voices, "clip_codes", meeting(voices.clip_codes, both))
    with running(create_app(talker(), voices_folder=tmp_path, warm=False)) as url:
        client = httpx.Client(base_url=url, timeout=60)
        with ThreadPoolExecutor() as pool:
            answers = list(pool.map(lambda _: add(client), range(2)))
        assert sorted(answer.status_code for answer in answers) == [200, 400]
        codes = {answer.json().get("error", {}).get("code") for answer in answers}
        assert codes == {None, "voice_exists"}
        assert len(list(tmp_path.iterdir())) == 1


def meeting(work, both):
    """What waits, when its work is done, for the other one."""

    async def met(*args):
        done = await work(*args)
        await asyncio.to_thread(both.wait, 20)
        return done

    return met


def test_two_that_delete_a_voice_at_once(tmp_path, monkeypatch):
    """One has deleted it, for the other it is not there; and no message says where voices lie."""
    both, remove = threading.Barrier(2), VoiceStore.remove

    def together(store, id) -> None:
        both.wait(20)
        remove(store, id)

    monkeypatch.setattr(VoiceStore, "remove", together)
    with running(create_app(talker(), voices_folder=tmp_path, warm=False)) as url:
        client = httpx.Client(base_url=url, timeout=60)
        id = add(client).json()["id"]
        with ThreadPoolExecutor() as pool:
            answers = list(pool.map(lambda _: client.delete(f"/v1/audio/voices/{id}"), range(2)))
    assert sorted(answer.status_code for answer in answers) == [200, 404]
    (lost,) = [answer for answer in answers if answer.status_code == 404]
    assert lost.json()["error"]["code"] == "voice_not_found"
    assert str(tmp_path) not in lost.text


def test_names_that_cannot_be_shown_and_clips_that_cannot_be_read(client):
    for name in ("a\0b", "a\nb", "\x1b[2J"):
        answer = add(client, name=name)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "name")
    for content in (b"", b"no sound"):
        answer = add(client, content, name="Nobody")
        assert (answer.status_code, answer.json()["error"]["param"]) == (415, "audio_sample")
