"""A model written as encoder.onnx and decoder.onnx, which run without PyTorch (see
`xcodec2.onnx.runtime`).
"""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from xcodec2 import XCodec2Model, __version__
from xcodec2.codec.inference.certain import TOLERANCE
from xcodec2.errors import XCodec2Error
from xcodec2.extras import require
from xcodec2.onnx.graph import DecoderGraph, EncoderGraph, StepGraph
from xcodec2.onnx.runtime import DECODER, ENCODER, METADATA, CodecFacts
from xcodec2.onnx.streaming import DECODER_STEP, ENCODER_STEP, FEEDS

GRAPHS = (ENCODER, DECODER, ENCODER_STEP, DECODER_STEP)
MAX_SINGLE_FILE = (
    2**30
)  # bytes of weights; more lie beside the graph, since a protobuf ends at 2 GB


def export(name_or_path: str | Path, folder: str | Path) -> list[Path]:
    """Write the encoder and the decoder of a model as ONNX files; none is there before all are
    whole.

    Args:
        name_or_path: A name, a folder or a Hub id.
        folder: Made when it is missing.

    Returns:
        The files written. Batch and length are free in all. Where the receptive field is finite,
        encoder_step.onnx and decoder_step.onnx are among them, for streams.

    Raises:
        XCodec2Error: The model cannot be read or exported, or the folder cannot be written.
    """
    require_exporter()
    model = XCodec2Model.from_pretrained(name_or_path)
    if model.config.pooling > 1:
        raise XCodec2Error(
            f"{name_or_path}: codes of pooled frames are not exported to ONNX; "
            "use the model with PyTorch"
        )
    facts = facts_of(model)
    if Path(folder).exists() and not Path(folder).is_dir():
        raise XCodec2Error(f"{folder}: is a file; name a folder")
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".xcodec2-", dir=folder) as unfinished:
            samples = 3 * model.config.hop + 1
            waveform = torch.zeros(2, samples, dtype=torch.float32, device="cpu")
            codes = torch.zeros(2, 4, dtype=torch.long, device="cpu")
            encoder, decoder = EncoderGraph(model), DecoderGraph(model)
            write(
                encoder,
                waveform,
                ("waveform", "codes"),
                "samples",
                facts,
                Path(unfinished, ENCODER),
            )
            write(
                decoder,
                codes,
                ("codes", "waveform"),
                "frames",
                facts,
                Path(unfinished, DECODER),
            )
            if model.receptive_field is not None:
                write_steps(encoder, decoder, facts, Path(unfinished))
            written = sorted(
                os.listdir(unfinished), key=lambda name: name.endswith(".onnx")
            )  # their weights first
            for name in written:
                os.replace(Path(unfinished, name), Path(folder, name))
            for name in {*GRAPHS, *(f"{graph}.data" for graph in GRAPHS)} - set(written):
                Path(folder, name).unlink(missing_ok=True)  # of the model that was here before
    except OSError as problem:
        raise XCodec2Error(
            f"{folder}: cannot be written ({problem.strerror or problem})"
        ) from problem
    return [Path(folder, name) for name in written]


def write_steps(
    encoder: EncoderGraph, decoder: DecoderGraph, facts: CodecFacts, folder: Path
) -> None:
    """The graphs of streams, with caches as inputs and outputs."""
    audio = torch.zeros(2, 3, facts.hop, dtype=torch.float32, device="cpu")
    codes = torch.zeros(2, 3, dtype=torch.long, device="cpu")
    kinds: tuple[tuple[str, EncoderGraph | DecoderGraph, torch.Tensor, tuple[str, ...]], ...] = (
        (ENCODER_STEP, encoder, audio, ("codes", "margin")),
        (DECODER_STEP, decoder, codes, ("waveform",)),
    )
    starts = torch.tensor([0, 9], dtype=torch.long, device="cpu")
    for name, graph, frames, results in kinds:
        step = StepGraph(graph).eval()
        caches = step.fresh(frames)
        kept = [f"cache_{index}" for index in range(len(caches))]
        batch, count = torch.export.Dim("batch"), torch.export.Dim("count")
        rows = {0: batch}
        write_graph(
            step,
            (frames, starts, starts + 11, caches),
            ({0: batch, 1: count}, rows, rows, [rows for _ in caches]),
            [*FEEDS, *kept],
            [*results, *(f"{cache}_next" for cache in kept)],
            facts,
            folder / name,
        )


def require_exporter() -> None:
    """Raise MissingExtraError if a package is missing that the exporter needs."""
    require("onnx", "onnxscript", extra="onnx", purpose="export to ONNX")


def facts_of(model: XCodec2Model) -> CodecFacts:
    """What a runtime must know beside the graphs."""
    config, field = model.config, model.receptive_field
    return CodecFacts(
        model=model.model_id,
        version=__version__,
        weights_hash=str(model.weights_hash),
        input_rate=config.input_rate,
        sample_rate=config.sample_rate,
        hop=config.hop,
        codebook_size=config.codebook_size,
        shortest=1 if config.feature_padding else config.hop,
        encoder_back=field.encoder_back if field else 0,
        encoder_ahead=field.encoder_ahead if field else 0,
        decoder_ahead=field.decoder_ahead if field else 0,
        tolerance=TOLERANCE if field else 0.0,
    )


def write(
    graph: nn.Module,
    example: torch.Tensor,
    names: tuple[str, str],
    length: str,
    facts: CodecFacts,
    path: Path,
) -> None:
    """One graph with free batch (first dimension) and length (second)."""
    shapes = ({0: torch.export.Dim("batch"), 1: torch.export.Dim(length)},)
    outputs = [names[1]]
    if isinstance(graph, EncoderGraph) and graph.network.receptive_field is not None:
        outputs.append("margin")
    write_graph(graph, (example,), shapes, [names[0]], outputs, facts, path)


def write_graph(
    graph: nn.Module,
    examples: tuple[Any, ...],
    shapes: tuple[Any, ...],
    inputs: list[str],
    outputs: list[str],
    facts: CodecFacts,
    path: Path,
) -> None:
    """One graph as a file.

    Args:
        graph: What is traced.
        examples: Its arguments.
        shapes: Which of their dimensions are free.
        inputs: Names.
        outputs: Names.
        facts: What the file says of its model.
        path: Of the file.
    """
    weights = sum(tensor.numel() * tensor.element_size() for tensor in graph.state_dict().values())
    with (
        quiet(),
        torch.enable_grad(),  # without it, linear layers choose what ONNX does not know
        sdpa_kernel(SDPBackend.MATH),
    ):  # what ONNX has: the fused kernel's strides are not a reshape's
        program = torch.onnx.export(
            graph.eval(),
            examples,
            dynamo=True,
            dynamic_shapes=shapes,
            input_names=inputs,
            output_names=outputs,
            optimize=False,  # runtimes do it themselves, in seconds
            verbose=False,
        )
    assert program is not None
    program.model.metadata_props[METADATA] = facts.to_json()
    program.save(path, external_data=weights > MAX_SINGLE_FILE)


@contextmanager
def quiet() -> Iterator[None]:
    """Without the exporter's remarks on its own future and on packages that it does not need."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
