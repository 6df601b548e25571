"""LLaSA: text to speech by a LLaMA whose tokens are the codec's codes (arXiv 2502.04128).

Examples:
    >>> from xcodec2.llasa import Speaker
    >>> speaker = Speaker.from_pretrained()             # the bundled model
    >>> spoken = speaker.speak("Weasels have eaten our phone system")
    >>> spoken.waveform, spoken.codes                   # (N,) float32, (T,) int64
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xcodec2.lazy import exports

if TYPE_CHECKING:
    from xcodec2.errors import LlasaError
    from xcodec2.llasa.backends.base import Sampling
    from xcodec2.llasa.search import Search
    from xcodec2.llasa.speaker import Speaker, Spoken
    from xcodec2.llasa.voices import StoredVoice, Voice, VoiceStore

__all__ = [
    "LlasaError",
    "Sampling",
    "Search",
    "Speaker",
    "Spoken",
    "StoredVoice",
    "Voice",
    "VoiceStore",
]

_HOMES = {
    "LlasaError": "xcodec2.errors",
    "Sampling": "xcodec2.llasa.backends.base",
    "Search": "xcodec2.llasa.search",
    "Speaker": "xcodec2.llasa.speaker",
    "Spoken": "xcodec2.llasa.speaker",
    "StoredVoice": "xcodec2.llasa.voices",
    "Voice": "xcodec2.llasa.voices",
    "VoiceStore": "xcodec2.llasa.voices",
}

__getattr__, __dir__ = exports(__name__, _HOMES, __all__)
