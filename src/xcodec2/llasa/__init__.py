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
    from xcodec2.llasa.generation.batch import BatchGenerator, Sequence
    from xcodec2.llasa.lm import LanguageModel, load_lm
    from xcodec2.llasa.sampling import Sampling
    from xcodec2.llasa.search import Search
    from xcodec2.llasa.speaker import Speaker, Spoken
    from xcodec2.llasa.voices import StoredVoice, Voice, VoiceStore

__all__ = [
    "BatchGenerator",
    "LanguageModel",
    "LlasaError",
    "Sampling",
    "Search",
    "Sequence",
    "Speaker",
    "Spoken",
    "StoredVoice",
    "Voice",
    "VoiceStore",
    "load_lm",
]

_HOMES = {
    "BatchGenerator": "xcodec2.llasa.generation.batch",
    "LanguageModel": "xcodec2.llasa.lm",
    "LlasaError": "xcodec2.errors",
    "Sampling": "xcodec2.llasa.sampling",
    "Search": "xcodec2.llasa.search",
    "Sequence": "xcodec2.llasa.generation.batch",
    "Speaker": "xcodec2.llasa.speaker",
    "Spoken": "xcodec2.llasa.speaker",
    "StoredVoice": "xcodec2.llasa.voices",
    "Voice": "xcodec2.llasa.voices",
    "VoiceStore": "xcodec2.llasa.voices",
    "load_lm": "xcodec2.llasa.lm",
}

__getattr__, __dir__ = exports(__name__, _HOMES, __all__)
