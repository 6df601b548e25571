"""The options that every command with a model shares, and what they load."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from xcodec2 import XCodec2Model
    from xcodec2.quick import QuickModel

INPUT_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
INPUT_FILE_OR_STDIN = click.Path(exists=True, dir_okay=False, path_type=Path, allow_dash=True)
OUTPUT_FILE = click.Path(dir_okay=False, path_type=Path)

model_option = click.option(
    "--model",
    "model_name",
    default="nano",
    show_default=True,
    metavar="MODEL",
    help="nano or nano-24k (bundled), a folder, a checkpoint file or a Hugging Face id.",
)
device_option = click.option(
    "--device",
    default="cpu",
    show_default=True,
    help="Device of the model: cpu, cuda, cuda:1, mps, ...",
)

revision_option = click.option(
    "--revision",
    metavar="REV",
    help="Branch, tag or commit of a Hugging Face id; elsewhere write ID@REV.",
)

channel_option = click.option(
    "--channel",
    type=click.IntRange(0),
    metavar="N",
    help="Use this channel, counted from 0, instead of the average of all.",
)


def load_model(
    name: str, device: str, *, dtype: str = "float32", decoder_only: bool = False
) -> XCodec2Model:
    """The model of `--model` on `--device`; a missing device is a usage error."""
    import torch

    from xcodec2 import XCodec2Model

    check_device(device)
    return XCodec2Model.from_pretrained(
        name, device=device, dtype=getattr(torch, dtype), decoder_only=decoder_only
    ).eval()


def at_revision(name: str, revision: str | None) -> str:
    """A model's name with `--revision`, which only models on the Hub have."""
    from xcodec2.codec.checkpoints import hub

    if revision is None:
        return name
    named = hub.hub_id(name)
    if named is None or named[1] or Path(name).exists():
        raise click.BadParameter(
            f"{name} is no Hugging Face id without one", param_hint="'--revision'"
        )
    return f"{name}@{revision}"


def load_for_few(
    name: str, device: str, recordings: int, *, dtype: str = "float32", decoder_only: bool = False
) -> XCodec2Model | QuickModel:
    """The model for so many recordings: without PyTorch where that gives the same, sooner."""
    from xcodec2.quick import MOST_RECORDINGS, quick_model

    if recordings <= MOST_RECORDINGS and (
        model := quick_model(name, device, dtype=dtype, decoder_only=decoder_only)
    ):
        return model
    return load_model(name, device, dtype=dtype, decoder_only=decoder_only)


def load_for_stream(
    name: str, device: str, *, dtype: str = "float32", decoder_only: bool = False
) -> XCodec2Model | QuickModel:
    """The model for one stream, likewise."""
    from xcodec2.quick import quick_stream

    model = quick_stream(name, device, dtype=dtype, decoder_only=decoder_only)
    return model or load_model(name, device, dtype=dtype, decoder_only=decoder_only)


def check_device(device: str) -> None:
    """Refuses a device that is not there or cannot compute."""
    if device == "cpu":
        return
    import torch

    try:
        torch.empty(1, dtype=torch.float32, device=device)
        usable = device != "meta"  # torch's placeholder, which computes nothing
    except (RuntimeError, AssertionError):  # torch asserts that it was built with CUDA
        usable = False
    if not usable:
        raise click.BadParameter(
            f"{device} is not there or cannot compute", param_hint="'--device'"
        )
