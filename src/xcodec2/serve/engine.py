"""One thread that all live streams share: it steps the language model and the codec's streaming
encoder and decoder, each as one batch that streams join and leave at any frame.

Nobody waits for anybody: what a slow reader has not fetched is left as codes, two bytes each.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from xcodec2 import XCodec2Model
from xcodec2.codec.frames import STEP
from xcodec2.errors import XCodec2Error
from xcodec2.llasa.speaker import STREAM_STEP, Speaker
from xcodec2.serve.limits import Limits
from xcodec2.serve.outlet import Inlet, Outlet
from xcodec2.serve.places import Growth, Places, places_for
from xcodec2.serve.problems import queue_full
from xcodec2.serve.speech import Script
from xcodec2.streaming import DecoderStream, EncoderStream, finish_all, push_all

LOG = logging.getLogger("xcodec2.serve")
AHEAD_SECONDS = 4.0  # of sound that waits for its reader
CHUNK_CODES = 50  # that one stream may decode in a turn
CHUNK_SECONDS = 1.0  # of audio that one stream may encode in a turn


class Job:
    """A stream under way.

    Attributes:
        outlet: Where its results go: (n,) float32 samples, or (t,) codes.
        session: Of the codec.
    """

    outlet: Outlet[np.ndarray]
    session: DecoderStream | EncoderStream

    def __init__(self) -> None:
        self.cancelled = False
        self.failure: Exception | None = None  # that comes behind its results

    def ready(self) -> Any | None:
        """The next chunk for the session, if there is one."""
        raise NotImplementedError

    def over(self) -> bool:
        """Whether no chunk will follow."""
        raise NotImplementedError

    def made(self, values: np.ndarray) -> np.ndarray:
        """What of the session's results the reader gets."""
        return values


class SpeechJob(Job):
    """A text that is being spoken.

    Args:
        script: Its pieces.
        session: That decodes.
        outlet: Where samples go.
        hop: Samples a code.
    """

    def __init__(
        self, script: Script, session: DecoderStream, outlet: Outlet[np.ndarray], hop: int
    ) -> None:
        super().__init__()
        self.script, self.session, self.outlet = script, session, outlet
        voice = script.voice.codes.tolist() if script.voice is not None else []
        self.pending: list[int] = voice
        self.dropped = len(voice) * hop  # samples that come before the speech
        self.piece: tuple[str, np.ndarray, int] | None = None
        self.growth: Growth | None = None
        self.codes: list[int] = []  # of the piece
        self.tokens = 0
        self.sounded = False
        self.complete = False  # all is generated
        self.ended = True  # the model ended every piece by itself

    def ready(self) -> list[int] | None:
        """Codes, as many as the session takes at once."""
        step = STREAM_STEP if self.windowed else STEP if self.sounded else 1
        least = 1 if self.complete else step
        if len(self.pending) < least:
            return None
        chunk, self.pending = self.pending[:CHUNK_CODES], self.pending[CHUNK_CODES:]
        return chunk

    @property
    def windowed(self) -> bool:
        """Whether each step of the decoder sees much of what it saw before."""
        return self.session.model.receptive_field is None

    def over(self) -> bool:
        """Whether no code will follow."""
        return self.complete and not self.pending

    def made(self, values: np.ndarray) -> np.ndarray:
        """Samples without those of the voice's clip."""
        kept = values[self.dropped :]
        self.sounded |= len(kept) > 0
        self.dropped = max(0, self.dropped - len(values))
        return kept


class FedJob(Job):
    """A stream whose chunks come from a client.

    Args:
        session: That encodes or decodes.
        outlet: Where results go.
        inlet: Where chunks come from.
    """

    def __init__(
        self,
        session: DecoderStream | EncoderStream,
        outlet: Outlet[np.ndarray],
        inlet: Inlet[np.ndarray],
    ) -> None:
        super().__init__()
        self.session, self.outlet, self.inlet = session, outlet, inlet

    def ready(self) -> np.ndarray | None:
        """What has come."""
        return self.inlet.take()

    def over(self) -> bool:
        """Whether nothing will follow."""
        return self.inlet.ended and not self.inlet.items


class Engine:
    """The thread.

    Args:
        codec: What encodes and decodes.
        speaker: What speaks; None for a codec alone.
        limits: Of streams.
        generated: Is called with the number of codes that a step has made.
    """

    def __init__(
        self,
        codec: XCodec2Model,
        speaker: Speaker | None,
        limits: Limits,
        generated: Callable[[int], None] = lambda count: None,
    ) -> None:
        self.codec, self.speaker, self.limits = codec, speaker, limits
        self.generated = generated
        self.hop = codec.sample_rate // codec.frame_rate
        self.changed = threading.Condition()
        self.news = False
        self.stopping = False
        self.jobs: list[Job] = []
        self.places: Places | None = None
        if speaker is not None:
            self.places = places_for(speaker.backend, limits.max_streams, self.wake)
        self.thread = threading.Thread(target=self.run, name="engine", daemon=True)
        self.thread.start()

    # ---- from the event loop ---------------------------------------------------------------------

    def speak(self, script: Script) -> SpeechJob:
        """Begin to speak.

        Raises:
            ApiProblem: Too many wait.
        """
        most = self.limits.max_streams + self.limits.max_queue
        if len(self.of(SpeechJob)) >= most:
            raise queue_full("speech")
        step = STREAM_STEP if self.codec.receptive_field is None else None
        job = SpeechJob(script, self.codec.decoder_stream(step=step), self.outlet(), self.hop)
        self.add(job)
        return job

    def decode(self) -> FedJob:
        """A stream of codes that become sound.

        Raises:
            ApiProblem: Too many are open.
        """
        self.check_sessions()
        # Codes are small, and clients send them all before they read: they may all wait.
        return self.feed(self.codec.decoder_stream(), math.inf)

    def encode(self, sample_rate: int) -> FedJob:
        """A stream of sound that becomes codes.

        Raises:
            ApiProblem: Too many are open.
            XCodec2Error: No such rate.
        """
        self.check_sessions()
        return self.feed(self.codec.encoder_stream(sample_rate), 2 * CHUNK_SECONDS)

    def feed(self, session: DecoderStream | EncoderStream, bound: float) -> FedJob:
        """A stream for a session."""
        job = FedJob(session, self.outlet(), Inlet(bound, self.wake))
        self.add(job)
        return job

    def check_sessions(self) -> None:
        """Raise ApiProblem where no stream may come."""
        if len(self.of(FedJob)) >= self.limits.max_sessions:
            raise queue_full("streams")

    def outlet(self) -> Outlet[np.ndarray]:
        """Where a job's results go; their weight is in seconds."""
        return Outlet(AHEAD_SECONDS, self.wake)

    def of(self, kind: type[Job]) -> list[Job]:
        """The jobs of a kind that are under way."""
        with self.changed:
            return [job for job in self.jobs if isinstance(job, kind) and not job.cancelled]

    def add(self, job: Job) -> None:
        """Take a job in."""
        with self.changed:
            self.jobs.append(job)
        self.wake()

    def cancel(self, job: Job) -> bool:
        """Its reader has gone, or has all. Says whether it was still under way."""
        with self.changed:
            under_way = job in self.jobs and not job.cancelled
            job.cancelled = True
        self.wake()
        return under_way

    def wake(self) -> None:
        """There is something new to look at."""
        with self.changed:
            self.news = True
            self.changed.notify()

    def stop(self) -> None:
        """End the thread."""
        with self.changed:
            self.stopping = True
            self.changed.notify()
        self.thread.join(5)

    # ---- the thread ------------------------------------------------------------------------------

    def run(self) -> None:
        """Turn after turn, as long as there is something to do."""
        torch.set_num_threads(1)  # streams are many small steps
        while True:
            with self.changed:
                while not (self.news or self.stopping):
                    self.changed.wait()
                if self.stopping:
                    return
                self.news = False
            try:
                while self.turn() and not self.stopping:
                    pass
            except Exception as problem:
                LOG.exception("the engine failed")
                for job in list(self.jobs):
                    self.leave(job, problem)

    def turn(self) -> bool:
        """Let every job go on by one step; whether one has."""
        for job in list(self.jobs):
            if job.cancelled:
                self.leave(job)
        return bool(self.generate() | self.convert())

    def leave(self, job: Job, problem: Exception | None = None) -> None:
        """A job is over."""
        with self.changed:
            if job not in self.jobs:
                return
            self.jobs.remove(job)
        if isinstance(job, SpeechJob) and job.growth is not None and self.places is not None:
            self.places.cancel(job.growth)
        job.outlet.end(problem)

    def generate(self) -> bool:
        """One more token for each text; whether there was any, or a piece has come to its end."""
        if self.places is None:
            return False
        speaking = [job for job in list(self.jobs) if isinstance(job, SpeechJob)]
        # those that have begun come before those that wait
        for job in sorted(speaking, key=lambda job: not job.script.spoken):
            if job.growth is None and not job.complete and self.places.free > 0:
                self.begin(job)
        busy = self.places.busy
        if busy:
            self.places.step()
        growing = [job for job in speaking if job.growth is not None]
        count = sum(self.collect(job) for job in growing)
        if count:
            self.generated(count)
        return busy or count > 0 or any(job.growth is None for job in growing)

    def begin(self, job: SpeechJob) -> None:
        """Start the next piece of a text, if there is one."""
        assert self.places is not None
        try:
            job.piece = job.script.take()
            if job.piece is None:
                job.complete = True
                return
            _, prompt, seed = job.piece
            job.growth, job.codes = self.places.start(prompt, seed, job.script.sampling), []
        except XCodec2Error as problem:
            self.leave(job, problem)

    def collect(self, job: SpeechJob) -> int:
        """Take the codes that a text got; how many these were."""
        growth = job.growth
        assert growth is not None
        finished = growth.finished  # before: what comes later is there at the next turn
        codes = growth.take()
        job.codes += codes
        job.pending += codes
        job.tokens += len(codes)
        if finished:
            job.growth = None
            if growth.problem is not None:  # what was said until then is heard first
                job.failure, job.complete = growth.problem, True
                return len(codes)
            assert job.piece is not None
            job.ended &= growth.ended
            job.script.said(job.piece[0], job.codes, growth.ended)
            job.complete = not job.script.left
        return len(codes)

    def convert(self) -> bool:
        """Push what there is through the codec; whether there was any."""
        chunks = [
            (job, chunk)
            for job in list(self.jobs)
            if not job.outlet.full and (chunk := job.ready()) is not None
        ]
        if chunks:
            pushed = [chunk for _, chunk in chunks]
            self.through(lambda jobs: push_all(jobs, pushed), [job for job, _ in chunks])
        ending = [job for job in list(self.jobs) if job.over() and not job.outlet.full]
        for job in ending:  # one that is too short is no harm to others
            self.through(finish_all, [job])
            self.leave(job, job.failure)
        return bool(chunks or ending)

    def through(self, work: Callable[[list[Any]], Sequence[torch.Tensor]], jobs: list[Job]) -> None:
        """Let the codec work on the sessions of jobs, and give what comes."""
        try:
            results = work([job.session for job in jobs])
        except XCodec2Error as problem:
            self.blame(jobs, problem)
            return
        for job, result in zip(jobs, results, strict=True):
            values = job.made(result.numpy())
            if len(values):
                encodes = isinstance(job.session, EncoderStream)
                rate = self.codec.frame_rate if encodes else self.codec.sample_rate
                job.outlet.put(values, len(values) / rate)

    def blame(self, jobs: list[Job], problem: XCodec2Error) -> None:
        """A batch was refused: the jobs that are at fault fail."""
        broken = [job for job in jobs if job.session.finished] or jobs
        for job in broken:
            self.leave(job, problem)
