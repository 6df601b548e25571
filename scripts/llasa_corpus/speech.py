"""Who says it: hibari's own voice on the codec's grid, its pseudo-speakers, and Kokoro's voices."""

import functools
import importlib.util
import random
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import soxr
from nano_data.audio import SAMPLE_RATE, TRAIN_RULES, UnusableError, prepare
from nano_data.speakers import RATE, Hibari, Kokoro, bent
from nano_data.synthesis import LOUDEST
from nano_data.voices import KokoroVoice, PseudoSpeaker, kokoro_voices, pseudo_speakers

#: hibari's durations count 25 ms. With shorter steps in its synthesis, and as much slower speech,
#: each is one code of 20 ms, at the same pace and pitch, so that phonemes end where codes end.
GRID_HOP, GRID_PACE = 240, 0.8
GRID_RATE = 50  # codes a second
DURATIONS = "/Clip_output_0"  # in hibari's graph: steps of each symbol, the ends included
KINDS = ("hibari", "pseudo", "presets", "kokoro")


def preset(name: str, pitch: float, formants: float, liveliness: float = 1.0) -> PseudoSpeaker:
    """hibari's voice with another pitch and other formants, at its own pace."""
    return PseudoSpeaker(name, pitch, formants, liveliness, 1.0, 0.0, (0.0,) * 4, (), "train")


#: Few, so that a small model hears hours of each: those that the bundled model's voices are.
PRESETS = (
    preset("deep", 0.55, 0.87),
    preset("low", 0.7, 0.93, 0.9),
    preset("bright", 1.25, 1.09),
)


@dataclass(frozen=True)
class GridVoice:
    """hibari's voice as it is, each phoneme a whole number of codes."""

    name: str = "heart"
    split: str = "train"


Voice = GridVoice | PseudoSpeaker | KokoroVoice


@dataclass(frozen=True)
class Take:
    """16 kHz speech, and how many codes each symbol lasts where the voice says so."""

    waveform: np.ndarray
    durations: tuple[int, ...] = ()


def voices(kind: str, seed: int) -> list[Voice]:
    """All voices of a kind that speak English."""
    if kind == "hibari":
        return [GridVoice()]
    if kind == "pseudo":
        return list(pseudo_speakers(seed))
    if kind == "presets":
        return list(PRESETS)
    return [voice for voice in kokoro_voices(seed) if voice.language == "en"]


class Speech:
    """The engines, loaded when they are first asked."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache

    @functools.cached_property
    def hibari(self) -> Hibari:
        return Hibari()

    @functools.cached_property
    def kokoro(self) -> Kokoro:
        return Kokoro(self.cache, self.hibari)

    @functools.cached_property
    def grid(self) -> "Grid":
        return Grid(self.hibari)

    def say(self, phonemes: str, voice: Voice, rng: random.Random) -> Take:
        """Speech of phonemes; the same generator's state gives the same.

        Raises:
            UnusableError: Nothing was said.
        """
        if isinstance(voice, KokoroVoice):
            waveform = self.kokoro.say_phonemes(phonemes, voice)
            return Take(prepare(no_louder(waveform), RATE, TRAIN_RULES))
        return self.grid.say(phonemes, rng, voice if isinstance(voice, PseudoSpeaker) else None)


class Grid:
    """hibari with its durations, on the grid of the codes; its voice, or a pseudo-speaker's."""

    def __init__(self, hibari: Hibari) -> None:
        self.voice = hibari.voice
        self.session = with_durations(Path(self.voice.model_path))
        self.dsp = synthesis_of_hop(GRID_HOP)

    def say(self, phonemes: str, rng: random.Random, speaker: PseudoSpeaker | None = None) -> Take:
        """Speech of phonemes; of a speaker with an accent, of as many others."""
        for native, foreign in speaker.accent if speaker else ():
            phonemes = phonemes.replace(native, foreign)
        pace = GRID_PACE * (speaker.pace if speaker else 1)
        inputs = {
            "ids": np.asarray([self.voice.ids(phonemes)], np.int64),
            "speed": np.asarray([pace], np.float32),
        }
        *parts, steps = self.session.run(None, inputs)
        noise = np.random.default_rng(rng.getrandbits(64))
        sound = tuple(part[0] for part in parts)
        waveform = self.dsp.synth(*(bent(sound, speaker) if speaker else sound), noise)
        speech = soxr.resample(no_louder(waveform), RATE, SAMPLE_RATE, quality="VHQ")
        durations = steps.reshape(-1).astype(int)
        expected = int(durations.sum()) * SAMPLE_RATE // GRID_RATE
        if len(speech) != expected:
            raise UnusableError(f"{len(speech)} samples for {expected}: durations do not fit")
        return Take(speech, tuple(durations.tolist()))


def no_louder(waveform: np.ndarray) -> np.ndarray:
    """Turned down where it would clip."""
    return waveform * min(1.0, LOUDEST / max(float(np.abs(waveform).max(initial=0)), 1e-3))


def with_durations(path: Path):
    """hibari's network with its durations as one more output."""
    import onnx
    import onnxruntime

    model = onnx.load(path)
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(DURATIONS))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def synthesis_of_hop(hop: int) -> ModuleType:
    """hibari's signal processing with another step between frames: a copy of the module, since the
    step is one of its constants.
    """
    from hibari import dsp

    spec = importlib.util.spec_from_file_location(f"hibari_dsp_{hop}", dsp.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.HOP = hop
    return module
