"""A run small enough for a test, with every part of training in it."""

from __future__ import annotations

from pathlib import Path

from tiny import speech

from xcodec2.audio.io import save_audio
from xcodec2.train.recipe import Recipe, read_recipe

MODEL = """
[model]
semantic_width = 32
semantic_layers = 1
semantic_heads = 2
semantic_ffn = 32
acoustic_encoder = "spectrogram"
spectrogram_layers = 1
width = 32
layers = 1
heads = 2
head_width = 16
ffn = 32
dropout = 0.1
"""
RECIPE = """
ema = 0.9

[run]
out = "{out}"
steps = 6
batch = 2
crop_seconds = 0.1
log_every = 1
save_every = 2
validate_every = 100
threads = 1

[optimizer]
learning_rate = [[0, 1e-4], [3, 1e-3], [6, 1e-4]]

[losses]
mel = 1.0
adversarial = 0.1
feature_matching = 0.1
semantic = 0.1
convergence = 0.1
log_magnitude = 0.1
balance = 0.1
rms = 0.1
self_guidance = 0.1
consistency = 0.1
intelligibility = 0.1
loudness = 0.01

[mel]
each_step = 2

[discriminators]
periods = [2]
period_channels = 2
period_max_channels = 4
ffts = [126]
spectrogram_channels = 2
spectrogram_max_channels = 4
seconds = 0.05
alone_steps = 1

[discriminator_optimizer]
learning_rate = [[0, 1e-3]]

[data]
sources = [{{ path = "{speech}", weight = 1.0 }}]
shuffle = 3

[data.augment]
gain = 0.5
speed = 0.5
noise = 0.5
"""

TEACHER = """
[run]
out = "{folder}/run"
steps = 3
batch = 2
crop_seconds = 0.2
log_every = 1
validate_every = 3
threads = 1

[optimizer]
learning_rate = [[0, 1e-3]]

[teacher]
features = "{folder}/features"
width = 4
feature_rate = 41.6667
phones = "{folder}/labels"

[data]
sources = [{{ path = "{folder}/speech" }}]
valid = "{folder}/speech"
"""


def write_speech(folder: Path, count: int = 4, seconds: float = 0.5) -> Path:
    """A folder of excerpts of the demo clip, each another one."""
    folder.mkdir(parents=True)
    size = int(seconds * 16_000)
    for number in range(count):
        save_audio(folder / f"{number}.flac", speech()[number * size : (number + 1) * size], 16_000)
    return folder


def write_recipe(folder: Path) -> Path:
    """recipe.toml and the speech that it trains on."""
    path = folder / "recipe.toml"
    content = RECIPE.format(out=folder / "run", speech=write_speech(folder / "speech"))
    path.write_text(content + MODEL)
    return path


def toy_recipe(folder: Path, *changes: str) -> Recipe:
    path = folder / "recipe.toml"
    return read_recipe(str(path if path.exists() else write_recipe(folder)), changes)
