"""Counters of one server, in Prometheus' form."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

SECONDS = (0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30, 60)


class Metrics:
    """What a server counts; each app has its own registry."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.requests = Counter(
            "xcodec2_requests",
            "Requests by route and status.",
            ["route", "status"],
            registry=registry,
        )
        self.request_seconds = Histogram(
            "xcodec2_request_seconds",
            "From request to the end of the answer.",
            ["route"],
            buckets=SECONDS,
            registry=registry,
        )
        self.first_sound = Histogram(
            "xcodec2_first_sound_seconds",
            "From a speech request to its first byte of audio.",
            buckets=SECONDS,
            registry=registry,
        )
        self.audio_seconds = Counter(
            "xcodec2_audio_seconds",
            "Audio by direction: encoded or decoded.",
            ["direction"],
            registry=registry,
        )
        self.tokens = Counter(
            "xcodec2_generated_tokens", "Codes that the language model made.", registry=registry
        )
        self.cancelled = Counter(
            "xcodec2_cancelled", "Streams whose client left early.", registry=registry
        )
        self.reader_deaths = Counter(
            "xcodec2_upload_reader_deaths",
            "Uploads that ended the process that read them.",
            registry=registry,
        )
        ProcessCollector(registry=registry)

    def watch(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A gauge that is looked up whenever it is asked for."""
        Gauge(f"xcodec2_{name}", text, registry=self.registry).set_function(value)

    def text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self.registry)
