"""A real server on a free port of loopback, with small models."""

from __future__ import annotations

import contextlib
import functools
import io
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import soundfile
import torch
import uvicorn
from talkers import prompts, small_llama
from tiny import SPECTROGRAM, random_model, speech
from transformers import LlamaForCausalLM

from xcodec2 import XCodec2Model
from xcodec2.llasa import Speaker
from xcodec2.llasa.backends.local import InProcess
from xcodec2.llasa.lm import LanguageModel, LlasaMetadata
from xcodec2.serve.server import listening, url_of

STREAMING = replace(
    SPECTROGRAM,
    levels=(4, 4, 4),
    attention_window=(9, 1),
    convolutions_ahead=2,
    semantic_layers=1,
    layers=1,
)
GREEDY = {"temperature": 0, "input": "blue sun."}  # it goes on to the end of its context
LONG = GREEDY | {"input": "blue sun. " * 400}  # more than sockets hold


@functools.cache
def streaming_codec() -> XCodec2Model:
    """64 codes, a finite receptive field."""
    return random_model(STREAMING)


@functools.cache
def babbler() -> LlamaForCausalLM:
    """Random weights, of which the likeliest token is never the end."""
    model = small_llama(tied=False)
    with torch.no_grad():
        model.lm_head.weight[prompts().vocabulary.speech_end] = 0
    return model


def talker(codec: XCodec2Model | None = None, **metadata: Any) -> Speaker:
    """A language model of random weights with a codec."""
    lm = LanguageModel("babble", babbler(), prompts(), LlasaMetadata(**metadata))
    return Speaker(InProcess(lm), codec or streaming_codec())


@contextlib.contextmanager
def running(app: Any) -> Iterator[str]:
    """The address of an app that is served, once it is ready."""
    listener = listening("127.0.0.1", 0)
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    url = url_of(listener)
    try:
        wait_until(lambda: health(url) == 200, 600)
        yield url
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()


def health(url: str) -> int:
    try:
        return httpx.get(f"{url}/health", timeout=5).status_code
    except httpx.HTTPError:
        return 0


def wait_until(true: Any, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "did not come true"
        time.sleep(0.02)


def metric(url: str, name: str) -> float:
    """The value of a counter with its labels or without, or else the sum over its labels."""
    lines = httpx.get(f"{url}/metrics", timeout=60).text.splitlines()
    found = [line.rpartition(" ") for line in lines if line.startswith(name) and line[0] != "#"]
    exact = [value for key, _, value in found if name in (key, key.partition("{")[0])]
    return sum(map(float, exact))


def clip(seconds: float = 1.5, rate: int = 16_000, form: str = "WAV") -> bytes:
    """A file of speech."""
    samples = speech().numpy()[: int(seconds * 16_000)]
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form)
    return file.getvalue()


def samples_of(content: bytes) -> np.ndarray:
    """(n,) float32 of s16le."""
    return np.frombuffer(content, "<i2").astype(np.float32) / 32768
