"""Training the codec: where it starts, one step, and how good it is."""

from __future__ import annotations

import itertools
import random
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from xcodec2.audio.io import save_audio
from xcodec2.audio.spectrogram import spectrogram_picture
from xcodec2.codec.config import XCodec2Config
from xcodec2.codec.defaults import float32_parameters
from xcodec2.corpus import read_corpus
from xcodec2.errors import UndefinedError
from xcodec2.signal.mel import MEL_WINDOWS
from xcodec2.signal.stoi import estoi, stoi
from xcodec2.train import losses, perceptual
from xcodec2.train.data.crops import Batch, Batches
from xcodec2.train.discriminators import BothDiscriminators, load_discriminators
from xcodec2.train.generator import (
    Generator,
    Output,
    consistency_error,
    guidance_error,
    semantic_error,
    starting_codec,
)
from xcodec2.train.listener import Listener
from xcodec2.train.recipe import Recipe
from xcodec2.train.recognizer import hearing_losses
from xcodec2.train.state import (
    State,
    adamw,
    ema_weights,
    fresh_state,
    seed_step,
    update,
    update_ema,
    weighted_sum,
)

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["Batches", "starting_state", "train_step", "validate"]

LINEAR_WINDOWS = (512, 1024, 2048)
RMS_WINDOW = 320
SAMPLES = 3  # reconstructions that are kept to listen to
ADVERSARIAL = {"adversarial", "feature_matching"}
MAX_LISTED = 10_000  # validation recordings among which some are chosen


@float32_parameters()
def starting_state(recipe: Recipe, accelerator: Accelerator) -> State:
    """Models, optimizers and average before the first step, the same in every process."""
    torch.manual_seed(recipe.run.seed)
    generator = Generator(starting_codec(recipe), recipe).train()
    state = fresh_state(accelerator, generator, recipe.optimizer)
    if recipe.discriminators and recipe.discriminator_optimizer:
        discriminators = BothDiscriminators(recipe.discriminators)
        if recipe.start.discriminators:
            load_discriminators(discriminators, recipe.start.discriminators)
        optimizer = adamw(discriminators, recipe.discriminator_optimizer)
        state.discriminators, state.discriminator_optimizer = accelerator.prepare(
            discriminators, optimizer
        )
    return state


def train_step(state: State, batch: Batch, recipe: Recipe) -> dict[str, Tensor]:
    """Update the discriminators, if there are any, then the generator.

    Returns:
        Every loss by name, before weighting, and their weighted sum as `loss`.

    Raises:
        NonFiniteError: A loss or a gradient is not finite; that step updates nothing.
    """
    rng = seed_step(recipe.run.seed, state)
    inputs, target = batch.tensors["inputs"], batch.tensors["target"]
    with state.accelerator.autocast():
        output = state.generator(inputs, target.shape[-1])
    named: dict[str, Tensor] = {}
    weights = weights_at(recipe, state.step)
    pair = torch.stack([target, output.waveform])
    excerpts = excerpt(pair, recipe, state.bare.codec.sample_rate, rng)
    if recipe.discriminators and state.step >= recipe.discriminators.first_step:
        named |= train_discriminators(state, excerpts.detach(), recipe)
    terms = reconstruction_losses(output, target, recipe, state.bare.codec.config, rng)
    with state.accelerator.autocast():
        terms |= hearing_losses(output, target, state.bare.codec.sample_rate, recipe, rng)
    if ADVERSARIAL & set(weights):
        with state.accelerator.autocast():
            of_discriminators = adversarial_losses(
                excerpts, state.accelerator.unwrap_model(state.discriminators)
            )
        terms |= {name: term for name, term in of_discriminators.items() if name in weights}
    named |= terms
    total = weighted_sum(terms, weights)
    update(
        state, total, state.generator, state.optimizer, recipe.optimizer, named, recipe.run.steps
    )
    update_ema(state, recipe.ema)
    state.step += 1
    return {name: term.detach() for name, term in (named | {"loss": total}).items()}


def weights_at(recipe: Recipe, step: int) -> dict[str, float]:
    """The losses that count in that step; discriminators are not heard before they have learned
    something.
    """
    weights, discriminators = recipe.losses.used(), recipe.discriminators
    if discriminators and step >= discriminators.first_step + discriminators.alone_steps:
        return weights
    return {name: weight for name, weight in weights.items() if name not in ADVERSARIAL}


def reconstruction_losses(
    output: Output, target: Tensor, recipe: Recipe, config: XCodec2Config, rng: random.Random
) -> dict[str, Tensor]:
    """All but the discriminators' losses that the recipe gives a weight.

    Args:
        output: Of the generator.
        target: (B, N) at the codec's output rate.
        recipe: Gives the weights.
        config: Of the codec.
        rng: Draws the windows of this step.
    """
    made, linear = output.waveform, rng.choice(LINEAR_WINDOWS)
    sample_rate, levels = config.sample_rate, config.levels
    windows = rng.sample(MEL_WINDOWS, recipe.mel.each_step)

    def mel() -> Tensor:
        parts = torch.stack(
            [losses.mel_loss(made, target, window, sample_rate) for window in windows]
        )
        return parts.sum() if recipe.mel.reduce == "sum" else parts.mean()

    known = {
        "mel": mel,
        "convergence": lambda: losses.spectral_convergence(made, target, linear),
        "log_magnitude": lambda: losses.log_magnitude_loss(made, target, linear),
        "balance": lambda: losses.level_balance(output.projected),
        "rms": lambda: losses.rms_loss(made, target, RMS_WINDOW),
        "semantic": lambda: semantic_error(output),
        "self_guidance": lambda: guidance_error(output),
        "intelligibility": lambda: perceptual.intelligibility_loss(made, target, sample_rate),
        "loudness": lambda: perceptual.loudness_loss(made, target, sample_rate),
        "consistency": lambda: consistency_error(output, levels),
    }
    return {name: compute() for name, compute in known.items() if name in recipe.losses.used()}


def excerpt(pair: Tensor, recipe: Recipe, sample_rate: int, rng: random.Random) -> Tensor:
    """(2, B, N) → the part (2, B, M) of it that the discriminators see."""
    seconds = recipe.discriminators.seconds if recipe.discriminators else 0
    length = min(round(seconds * sample_rate) or pair.shape[-1], pair.shape[-1])
    start = rng.randrange(pair.shape[-1] - length + 1)
    return pair[..., start : start + length]


def adversarial_losses(pair: Tensor, discriminators: nn.Module) -> dict[str, Tensor]:
    """What the discriminators say of (2, B, N), real and made, to the generator; they do not learn
    from it.
    """
    real, made = pair
    discriminators.requires_grad_(False)
    of_made = discriminators(made)
    with torch.no_grad():
        of_real = discriminators(real)
    discriminators.requires_grad_(True)
    return {
        "adversarial": losses.generator_adversarial_loss(of_made),
        "feature_matching": losses.feature_matching(of_real, of_made),
    }


def train_discriminators(state: State, pair: Tensor, recipe: Recipe) -> dict[str, Tensor]:
    """One update of the discriminators on (2, B, N), real and made."""
    discriminators, optimizer, options = (
        state.discriminators,
        state.discriminator_optimizer,
        recipe.discriminator_optimizer,
    )
    assert discriminators is not None
    assert optimizer is not None
    assert options is not None
    count = pair.shape[1]
    with state.accelerator.autocast():
        both = discriminators(
            pair.flatten(0, 1)
        )  # in one go, which the wrapper for several processes asks for
    found, fooled = losses.discriminator_loss(
        [[layer[:count] for layer in layers] for layers in both],
        [[layer[count:] for layer in layers] for layers in both],
    )
    named = {"real": found, "fake": fooled}
    update(state, found + fooled, discriminators, optimizer, options, named, recipe.run.steps)
    return named


def validate(state: State, recipe: Recipe, folder: Path) -> dict[str, float]:
    """Quality of validation recordings with the averaged weights.

    Args:
        state: Whose weights are averaged.
        recipe: Names the recordings.
        folder: A few of them are kept here as sounds and pictures.

    Returns:
        Means of the figures, by name.
    """
    recordings = list(itertools.islice(read_corpus(recipe.data.valid), MAX_LISTED))
    chosen = recordings[:: max(1, len(recordings) // recipe.data.valid_clips)][
        : recipe.data.valid_clips
    ]
    figures: list[dict[str, float]] = []
    codes: list[Tensor] = []
    listener = Listener(recipe.data.valid_recognizer) if recipe.data.valid_recognizer else None
    with ema_weights(state) as codec:
        for number, recording in enumerate(chosen):
            sample_rate = codec.sample_rate
            original = recording.load(sample_rate).waveform
            encoded = codec.encode(original, sample_rate)
            decoded = codec.decode(encoded).cpu()
            codes.append(encoded.codes)
            try:
                pair = original.numpy(), decoded.numpy(), sample_rate
                figures.append({"stoi": stoi(*pair), "estoi": estoi(*pair)})
            except UndefinedError as reason:
                warnings.warn(f"validation: {recording.id} has no STOI: {reason}", stacklevel=1)
                figures.append({})
            if listener:
                figures[-1] |= listener.figures(original, decoded, sample_rate)
            if number < SAMPLES:
                stem = folder / f"{number}-{Path(recording.id).name}"
                save_audio(f"{stem}.flac", decoded.clamp(-1, 1), sample_rate)
                spectrogram_picture(
                    f"{stem}.png", {"original": original, folder.name: decoded}, sample_rate
                )
    joined = torch.cat(codes)
    names = dict.fromkeys(name for figure in figures for name in figure)
    means = {
        name: float(np.mean([figure[name] for figure in figures if name in figure]))
        for name in names
    }
    return means | {"distinct_codes": joined.unique().numel() / joined.numel()}
