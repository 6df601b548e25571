"""A recipe: every number of one training run, as a readable TOML file and as frozen dataclasses.

A field without a default must stand in the file. An unknown table or key raises: a misspelt number
must not be silently the default.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from xcodec2.recipe_file import RecipeReader, refuse

SHIPPED = Path(__file__).parents[1] / "recipes" / "codec"

CODECS = ("opus", "mp3", "amr", "alaw")  # through which augmentation can send speech

#: Old key → new key, as `RecipeReader` takes them.
RENAMED_KEYS = {
    "optimiser": "optimizer",
    "optimizer.rate": "optimizer.learning_rate",
    "optimizer.of_run": "optimizer.relative_steps",
    "discriminator_optimiser": "discriminator_optimizer",
    "discriminator_optimizer.rate": "discriminator_optimizer.learning_rate",
    "discriminator_optimizer.of_run": "discriminator_optimizer.relative_steps",
    "discriminators.period_most": "discriminators.period_max_channels",
    "discriminators.spectrogram_most": "discriminators.spectrogram_max_channels",
    "losses.recogniser": "losses.recognizer",
    "recogniser": "recognizer",
    "data.most_crops": "data.max_crops",
    "data.valid_recogniser": "data.valid_recognizer",
    "data.augment.equaliser": "data.augment.equalizer",
    "data.augment.equaliser_db": "data.augment.equalizer_db",
    "teacher.rate": "teacher.feature_rate",
}

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Run:
    """How long, how often, and where to."""

    out: str  # folder of checkpoints, logs and samples
    steps: int
    batch: int  # crops a step in each process
    crop_seconds: float
    seed: int = 0
    device: Literal["auto", "cpu"] = "auto"  # auto: what accelerate finds
    engine: Literal["steps", "graphs"] = "steps"  # graphs: whole steps at once, by a [graphs] table
    precision: Literal["no", "fp16", "bf16"] = "no"
    threads: int = 0  # of PyTorch in each process; 0: its own choice
    log_every: int = 50
    save_every: int = 500
    keep: int = 2  # checkpoints; older ones are deleted
    validate_every: int = 500


@dataclass(frozen=True)
class Start:
    """What the weights are before the first step."""

    checkpoint: str = ""  # anything that from_pretrained takes; empty: random weights
    # a folder written by `train semantic-teacher`; its weights replace the semantic encoder's
    semantic_encoder: str = ""
    # OUT/discriminators.safetensors of a run, or a Lightning checkpoint of the original
    discriminators: str = ""
    # parts of the codec that begin random all the same; a semantic adapter begins silent
    fresh: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()  # parts of the codec that do not learn


@dataclass(frozen=True)
class Optimizer:
    """AdamW. `learning_rate` is (step, learning rate) points: straight lines between them, flat
    behind the last.
    """

    learning_rate: Points
    # the points' steps are shares of the run, 0…1: a run made longer stretches them
    relative_steps: bool = False
    betas: tuple[float, float] = (0.8, 0.9)
    weight_decay: float = 0.01
    clip: float = 1.0  # largest norm of the gradient
    # PyTorch's fused AdamW: a third of the time on a CPU, rounded otherwise. The engine `graphs`
    # always uses it.
    fused: bool = False


@dataclass(frozen=True)
class Weights:
    """What each loss counts for; 0 leaves it out of the computation."""

    mel: float = 15.0
    adversarial: float = 0.0
    feature_matching: float = 0.0
    semantic: float = 0.0
    convergence: float = 0.0
    log_magnitude: float = 0.0
    balance: float = 0.0
    rms: float = 0.0
    self_guidance: float = 0.0
    consistency: float = 0.0  # of the codes of the same speech, softer and with a little noise
    intelligibility: float = 0.0  # after STOI and ESTOI
    loudness: float = 0.0  # after PESQ's model of the ear
    recognizer: float = 0.0  # a frozen recognizer's features of the decoded speech
    taught: float = 0.0  # its last features of the target, read out of the semantic branch
    meaning: float = 0.0  # the same, read out of each frame's quantized vector

    def used(self) -> dict[str, float]:
        """Losses that count, with their weights."""
        return {name: weight for name, weight in dataclasses.asdict(self).items() if weight}


@dataclass(frozen=True)
class Discriminators:
    """Sizes of the multi-period and the multi-scale spectrogram discriminators; defaults as
    published.
    """

    periods: tuple[int, ...] = (2, 3, 5, 7, 11)
    period_channels: int = 16
    period_growth: int = 4
    period_max_channels: int = 512
    ffts: tuple[int, ...] = (78, 126, 206, 334, 542, 876, 1418, 2296)
    spectrogram_channels: int = 32
    spectrogram_max_channels: int = 512
    log_magnitudes: bool = False  # of the spectrograms, which learn much sooner from them
    seconds: float = 0.0  # of each crop that they judge, at a random place; 0: the whole crop
    first_step: int = 0  # the generator hears them from here on
    # before that, this many steps in which they learn and the generator does not hear them
    alone_steps: int = 0


@dataclass(frozen=True)
class Recognizer:
    """Whisper base's encoder, for the losses `recognizer`, `taught` and `meaning`."""

    # counted from 1; the last of them is what `taught` and `meaning` are read from
    layers: tuple[int, ...] = (2, 4, 6)
    share: float = 0.5  # of each batch that it hears


@dataclass(frozen=True)
class Mel:
    """Resolutions of the mel loss: all of them in each step, or a random choice."""

    each_step: int = 7
    reduce: Literal["sum", "mean"] = "sum"


@dataclass(frozen=True)
class Source:
    """Where speech comes from."""

    path: str  # a SOURCE as `xcodec2 extract` takes it
    weight: float = 1.0  # how often a crop comes from it, against the other sources


@dataclass(frozen=True)
class Augment:
    """Changes of speech, each with its probability.

    The codec is asked to reproduce what it hears, so the target is changed alike; with
    `clean_target` it has no noise, room, rumble, clipping or artifacts of a codec, but the same
    voice and band.
    """

    clean_target: bool = False
    # the target keeps the recording's level: the codec becomes a leveling one
    level_target: bool = False
    gain: float = 0.0
    gain_db: tuple[float, float] = (-18.0, 6.0)
    speed: float = 0.0  # tempo and pitch together
    speed_range: tuple[float, float] = (0.85, 1.18)
    tempo: float = 0.0
    tempo_range: tuple[float, float] = (0.9, 1.1)
    pitch: float = 0.0
    pitch_semitones: tuple[float, float] = (-3.0, 3.0)
    noise: float = 0.0
    noise_snr_db: tuple[float, float] = (10.0, 40.0)
    reverb: float = 0.0
    reverb_seconds: tuple[float, float] = (0.1, 0.6)
    reverb_walls: bool = False  # near walls' echoes, and what walls swallow
    band: float = 0.0
    band_hz: tuple[float, float] = (3000.0, 8000.0)
    telephone: float = 0.0  # about 300 to 3400 Hz
    highpass: float = 0.0
    highpass_hz: tuple[float, float] = (60.0, 300.0)
    equalizer: float = 0.0
    equalizer_db: float = 6.0
    formants: float = 0.0
    formant_range: tuple[float, float] = (0.85, 1.18)
    rumble: float = 0.0  # noise below 80 Hz
    rumble_db: tuple[float, float] = (-10.0, 15.0)  # above the speech
    clipping: float = 0.0
    clipping_db: tuple[float, float] = (1.0, 12.0)  # of the peak that is cut off
    codec: float = 0.0
    codecs: tuple[str, ...] = CODECS


@dataclass(frozen=True)
class Data:
    """The speech of a run, and how it is read."""

    sources: tuple[Source, ...]
    valid: str = ""  # a SOURCE; empty: no validation
    valid_clips: int = 12
    # Moonshine's size: English validation by likelihood, too
    valid_recognizer: Literal["", "tiny", "base"] = ""
    shuffle: int = 4096  # recordings among which the next one is drawn
    max_crops: int = 4  # of one recording, one after another
    workers: int = 1  # threads that read and augment
    augment: Augment = field(default_factory=Augment)


@dataclass(frozen=True)
class Teacher:
    """What a semantic encoder is distilled from, and what its answers count for."""

    features: str  # folder of ID.npy, written by scripts/teacher_features.py
    width: int  # of a feature
    feature_rate: float  # features a second
    # a column that names label files, or a folder of them, as `xcodec2 evaluate --phones` takes it
    phones: str = ""
    feature_weight: float = 1.0
    phone_weight: float = 1.0


@dataclass(frozen=True)
class Graphs:
    """The plan of the engine `graphs`: it goes by time, and by the share of it that is over."""

    seconds: float  # to train in; a run whose run.steps are done before ends there
    # shares, 0…1: the discriminators learn from here on, the codec is trained against them from
    # here on
    discriminators_from: float = 0.5
    adversarial_from: float = 0.52


@dataclass(frozen=True)
class Recipe:
    """One training run.

    `teacher` makes it the distillation of a semantic encoder, otherwise a codec is trained.
    """

    run: Run
    data: Data
    optimizer: Optimizer
    # fields of XCodec2Config that differ from the start's
    model: dict[str, Any] = field(default_factory=dict)
    start: Start = field(default_factory=Start)
    losses: Weights = field(default_factory=Weights)
    mel: Mel = field(default_factory=Mel)
    recognizer: Recognizer = field(default_factory=Recognizer)
    # share of the crops whose acoustic branch is not heard: codes must carry the semantic one
    drop_acoustic: float = 0.0
    consistency_share: float = 1.0  # of each batch that is encoded twice for `losses.consistency`
    discriminators: Discriminators | None = None
    discriminator_optimizer: Optimizer | None = None
    ema: float = 0.999
    teacher: Teacher | None = None
    graphs: Graphs | None = None

    def __post_init__(self) -> None:
        run, codecs = self.run, set(self.data.augment.codecs)
        rhythm = min(run.log_every, run.save_every, run.keep)
        adversarial = self.losses.adversarial or self.losses.feature_matching
        learning = bool(self.discriminators) == bool(self.discriminator_optimizer)
        planned = (run.engine == "graphs") == bool(self.graphs)
        problems = [
            (min(run.steps, run.batch) < 1, "run: steps and batch must be at least 1"),
            (rhythm < 1, "run: log_every, save_every and keep must be at least 1"),
            (not self.data.sources, "data: sources is empty"),
            (
                adversarial and not self.discriminators,
                "losses: adversarial terms need a [discriminators] table",
            ),
            (not learning, "[discriminators] and [discriminator_optimizer] belong together"),
            (not 1 <= self.mel.each_step <= 7, "mel: each_step must be 1…7"),
            (not 0 < self.recognizer.share <= 1, "recognizer: share must be above 0 and at most 1"),
            (not codecs or codecs - set(CODECS), f"data.augment.codecs: of {', '.join(CODECS)}"),
            (not 0 <= self.drop_acoustic <= 1, "drop_acoustic must be 0…1"),
            (
                not 0 < self.consistency_share <= 1,
                "consistency_share must be above 0 and at most 1",
            ),
            (not planned, 'run.engine = "graphs" and a [graphs] table belong together'),
        ]
        refuse(problems)


READER = RecipeReader(Recipe, SHIPPED, inherits=True, renamed_keys=RENAMED_KEYS)


def read_recipe(name_or_path: str | Path, changes: Sequence[str] = ()) -> Recipe:
    """A recipe with its changes.

    Args:
        name_or_path: Name of a bundled recipe, or a TOML file.
        changes: `key.key=value` each. Values are TOML; what is not valid TOML is a string.

    Raises:
        RecipeError: The recipe is missing, incomplete, or has an unknown key or a wrong value.
    """
    return READER.read(name_or_path, changes)


def changed(recipe: Recipe, changes: Sequence[str]) -> Recipe:
    """A recipe with changes, as `read_recipe` takes them.

    Raises:
        RecipeError: A change has an unknown key or a wrong value.
    """
    return READER.build(as_tables(recipe), changes)


def to_toml(recipe: Recipe) -> str:
    """Every number of the run, defaults included; reads back as the same recipe."""
    return "".join(_table(as_tables(recipe), ()))


def as_tables(recipe: Recipe) -> dict[str, Any]:
    """A recipe's tables as TOML has them, those left out that it does not have."""
    return {key: value for key, value in dataclasses.asdict(recipe).items() if value is not None}


def _table(values: Mapping[str, Any], place: tuple[str, ...]) -> list[str]:
    lines = [f"\n[{'.'.join(place)}]\n"] if place else []
    lines += [
        f"{key} = {_value(value)}\n" for key, value in values.items() if not isinstance(value, dict)
    ]
    for key, value in values.items():
        if isinstance(value, dict):
            lines += _table(value, (*place, key))
    return lines


def _value(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {_value(item)}' for key, item in value.items())} }}"
    return json.dumps(value, ensure_ascii=False)
