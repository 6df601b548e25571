"""Speech → codes → speech over HTTP: the same as in Python, whole and streamed."""

from __future__ import annotations

import io
import json

import httpx
import numpy as np
import pytest
import soundfile
import torch
from serving import clip, running, samples_of, streaming_codec
from tiny import XCODEC2, random_model, speech

from xcodec2 import Codes
from xcodec2.serve import Limits, create_app

MODEL = streaming_codec()


@pytest.mark.parametrize(("form", "rate"), [("WAV", 16_000), ("FLAC", 24_000), ("OGG", 8_000)])
def test_codes_are_those_of_encode(client, form, rate):
    content = clip(1.0, rate, form)
    answer = client.post("/v1/audio/codes", files={"file": ("a", content)}).json()
    expected = MODEL.encode(io.BytesIO(content))
    assert answer.pop("codes") == expected.codes.tolist()
    assert answer == {
        "num_samples": expected.num_samples,
        "sample_rate": rate,
        "frame_rate": 50,
        "codebook_size": 64,
        "model": MODEL.model_id,
        "weights_hash": MODEL.weights_hash,
    }


def test_a_raw_body_and_a_codes_file(client):
    content = clip()
    answer = client.post(
        "/v1/audio/codes", content=content, headers={"Accept": "application/x-npz"}
    )
    assert answer.headers["content-type"] == "application/x-npz"
    codes = Codes.load(answer.content)
    assert codes == MODEL.encode(content)
    sound = client.post("/v1/audio/decode", content=answer.content)
    samples, rate = soundfile.read(io.BytesIO(sound.content), dtype="float32")
    assert rate == MODEL.sample_rate
    torch.testing.assert_close(
        torch.from_numpy(samples), MODEL.decode(codes).clamp(-1, 1), atol=1e-4, rtol=0
    )


def test_the_answer_decodes_to_the_length_of_what_was_sent(client):
    """Cut to what came in, at the rate that is asked for."""
    answer = client.post("/v1/audio/codes", content=clip(1.01)).json()
    query = {"response_format": "pcm", "sample_rate": 16_000}
    sound = client.post("/v1/audio/decode", params=query, json=answer)
    assert len(samples_of(sound.content)) == answer["num_samples"]
    assert sound.headers["x-sample-rate"] == "16000"


@pytest.mark.parametrize(
    "body", [b"[1, 2, 3]", b'{"codes": [1, 2, 3]}', b"<|s_1|><|s_2|><|s_3|>", "npy"]
)
def test_codes_in_all_their_forms_are_decoded(client, body):
    if body == "npy":
        file = io.BytesIO()
        np.save(file, np.array([1, 2, 3]))
        body = file.getvalue()
    sound = client.post("/v1/audio/decode?response_format=pcm", content=body)
    assert sound.status_code == 200, sound.text
    assert len(sound.content) == 3 * 480 * 2  # 24 kHz


def test_a_stream_of_sound_gives_the_codes_of_the_whole(client):
    samples = speech().numpy()[:30_001]
    pcm = (samples * 32767).astype("<i2")

    def body():
        content = pcm.tobytes()
        for start in range(0, len(content), 3_001):  # cut in the midst of samples
            yield content[start : start + 3_001]

    with client.stream("POST", "/v1/audio/codes?stream=1&sample_rate=16000", content=body()) as got:
        lines = [json.loads(line) for line in got.iter_lines()]
    assert len(lines) > 3
    codes = [code for line in lines for code in line["codes"]]
    assert codes == MODEL.encode(pcm, 16_000).codes.tolist()
    assert lines[-1]["num_samples"] == len(pcm)
    assert lines[-1]["weights_hash"] == MODEL.weights_hash


def test_lines_of_codes_become_sound(client):
    codes = MODEL.encode(clip()).codes.tolist()
    lines = b"".join(
        json.dumps({"codes": codes[i : i + 7]} if i % 2 else codes[i : i + 7]).encode() + b"\n"
        for i in range(0, len(codes), 7)
    )

    def body():
        for start in range(0, len(lines), 11):
            yield lines[start : start + 11]

    sound = client.post(
        "/v1/audio/decode?response_format=pcm&sample_rate=16000",
        content=body(),
        headers={"Content-Type": "application/x-ndjson"},
    )
    expected = MODEL.decode(torch.tensor(codes)).clamp(-1, 1).numpy()
    np.testing.assert_allclose(samples_of(sound.content), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "param"),
    [
        ("codes", b"", 415, "unreadable_audio", "file"),
        ("codes", b"not audio" * 100, 415, "unreadable_audio", "file"),
        ("codes?stream=1&sample_rate=7", b"abab", 400, "bad_request", "sample_rate"),
        ("codes?stream=1", b"", 400, "audio_too_short", "file"),
        ("codes?stream=1", b"aba", 400, "bad_request", None),
        ("codes?stream=perhaps", b"", 400, "bad_request", "stream"),
        ("decode", b"", 400, "bad_request", "codes"),
        ("decode", b"{", 400, "invalid_json", None),
        ("decode", b'{"codes": []}', 400, "bad_request", "codes"),
        ("decode", b'{"codes": [64]}', 400, "bad_request", "codes"),
        ("decode", b'{"codes": [1.5]}', 400, "bad_request", "codes"),
        ("decode", b'{"codes": [1], "frame_rate": 25}', 400, "wrong_codec", "codes"),
        ("decode", b'{"codes": [1], "weights_hash": "00"}', 400, "wrong_codec", "codes"),
        ("decode", b"PK\x03\x04 no archive", 400, "bad_request", "codes"),
        ("decode?response_format=au", b"[1]", 400, "bad_request", "response_format"),
        ("decode?sample_rate=12345", b"[1]", 400, "bad_request", "sample_rate"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_shape(client, path, body, status, code, param):
    answer = client.post(f"/v1/audio/{path}", content=body)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == (code, param)
    assert error["message"]
    assert "/" not in error["message"].replace("application/", "")[:20]


def test_a_forms_other_fields_say_what_sound_is_wanted(client):
    """As the same names do in the query, which comes before them."""
    files = {"file": ("codes.json", b"[1, 2, 3]")}

    def ask(query: str = "", **fields: str) -> httpx.Response:
        return client.post(f"/v1/audio/decode{query}", files=files, data=fields)

    slow = ask(response_format="pcm", sample_rate="16000", speed="0.5")
    assert (slow.headers["content-type"], slow.headers["x-sample-rate"]) == ("audio/pcm", "16000")
    assert len(slow.content) == 2 * 3 * 320 * 2
    assert ask("?sample_rate=8000", sample_rate="16000").headers["x-sample-rate"] == "8000"
    assert ask(speed="").headers["content-type"] == "audio/wav"
    for name, value in (("response_format", "au"), ("sample_rate", "7"), ("speed", "9")):
        answer = ask(**{name: value})
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, name)


@pytest.mark.parametrize("line", ["x", "[64]", "[true]", '{"codes": "1"}', "[1.0]"])
def test_bad_lines_are_refused_before_any_sound(client, line):
    answer = client.post(
        "/v1/audio/decode", content=line, headers={"Content-Type": "application/x-ndjson"}
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "codes"


def test_limits_of_bytes_and_seconds():
    app = create_app(
        None, MODEL, limits=Limits(max_upload=100_000, max_seconds=2, readers=1), warm=False
    )
    with running(app) as url, httpx.Client(base_url=url, timeout=30) as client:
        large = clip(4.0)
        assert client.post("/v1/audio/codes", content=large).status_code == 413
        chunked = client.post("/v1/audio/codes", content=iter([large[:90_000], large[90_000:]]))
        assert chunked.status_code == 413
        assert chunked.json()["error"]["code"] == "too_large"
        long = client.post("/v1/audio/codes", content=clip(3.0, 8_000))
        assert (long.status_code, long.json()["error"]["code"]) == (413, "audio_too_long")
        assert client.post("/v1/audio/decode", content=b"[1]" * 1).status_code == 200
        many = client.post("/v1/audio/decode", json={"codes": [1] * 101})
        assert many.status_code == 413
        speech_asked = client.post("/v1/audio/speech", json={"input": "Hello."})
        assert speech_asked.json()["error"]["code"] == "no_language_model"


def test_a_codec_without_a_limit_gives_what_decode_gives():
    model = random_model(XCODEC2)
    with running(create_app(None, model, warm=False)) as url:
        codes = model.encode(clip(2.0))
        sound = httpx.post(
            f"{url}/v1/audio/decode?response_format=pcm&sample_rate=16000", content=codes.to_bytes()
        )
    expected = model.decode(codes).clamp(-1, 1).numpy()
    np.testing.assert_allclose(samples_of(sound.content), expected, atol=1e-4)


@pytest.mark.parametrize("rate", ["0", "-1", "99999999", "fast"])
def test_a_rate_that_is_none(client, rate):
    answer = client.post(f"/v1/audio/codes?stream=1&sample_rate={rate}", content=b"\0\0" * 9000)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "sample_rate")


def test_a_form_is_no_stream_of_samples(client):
    for sent in ({"files": {"file": ("a.wav", clip())}}, {"json": {"codes": [1]}}):
        answer = client.post("/v1/audio/codes?stream=1", **sent)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "stream")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/x-npz", "application/x-npz"),
        ("text/html, Application/X-NPZ; q=0.5", "application/x-npz"),
        ("application/x-npz;q=0", "application/json"),
        ("application/x-npz-other", "application/json"),
    ],
)
def test_which_answer_is_accepted(client, accept, kind):
    answer = client.post("/v1/audio/codes", content=clip(0.5), headers={"Accept": accept})
    assert answer.headers["content-type"] == kind


def test_uploads_without_sound_name_their_field(client):
    for content in (b"", b"no sound", clip(0.0)):
        answer = client.post("/v1/audio/codes", files={"file": ("a.wav", content)})
        assert (answer.status_code, answer.json()["error"]["param"]) == (415, "file")


def test_lines_of_codes_that_come_without_their_type(client):
    codes = MODEL.encode(clip()).codes.tolist()
    body = "\n".join(json.dumps({"codes": codes[i : i + 9]}) for i in range(0, len(codes), 9))
    wanted = client.post("/v1/audio/decode?response_format=pcm", json=codes).content
    for content in (body, body.replace('{"codes": ', "").replace("}", "")):
        answer = client.post("/v1/audio/decode?response_format=pcm", content=content)
        assert answer.content == wanted
    for broken in ('{"codes":\n [1, 2,\n', body + "\n{"):
        answer = client.post("/v1/audio/decode", content=broken)
        assert answer.json()["error"]["code"] == "invalid_json"


@pytest.mark.parametrize("code", [True, "1", 1.0, None, [1], 64, -1])
def test_codes_that_are_none(client, code):
    answer = client.post("/v1/audio/decode", json={"codes": [1, code]})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "codes")
