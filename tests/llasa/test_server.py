"""The back end over HTTP: a real llama.cpp server, and servers that are down, slow or something
else.
"""

from __future__ import annotations

import gzip
import http.server
import json
import math
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from talkers import CODEBOOK, prompts, small_codec

from xcodec2.cli import xcodec2
from xcodec2.errors import LlasaError
from xcodec2.llasa.backends.base import Sampling
from xcodec2.llasa.backends.connection import Response, event_blocks
from xcodec2.llasa.backends.server import Server
from xcodec2.llasa.lm import LlasaMetadata
from xcodec2.llasa.prompts import Prompts
from xcodec2.llasa.track import phoneme_tokenizer
from xcodec2.llasa.vocabulary import LENGTH

# --- servers that fail ----------------------------------------------------------------------------


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as the server's `script` says: the pieces of an answer, with seconds to wait before
    each.
    """

    def do_GET(self) -> None:
        self.server.keys.append(self.headers["Authorization"])
        self.send(json.dumps(self.server.models).encode())

    def do_POST(self) -> None:
        self.server.keys.append(self.headers["Authorization"])
        self.server.asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(self.server.status)
        if self.server.status == 301:
            self.send_header("Location", "https://other.example/v1/completions")
        self.end_headers()
        try:
            for wait, piece in self.server.script:
                time.sleep(wait)
                self.wfile.write(piece)
                self.wfile.flush()
        except OSError:  # the client has gone
            pass

    def send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def fake() -> Iterator[http.server.ThreadingHTTPServer]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.models, server.script, server.status, server.asked = (
        {"data": [{"id": "m"}]},
        [],
        200,
        None,
    )
    server.keys = []
    threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    ).start()
    yield server
    server.shutdown()
    server.server_close()


def connect(
    fake: http.server.ThreadingHTTPServer, timeout: float = 5.0, api_key: str | None = None
) -> Server:
    address = f"http://127.0.0.1:{fake.server_port}"
    return Server(address, prompts(), LlasaMetadata(), timeout=timeout, api_key=api_key)


def event(text: str, finish: str | None = None) -> bytes:
    return (
        b"data: "
        + json.dumps({"choices": [{"text": text, "finish_reason": finish}]}).encode()
        + b"\n\n"
    )


def ask(server: Server) -> list[int]:
    return server.one(prompts().prompt("abc"), 3, Sampling(temperature=0.7, top_k=5)).codes.tolist()


def test_tokens_may_be_cut_anywhere(fake):
    fake.script = [
        (0, event("<|s_1|><|s")),
        (0, event("_2")),
        (0, event("3|> <|s_4|>")),
        (0, event("", "stop")),
    ]
    assert ask(connect(fake)) == [1, 23, 4]


def test_what_is_asked(fake):
    fake.models = {"data": [{"id": "llasa", "max_model_len": 600}]}
    fake.script = [(0, event("<|s_1|>", "stop")), (0, b"data: [DONE]\n\n")]
    ask(connect(fake))
    asked, prompt = fake.asked, prompts().prompt("abc").tolist()
    assert asked["prompt"] == prompt
    assert asked["max_tokens"] == 136  # no more than three letters can need
    assert asked["stop_token_ids"] == [prompts().vocabulary.speech_end]
    sampling = {
        key: asked[key]
        for key in ("model", "seed", "temperature", "top_k", "skip_special_tokens", "stream")
    }
    assert list(sampling.values()) == ["llasa", 3, 0.7, 5, False, True]


def track_server(fake: http.server.ThreadingHTTPServer) -> Server:
    address = f"http://127.0.0.1:{fake.server_port}"
    own = Prompts.of(phoneme_tokenizer(CODEBOOK))
    return Server(address, own, LlasaMetadata(phonemes=True, track=True), timeout=5.0)


@pytest.mark.parametrize(
    ("pieces", "finished"),
    [
        (["<|pause|>hˈ<|d_1|><|s_5|>ə<|d", "_0|><|s_6|>.", "<|d_1|><|s_7|><|pau", "se|>"], True),
        (["hˈ<|s_5|>ə<|s_6|>.<|s_7|>"], True),  # a server that shows no special tokens
        (["hˈ<|s_5|>ə<|s_6|>ə<|s_6|>.<|s_7|>"], False),  # a phoneme too much
        (["hˈ<|s_5|><|s_6|><|s_7|>"], False),  # two phonemes too few
    ],
)
def test_a_track_is_read_and_checked_against_its_text(fake, pieces, finished):
    fake.script = [*((0, event(piece)) for piece in pieces), (0, event("", "stop"))]
    server = track_server(fake)
    made = server.one(server.prompts.prompt("hˈə."), 0, Sampling())
    assert [*dict.fromkeys(made.codes.tolist())] == [5, 6, 7]
    assert made.finished is finished


def test_a_track_of_something_else_is_no_speech(fake):
    server = track_server(fake)
    for text in ("hˈə<|s_5|>Ω", "<|dog|>", "<|d_1|><|d_x|>"):
        fake.script = [(0, event(text)), (0, event("", "stop"))]
        with pytest.raises(LlasaError, match="where speech was due"):
            server.one(server.prompts.prompt("hˈə."), 0, Sampling())


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ([(0, event("Hello!"))], "gave 'Hello!' where speech was due"),
        ([(0, event("<|s_64|>"))], "code 64, beyond the codebook"),
        ([(0, event("", "stop"))], "no speech at all"),
        ([(0, event("<|s_1|><|s_", "stop"))], "where speech was due"),
        ([(0, b"data: nonsense\n\n")], "nonsense"),
    ],
)
def test_answers_that_are_no_speech_are_refused(fake, script, words):
    fake.script = script
    with pytest.raises(LlasaError, match=words):
        ask(connect(fake))


USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}\n\n'
BOM = b"\xef\xbb\xbf"
DONE = b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    "script",
    [
        [event("<|s_1|><|s_2|>", "stop"), USAGE, DONE],
        [USAGE, event("<|s_1|>"), USAGE, event("<|s_2|>", "stop")],
        [b": ping\n\n", event("<|s_1|>"), b": ping\n\n:\n\n", event("<|s_2|>", "stop"), DONE],
        [b"event: completion\nid: 7\nretry: 10\n", event("<|s_1|><|s_2|>", "stop")],
        [event("<|s_1|>").replace(b"\n", b"\r\n"), event("<|s_2|>"), DONE],
        [event("<|s_1|>").replace(b"\n", b"\r"), event("<|s_2|>").replace(b"\n", b"\r"), DONE],
        [event("<|s_1|>").rstrip() + b"\r", b"\n\r", b"\n", event("<|s_2|>"), DONE],
        [b"\r", b"\n\r\r\n", event("<|s_1|><|s_2|>", "stop").replace(b"\n", b"\r")],
        [BOM, event("<|s_1|><|s_2|>", "stop")],
        [BOM[:1], BOM[1:] + b": ping\r\r", event("<|s_1|><|s_2|>", "stop")],
        [BOM + b'{"choices": [{"text": "<|s_1|><|s_2|>", "finish_reason": "stop"}]}\r'],
        [b'data: {"choices": [\rdata: {"text": "<|s_1|><|s_2|>"}]}\r\r', DONE],
        [event("<|s_1|>").rstrip() + b"\n", event("<|s_2|>", "length").rstrip()],
        [b'data: {"choices": [{"text": null}]}\n\n', event("<|s_1|><|s_2|>"), DONE],
        [b'data: {"choices": null, "usage": {}}\n\n', event("<|s_1|><|s_2|>"), DONE],
        [b'{"choices": [{"text": "<|s_1|><|s_2|>",\n "finish_reason": "stop"}]}'],
    ],
    ids=[
        "usage",
        "usage-between",
        "comments",
        "fields",
        "crlf",
        "cr",
        "crlf in pieces",
        "mixed ends",
        "byte order mark",
        "byte order mark in pieces",
        "json with a byte order mark",
        "lines of data by cr",
        "no-blank-lines",
        "null",
        "no-choices",
        "json",
    ],
)
def test_what_is_no_speech_between_events_is_passed_over(fake, script):
    fake.script = [(0, piece) for piece in script]
    assert ask(connect(fake)) == [1, 2]


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_an_event_is_there_as_soon_as_its_end_is(end):
    """A decoder that waits whether LF follows a CR would be one event late."""
    pieces = [event("<|s_1|>").replace(b"\n", end)]  # nothing more may be asked for
    answer = Response(SimpleNamespace(read1=lambda size: pieces.pop()), None, math.inf)
    assert next(event_blocks(answer)) == [event("<|s_1|>").rstrip()]


@pytest.mark.parametrize(
    "script",
    [
        [event("<|s_1|><|s_2|>")],
        [event("<|s_1|>"), event("<|s_2|>")[:30]],
        [event("<|s_1|>"), USAGE],
        [event("<|s_1|>"), b": ping\n\n"],
        [event("<|s_1|>"), b"data:"],
    ],
    ids=["after an event", "within one", "after a count", "after a comment", "after a name"],
)
def test_a_server_that_breaks_off_is_an_error(fake, script):
    fake.script = [(0, piece) for piece in script]
    with pytest.raises(LlasaError, match="broke off before its end"):
        ask(connect(fake))


def test_nothing_is_left_of_a_stream_that_breaks_off(fake, taught, tmp_path):
    fake.script = [(0, event("<|s_1|>" * 60))]
    small_codec().save_pretrained(tmp_path / "codec")
    args = ["speak", "Hi.", "-o", tmp_path / "a.wav", "--stream", "--model", tmp_path / "codec"]
    server = ["--lm", f"http://127.0.0.1:{fake.server_port}", "--tokenizer", taught]
    done = CliRunner().invoke(xcodec2, list(map(str, [*args, *server])))
    assert "broke off" in str(done.exception)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["codec"]


CHAT = b'{"choices": [{"message": {"role": "assistant", "content": "Hello"}}]}'
PAGE = b"<!DOCTYPE html>\n<html><body>" + b"Welcome to the proxy. " * 300 + b"</body></html>"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (PAGE, r"answers with a web page \(HTML\)"),
        (CHAT, "answers as a chat"),
        (b'data: {"choices": [{"delta": {"content": "Hello"}}]}\n\n', "answers as a chat"),
        (b"", "answers with nothing at all"),
        (b": ping\n\n", "answers with nothing at all"),
        (b"busy, " * 500, r"answers with 'busy, [^']{180,199}…', not"),
        (b'{"object": "list", "data": []}', "not with completions"),
        (b'data: {"error": {"message": "no slot"}}\n\n', "the server failed: no slot"),
        (b'error: {"code": 500, "message": "no slot"}\n\n', "the server failed: no slot"),
        (event("<|s_1|>", "abort"), r"ended the answer early \(abort\)"),
        (DONE, "no speech at all"),
    ],
)
def test_answers_of_other_kinds_are_named(fake, script, words):
    fake.script = [(0, script)]
    with pytest.raises(LlasaError, match=words) as problem:
        ask(connect(fake))
    assert len(str(problem.value)) < 400


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (500, PAGE, r"500 Internal Server Error: a web page \(HTML\)\)"),
        (500, b"\x1b[31mred " * 300, "500 Internal Server Error: .{150,250}…"),
        (422, b'{"detail": [{"loc": ["body"], "msg": "too long"}]}', "422 .*too long"),
        (401, b'{"error": {"message": "bad key"}}', "401 Unauthorized: bad key; .*--api-key"),
        (301, b"", "301 Moved Permanently.*points to https://other.example"),
    ],
)
def test_bodies_of_errors_are_cut(fake, status, body, words):
    fake.status, fake.script = status, [(0, body)]
    with pytest.raises(LlasaError, match=words) as problem:
        ask(connect(fake))
    assert len(str(problem.value)) < 400
    assert "\x1b" not in str(problem.value)


def test_a_web_page_instead_of_models_is_named(fake, monkeypatch):
    monkeypatch.setattr(Handler, "do_GET", lambda self: self.send(PAGE))
    with pytest.raises(LlasaError, match=r"/models gives a web page \(HTML\)"):
        connect(fake)


def test_keys_are_sent(fake, monkeypatch, taught, tmp_path):
    fake.script = [(0, event("<|s_1|>", "stop"))]
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    ask(connect(fake))
    ask(connect(fake, api_key="mine"))
    monkeypatch.setenv("OPENAI_API_KEY", " theirs\n")
    ask(connect(fake))
    ask(connect(fake, api_key=""))
    ask(connect(fake, api_key="mine"))
    mine, theirs = "Bearer mine", "Bearer theirs"
    expected = [None, None, mine, mine, theirs, theirs, None, None, mine, mine]
    assert fake.keys == expected
    small_codec().save_pretrained(tmp_path / "codec")
    args = ["speak", "Hi.", "-o", tmp_path / "a.wav", "--model", tmp_path / "codec"]
    server = ["--lm", f"http://127.0.0.1:{fake.server_port}", "--tokenizer", taught]
    for more in ([], ["--api-key", "given"]):
        done = CliRunner().invoke(xcodec2, list(map(str, [*args, *server, *more])))
        assert done.exit_code == 0, done.exception
    assert fake.keys[len(expected) :] == [theirs, theirs, "Bearer given", "Bearer given"]
    for key in ("a\nb", "clé"):
        with pytest.raises(LlasaError, match="characters that no key has"):
            connect(fake, api_key=key)


@pytest.mark.parametrize(
    "script", [[(3, b"")], [(0.05, event("<|s_1|>"))] * 60], ids=["silent", "dripping"]
)
def test_a_slow_server_is_an_error_in_bounded_time(fake, script):
    fake.script = script
    server = connect(fake, timeout=0.5)
    started = time.monotonic()
    with pytest.raises(LlasaError, match=r"no whole answer within 0\.5 s"):
        ask(server)
    assert time.monotonic() - started < 2.5


def test_a_server_that_is_down_or_refuses_is_an_error(fake):
    with pytest.raises(LlasaError, match="no server answers there"):
        Server("http://127.0.0.1:9", prompts(), LlasaMetadata())
    for address in ("127.0.0.1:8000", "ftp://x"):
        with pytest.raises(LlasaError, match="looks like http"):
            Server(address, prompts(), LlasaMetadata())
    with pytest.raises(LlasaError, match="not a usable address"):
        Server("http://127.0.0.1:99999", prompts(), LlasaMetadata())
    with pytest.raises(LlasaError, match="holds a user") as problem:
        Server("http://me:secret@127.0.0.1:80", prompts(), LlasaMetadata())
    assert "secret" not in str(problem.value)
    server = connect(fake)
    fake.status, fake.script = 503, [(0, b"busy")]
    with pytest.raises(LlasaError, match="503 Service Unavailable: busy"):
        ask(server)
    fake.models = {"data": []}
    with pytest.raises(LlasaError, match="no model loaded"):
        connect(fake)
    fake.models = []
    with pytest.raises(LlasaError, match="no OpenAI-compatible server"):
        connect(fake)


@pytest.mark.parametrize(
    "models",
    [
        {"data": {"a": 1}},
        {"data": ["m"]},
        {"data": "m"},
        {"data": 5},
        "deep",
        "gzip",
    ],
)
def test_models_of_other_shapes_are_no_server_of_this_kind(fake, monkeypatch, models):
    content = {"deep": b"[" * 200_000, "gzip": gzip.compress(b"{}")}
    body = content[models] if isinstance(models, str) else json.dumps(models).encode()
    monkeypatch.setattr(Handler, "do_GET", lambda self: self.send(body))
    with pytest.raises(LlasaError, match="no OpenAI-compatible server") as problem:
        connect(fake)
    assert len(str(problem.value)) < 400
    assert ("(gzip)" in str(problem.value)) == (models == "gzip")


@pytest.mark.parametrize("length", ["abc", -5, [1], float("inf"), float("nan"), None, {}])
def test_a_context_that_is_no_number_is_the_usual_one(fake, length):
    fake.models = {"data": [{"id": "m", "max_model_len": length, "meta": "x"}]}
    assert connect(fake).context == LENGTH
    fake.models = {"data": [{"id": "m", "max_model_len": length, "meta": {"n_ctx": 600}}]}
    assert connect(fake).context == 600


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (b"data: " + b'{"a":' * 100_000 + b"\n\n", "not with completions"),
        (gzip.compress(event("<|s_1|>", "stop")), r"compressed data \(gzip\)"),
        (event("<|s_1|>", "ab\x1b[31m" + "o" * 3000), "ended the answer early"),
        (b"x" * (1 << 23), "a line of more than"),
        ((b"x" * 99_999 + b"\n") * 99, "answers with 'x"),
        (event("<|s_\u0661|>", "stop"), "where speech was due"),
        (event(f"<|s_{'0' * 20}7|>", "stop"), "where speech was due"),
    ],
    ids=["deep", "gzip", "reason", "long line", "many lines", "other digits", "many digits"],
)
def test_strange_answers_are_one_short_line(fake, script, words):
    fake.script = [(0, script)]
    with pytest.raises(LlasaError, match=words) as problem:
        ask(connect(fake))
    assert len(str(problem.value)) < 400
    assert "\x1b" not in str(problem.value)


@pytest.mark.parametrize(
    "head", [b"HTTP/1.0 500 \x1b[31m" + b"x" * 50_000, b"\x1b[31m" * 5000], ids=["reason", "status"]
)
def test_what_a_server_says_in_its_first_line_is_cut(fake, monkeypatch, head):
    monkeypatch.setattr(Handler, "do_POST", lambda self: self.wfile.write(head + b"\r\n\r\n"))
    with pytest.raises(LlasaError) as problem:
        ask(connect(fake))
    assert len(str(problem.value)) < 500
    assert "\x1b" not in str(problem.value)
