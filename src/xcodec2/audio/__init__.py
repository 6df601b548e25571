"""Audio in and out: any file, rate or array becomes a float waveform, and waveforms become
files.
"""

from xcodec2.audio.io import Audio, AudioSource, load_audio, save_audio

__all__ = ["Audio", "AudioSource", "load_audio", "save_audio"]


def __dir__() -> list[str]:
    return sorted(__all__)
