"""A model as two graphs of steps for phones: a fixed number of new frames, and the caches that the
last step left, go in; results and caches come out.

All shapes are fixed, so that memory is planned before anything runs. Only models with a finite
receptive field have such graphs.
"""

from __future__ import annotations

import copy
import json
import os
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from xcodec2 import XCodec2Model
from xcodec2.errors import XCodec2Error
from xcodec2.mobile import programs
from xcodec2.mobile.programs import DECODER, ENCODER, FACTS
from xcodec2.onnx.export import facts_of, quiet
from xcodec2.onnx.graph import DecoderGraph, EncoderGraph, StepGraph

STEP = 10  # frames: 0.2 s, and a third more work than a whole


class FlatStep(nn.Module):
    """A step whose caches are arguments and results of their own, as the runtime numbers them."""

    def __init__(self, step: StepGraph) -> None:
        super().__init__()
        self.step = step

    def forward(
        self, frames: Tensor, start: Tensor, length: Tensor, *caches: Tensor
    ) -> tuple[Tensor, ...]:
        """Frames (1, t, …), start and length (1,) int64; see `Step`."""
        results, left = self.step(frames, start, length, list(caches))
        return (*results, *left)


def export_steps(name_or_path: str | Path, folder: str | Path, *, step: int = STEP) -> list[Path]:
    """Write encoder.pte, decoder.pte and codec.json; none is there before all are whole.

    Args:
        name_or_path: A name, a folder or a Hub id.
        folder: Made when it is missing.
        step: Frames that each call computes.

    Returns:
        The files written.

    Raises:
        XCodec2Error: The model cannot be read or has no limit to its receptive field, or the folder
            cannot be written.
        MissingExtraError: ExecuTorch is missing.
    """
    programs.require_executorch()
    model = XCodec2Model.from_pretrained(name_or_path)
    if model.receptive_field is None:
        raise XCodec2Error(
            f"{name_or_path}: phones compute steps of streams, and this model's receptive field "
            "has no limit; export it with --to onnx"
        )
    if Path(folder).exists() and not Path(folder).is_dir():
        raise XCodec2Error(f"{folder}: is a file; name a folder")
    facts = replace(facts_of(model), tolerance=0.0)
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".xcodec2-", dir=folder) as unfinished:
            audio = torch.zeros(1, step, facts.hop, dtype=torch.float32, device="cpu")
            codes = torch.zeros(1, step, dtype=torch.long, device="cpu")
            kinds: tuple[tuple[str, EncoderGraph | DecoderGraph, Tensor], ...] = (
                (ENCODER, EncoderGraph(copy.deepcopy(model)), audio),
                (DECODER, DecoderGraph(model), codes),
            )
            for name, graph, frames in kinds:
                with quiet(), sdpa_kernel(SDPBackend.MATH):
                    programs.write_program(*traceable(graph, frames), Path(unfinished, name))
            files = {name: programs.digest(Path(unfinished, name)) for name in (DECODER, ENCODER)}
            settings = {"step": step, "files": files, **asdict(facts)}
            Path(unfinished, FACTS).write_text(json.dumps(settings, indent=2), encoding="utf-8")
            written = [DECODER, ENCODER, FACTS]
            for name in written:
                os.replace(Path(unfinished, name), Path(folder, name))
    except OSError as problem:
        raise XCodec2Error(
            f"{folder}: cannot be written ({problem.strerror or problem})"
        ) from problem
    return [Path(folder, name) for name in written]


def traceable(
    graph: EncoderGraph | DecoderGraph, frames: Tensor
) -> tuple[FlatStep, tuple[Tensor, ...]]:
    """What is exported, and arguments to trace it with."""
    step = StepGraph(graph).eval()
    start = torch.zeros(1, dtype=torch.long, device="cpu")
    return FlatStep(step).eval(), (frames, start, start + 1000, *step.fresh(frames))
