"""A server under load, on loopback, in one run.

    python benchmarks/serve.py first            # first sound, median of 20, one at a time
    python benchmarks/serve.py streams          # 16 texts at once, one of them read slowly
    python benchmarks/serve.py clips            # 200 clients with 3 s each, beside `extract`
    python benchmarks/serve.py memory           # after 200 and after 2,000 requests
    python benchmarks/serve.py first --args --lm FOLDER --model FOLDER

Each starts `xcodec2 serve` with the models inside (or as --args says). Clients are plain sockets in
this process. On a busy machine compare processor seconds, and ratios of alternating runs.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import psutil
import soundfile

DEMO = Path(__file__).parents[1] / "src" / "xcodec2" / "assets" / "demo.flac"
TEXT = "Weasels have eaten our phone system"
PCM = {"input": TEXT, "response_format": "pcm", "sample_rate": 16_000}
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
    try:
        address = urlsplit(process.stderr.readline().split()[-1])
        for line in process.stderr:
            if line.rstrip().endswith("ready"):
                break
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield Server(psutil.Process(process.pid), str(address.hostname), address.port or 0)
    finally:
        process.terminate()
        process.wait(60)


async def first(server: Server) -> None:
    """From request to first sound."""
    found, busy = [], []
    for _ in range(21):
        before = server.cpu()
        answer = await server.post("/v1/audio/speech", json.dumps(PCM).encode(), whole=False)
        busy.append(server.cpu() - before)
        found.append(answer.first)
        await asyncio.sleep(0.5)  # until what was hung up is given up
    median, largest = statistics.median(found[1:]), max(found[1:])
    print(
        f"first sound: median {1000 * median:.0f} ms of 20, largest {1000 * largest:.0f} ms, in "
        f"{1000 * statistics.median(busy[1:]):.0f} ms of processor time"
    )


async def streams(server: Server) -> None:
    """Many texts at once against each alone, with one reader that is slow."""
    bodies = [json.dumps(PCM | {"seed": seed}).encode() for seed in range(16)]
    alone = [await server.post("/v1/audio/speech", body) for body in bodies]
    started = time.perf_counter()
    slow = server.post("/v1/audio/speech", json.dumps(PCM).encode(), slow=1.0)
    slow_task = asyncio.ensure_future(slow)
    together = await asyncio.gather(*(server.post("/v1/audio/speech", body) for body in bodies))
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


async def encode_clips(server: Server) -> None:
    """200 clients at once, and the same clips through `extract`."""
    contents = clips()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "clips"
        source.mkdir()
        for number, content in enumerate(contents):
            (source / f"{number:03}.wav").write_bytes(content)
        for turn in range(3):
            before, started = server.cpu(), time.perf_counter()
            answers = await asyncio.gather(
                *(server.post("/v1/audio/codes", c, "application/octet-stream") for c in contents)
            )
            took, cpu = time.perf_counter() - started, server.cpu() - before
            lost = sum(answer.status != 200 for answer in answers)
            times = sorted(answer.took for answer in answers)
            print(
                f"{CLIENTS} clients: {lost} lost, p50 {times[CLIENTS // 2]:.2f} s, p99 "
                f"{times[CLIENTS * 99 // 100]:.2f} s, {CLIENTS / took:.1f} clips/s, "
                f"{CLIENTS / cpu:.1f} a CPU second"
            )
            run_extract(source, Path(folder) / f"out{turn}")


def run_extract(source: Path, out: Path) -> None:
    """The same clips, without the seconds that it takes to start."""
    one = source.parent / "one"
    if not one.exists():
        one.mkdir()
        (one / "000.wav").write_bytes((source / "000.wav").read_bytes())
    took, cpu = extraction(source, out)
    idle, idle_cpu = extraction(one, out.with_name(f"{out.name}-one"))
    count = CLIENTS - 1
    print(
        f"extract, 1 worker: {count / (took - idle):.1f} clips/s, "
        f"{count / (cpu - idle_cpu):.1f} a CPU second"
    )


def extraction(source: Path, out: Path) -> tuple[float, float]:
    """Seconds, and processor seconds, of one run."""
    before, started = psutil.Process().cpu_times(), time.perf_counter()
    command = [sys.executable, "-m", "xcodec2.cli", "extract", str(source), str(out)]
    subprocess.run([*command, "--workers", "1"], check=True, capture_output=True)
    after = psutil.Process().cpu_times()
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    return time.perf_counter() - started, cpu


async def memory(server: Server) -> None:
    """Resident memory of the server, without its readers, as requests go by."""
    contents = clips()
    sizes = {}
    for number in range(2_000):
        if number % 10:
            answer = await server.post(
                "/v1/audio/codes", contents[number % CLIENTS], "application/octet-stream"
            )
        else:
            body = json.dumps(PCM | {"seed": number, "response_format": "mp3"}).encode()
            answer = await server.post("/v1/audio/speech", body)
        assert answer.status == 200
        if number + 1 in (200, 2_000):
            sizes[number + 1] = server.process.memory_info().rss / 1e6
    print(f"memory: {sizes[200]:.0f} MB after 200 requests, {sizes[2_000]:.0f} MB after 2,000")


PARTS = {"first": first, "streams": streams, "clips": encode_clips, "memory": memory}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--args", nargs=argparse.REMAINDER, default=[])
    chosen = parser.parse_args()
    with serving(chosen.args) as server:
        asyncio.run(PARTS[chosen.part](server))


if __name__ == "__main__":
    main()
