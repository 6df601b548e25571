"""Streams of a model with a finite receptive field: each frame is computed once, with what the
layers keep of the frames before it.

All streams of one model that have frames to compute take a step together, whatever their ages. Here
PyTorch takes it; on a CPU in float32 the engine does (`compiled`).
B streams, t frames, D the frames that a result lags behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from xcodec2.codec.frames import Array, Frames
from xcodec2.codec.inference.certain import code_alone, uncertain_frames
from xcodec2.codec.inference.fold import embed_codes, folded_kernel
from xcodec2.codec.inference.passes import check_finite, check_waveforms, inference
from xcodec2.codec.network import CodecNetwork
from xcodec2.codec.step import Step
from xcodec2.errors import XCodec2Error

TorchFrames: TypeAlias = Frames[list[Tensor]]

# of each model, with where and which version its weights were
KERNELS: WeakKeyDictionary[CodecNetwork, tuple[list[tuple[int, int]], Tensor]] = WeakKeyDictionary()


def encode_frames(network: CodecNetwork, streams: Sequence[TorchFrames], count: int) -> list[Array]:
    """Give the encoder the next `count` frames of each stream → codes (t,) int64 that are final."""
    with inference(network):
        step, rows = begin(network, streams, count)
        latent = network.encode_features(rows, step).latent
        quantized = network.quantize(latent)
        keep(streams, step)
        codes, margins = quantized.codes.cpu(), quantized.margin.cpu()
        results = []
        for row, stream in enumerate(streams):
            final = stream.final(count)
            found = codes[row, final]
            try:
                check_finite(network, latent[row, final], found, rows[row])
            except XCodec2Error as problem:
                stream.problem = problem
            time = stream.done - count - stream.delay + final.start
            for frame in uncertain_frames(network, margins[row, final]):
                found[frame] = code_of_stream(network, stream, time + frame)
            results.append(found.numpy())
            stream.forget()
    return results


def decode_frames(network: CodecNetwork, streams: Sequence[TorchFrames], count: int) -> list[Array]:
    """Give the decoder the next `count` codes of each stream → samples (t·output_hop,) float32 that
    are final.
    """
    hop, decoder = network.config.output_hop, network.acoustic_decoder
    with inference(network):
        step, rows = begin(network, streams, count)
        embedded = embed_codes(network.quantizer, decoder, rows, step, kernel_of(network))
        waveforms = decoder.from_embedded(embedded, step).waveform
        keep(streams, step)
    results = []
    for row, stream in enumerate(streams):
        final = stream.final(count)
        samples = waveforms[row, final.start * hop : final.stop * hop]
        try:
            check_waveforms(network, samples)
        except XCodec2Error as problem:
            stream.problem = problem
        results.append(samples.cpu().numpy())
        stream.forget()
    return results


def code_of_stream(network: CodecNetwork, stream: Frames[Any], time: int) -> int:
    """The code of a frame that is known, as its receptive field alone gives it."""
    known = stream.done if stream.length is None else stream.length
    return code_alone(
        network, time, known, lambda first, last: torch.from_numpy(stream.between(first, last))
    )


def begin(network: CodecNetwork, streams: Sequence[TorchFrames], count: int) -> tuple[Step, Tensor]:
    """The step of these streams, and their next `count` frames (B, count·size).

    A single row of a single frame goes in twice: a product with one vector rounds unlike others.
    """
    streams = list(streams) * (2 if count * len(streams) == 1 else 1)
    starts = [stream.done for stream in streams]
    lengths = [stream.known for stream in streams]
    caches = joined_caches(network, streams)
    room = min(length - start for start, length in zip(starts, lengths, strict=True))
    step = Step(
        torch.tensor(starts, dtype=torch.long, device=network.device),
        torch.tensor(lengths, dtype=torch.long, device=network.device),
        caches,
        inside=(min(starts), room),
    )
    rows = [torch.from_numpy(stream.take(count)) for stream in dict.fromkeys(streams)]
    return step, torch.stack(rows * (len(streams) // len(rows))).to(network.device)


def joined_caches(network: CodecNetwork, streams: Sequence[TorchFrames]) -> list[Tensor] | None:
    """Caches of all streams, one below the other; zeros where one begins."""
    known = next((stream.kept for stream in streams if stream.kept is not None), None)
    if known is None:
        return None
    if len(streams) == 1:
        return known
    fresh = [torch.zeros_like(cache) for cache in known]
    rows = [fresh if stream.kept is None else stream.kept for stream in streams]
    return [torch.cat(parts) for parts in zip(*rows, strict=True)]


def keep(streams: Sequence[TorchFrames], step: Step) -> None:
    """Give every stream its own caches back."""
    if len(streams) == 1:
        streams[0].kept = [cache[:1] for cache in step.left]
        return
    for row, stream in enumerate(streams):
        stream.kept = [cache[row : row + 1].clone() for cache in step.left]


def kernel_of(network: CodecNetwork) -> Tensor:
    """`folded_kernel`, put together again only when a weight of it has changed."""
    decoder = network.acoustic_decoder
    weights = [
        *network.quantizer.project_out.parameters(),
        *decoder.fc.parameters(),
        *decoder.embed.parameters(),
    ]
    state = [(w.data_ptr(), 0 if w.is_inference() else w._version) for w in weights]
    held = KERNELS.get(network)
    if held is None or held[0] != state:
        held = KERNELS[network] = state, folded_kernel(network.quantizer, decoder).detach()
    return held[1]
