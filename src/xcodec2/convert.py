"""Checkpoints from one form to another."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal

from xcodec2.codec.checkpoints import client, hub, original
from xcodec2.codec.checkpoints.load import ORIGINAL_CONFIG_FIELD
from xcodec2.codec.checkpoints.save import plain_state, write_folder
from xcodec2.errors import CheckpointError
from xcodec2.files import replacing
from xcodec2.model import XCodec2Model


def convert(src: str | Path, dst: str | Path, *, to: Literal["transformers", "original"]) -> None:
    """Write any checkpoint in another published form, with its model card.

    A card that `dst` has already is kept.

    Args:
        src: A name, a folder, a file or a Hub id.
        dst: A folder, made when it is missing.
        to: "transformers", or "original" for the original package's names.

    Warns:
        UserWarning: transformers cannot express the model, which is written in our own form.

    Raises:
        CheckpointError: `src` cannot be read, `dst` not written, or `to` is no form.
    """
    model = XCodec2Model.from_pretrained(src)
    if to == "transformers":
        model.save_pretrained(dst)
    elif to == "original":
        save_original(model, dst)
    else:
        raise CheckpointError(f"unknown form {to!r}; choose transformers or original")
    carry_card(src, Path(dst))


def carry_card(src: str | Path, folder: Path) -> None:
    """Copy the model card, which names the license, from beside a model's weights to `folder`.

    Raises:
        CheckpointError: It cannot be read or written.
    """
    card, copy = hub.find_card(src), folder / client.CARD
    if card is None:
        return
    try:
        content = card.read_bytes()
        kept = copy.exists() and copy.read_bytes() != content
    except OSError as problem:
        raise CheckpointError(f"{card}: the model card cannot be copied ({problem})") from problem
    if kept:
        warnings.warn(f"{copy} is kept as it is; {src} has another model card", stacklevel=3)
    elif not copy.exists():
        with replacing(copy, CheckpointError) as file:
            file.write(content)


def save_original(model: XCodec2Model, folder: str | Path) -> None:
    """Write a model as HKUSTAudio/xcodec2 is: its key names and its config.json, with the sizes
    added.

    Args:
        model: Any but with the spectrogram encoder.
        folder: Made when it is missing.

    Raises:
        CheckpointError: The model has a part that the original's form has no names for.
    """
    config = model.config
    if config.acoustic_encoder != "waveform":
        raise CheckpointError(
            "the original's form has no place for the spectrogram encoder, nor has transformers'; "
            "`--to transformers` writes open-xcodec2's own form"
        )
    settings = {
        "model_type": "xcodec2",
        "semantic_hidden_size": config.semantic_width,
        "codec_encoder_hidden_size": config.width,
        "codec_decoder_hidden_size": config.width,
        "use_vocos": True,
        "sample_rate": config.sample_rate,
        "hop_length": config.head_hop,
        "upsample_factors": list(config.upsampling),
        ORIGINAL_CONFIG_FIELD: config.to_dict(),
    }
    state = original.write_state(plain_state(model), config)
    write_folder(Path(folder), state, {hub.CONFIG_FILE: settings})
