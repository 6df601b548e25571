"""Streams of a model with a finite receptive field: each frame is computed once, with what the
layers keep of the frames before it.

All streams of one model that have frames to compute take a step together, whatever their ages.
B streams, t frames, D the frames that a result lags behind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor

from xcodec2.codec.inference.certain import code_alone, uncertain_frames
from xcodec2.codec.inference.fold import embed_codes, folded_kernel
from xcodec2.codec.inference.passes import check_finite, check_waveforms, inference
from xcodec2.codec.network import CodecNetwork
from xcodec2.codec.step import UNKNOWN, Step
from xcodec2.errors import XCodec2Error

STEP = 4  # frames: 80 ms
NOTHING = torch.empty(0, dtype=torch.float32, device="cpu")
MAX_STEP = 50  # frames in one step, however many there are: attention's scores stay small


# of each model, with where and which version its weights were
KERNELS: WeakKeyDictionary[CodecNetwork, tuple[list[tuple[int, int]], Tensor]] = WeakKeyDictionary()


class Frames:
    """What a stream knows of its recording, frame by frame: rows of `size` values each.

    Args:
        network: The model.
        size: Values in a frame.
        step: Frames that are computed together, until the end.
        delay: Frames that results lag behind.
        back: Frames to keep before the newest.
        dtype: Of the values.
    """

    def __init__(
        self,
        network: CodecNetwork,
        *,
        size: int,
        step: int,
        delay: int,
        back: int = 0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.network, self.size, self.step = network, size, step
        self.delay, self.back = delay, back
        self.values = torch.empty(0, dtype=dtype, device="cpu")  # from frame `first` on
        self.first = 0
        self.done = 0  # frames that were given to the layers
        self.length: int | None = None  # frames of the recording, once it has ended
        self.results: int | None = None  # of them that have a result
        self.caches: list[Tensor] | None = None
        self.problem: XCodec2Error | None = None  # why nothing more can come

    def add(self, values: Tensor) -> None:
        """Take in values (n,)."""
        self.values = torch.cat([self.values, values.to(self.values.dtype).cpu()])

    def end(self, length: int, results: int) -> None:
        """No values will follow: the recording has so many frames, so many of them with results."""
        self.length, self.results = length, results

    @property
    def ready(self) -> int:
        """Frames that can be given to the layers now; behind an end as many as results lag."""
        if self.problem is not None:
            return 0
        if self.length is not None:
            return self.length + self.delay - self.done
        there = self.first + len(self.values) // self.size - self.done
        return there - there % self.step

    def between(self, first: int, last: int) -> Tensor:
        """Values of frames first … last, (n·size,), with zeros behind the end."""
        start, stop = (first - self.first) * self.size, (last - self.first) * self.size
        values = self.values[start:stop]
        return F.pad(values, (0, stop - start - len(values)))

    def take(self, count: int) -> Tensor:
        """The next frames' values, (count·size,)."""
        values = self.between(self.done, self.done + count)
        self.done += count
        return values

    def forget(self) -> None:
        """Drop the values that nothing will ask for again."""
        dropped = max(self.done - self.back - self.first, 0)
        self.values, self.first = self.values[dropped * self.size :], self.first + dropped

    def final(self, count: int) -> slice:
        """Which of the last `count` frames' results are of the recording."""
        start = self.done - count - self.delay  # the first's time
        stop = self.done - self.delay
        if self.results is not None:
            stop = min(stop, self.results)
        return slice(min(max(-start, 0), count), max(stop - start, 0))


def encoder_frames(network: CodecNetwork, step: int = STEP) -> Frames:
    """A stream of speech (n,) at the input rate."""
    field = network.receptive_field
    assert field is not None
    back = field.encoder_back + field.encoder_ahead + MAX_STEP
    hop, ahead = network.config.hop, field.encoder_ahead
    return Frames(network, size=hop, step=step, delay=ahead, back=back)


def decoder_frames(network: CodecNetwork, step: int = STEP) -> Frames:
    """A stream of codes (t,)."""
    field = network.receptive_field
    assert field is not None
    return Frames(network, size=1, step=step, delay=field.decoder_ahead, dtype=torch.long)


def drain(
    streams: Sequence[Frames], run: Callable[[CodecNetwork, Sequence[Frames], int], list[Tensor]]
) -> list[Tensor]:
    """What all streams of one model can give now, one tensor each.

    Args:
        streams: Of one model.
        run: `encode_frames` or `decode_frames`.
    """
    results: list[list[Tensor]] = [[] for _ in streams]
    while ready := [(i, s) for i, s in enumerate(streams) if s.ready > 0]:
        count = min(MAX_STEP, *(s.ready for _, s in ready), MAX_STEP)
        now = [s for _, s in ready]
        for (i, _), result in zip(ready, run(now[0].network, now, count), strict=True):
            results[i].append(result)
    return [torch.cat(parts) if parts else NOTHING for parts in results]


def encode_frames(network: CodecNetwork, streams: Sequence[Frames], count: int) -> list[Tensor]:
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
                known = stream.done if stream.length is None else stream.length
                found[frame] = code_alone(network, time + frame, known, stream.between)
            results.append(found)
            stream.forget()
    return results


def decode_frames(network: CodecNetwork, streams: Sequence[Frames], count: int) -> list[Tensor]:
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
        results.append(samples.cpu())
        stream.forget()
    return results


def begin(network: CodecNetwork, streams: Sequence[Frames], count: int) -> tuple[Step, Tensor]:
    """The step of these streams, and their next `count` frames (B, count·size).

    A single row of a single frame goes in twice: a product with one vector rounds unlike others.
    """
    streams = list(streams) * (2 if count * len(streams) == 1 else 1)
    starts = [stream.done for stream in streams]
    lengths = [UNKNOWN if stream.length is None else stream.length for stream in streams]
    caches = joined_caches(network, streams)
    room = min(length - start for start, length in zip(starts, lengths, strict=True))
    step = Step(
        torch.tensor(starts, dtype=torch.long, device=network.device),
        torch.tensor(lengths, dtype=torch.long, device=network.device),
        caches,
        inside=(min(starts), room),
    )
    rows = [stream.take(count) for stream in dict.fromkeys(streams)]
    return step, torch.stack(rows * (len(streams) // len(rows))).to(network.device)


def joined_caches(network: CodecNetwork, streams: Sequence[Frames]) -> list[Tensor] | None:
    """Caches of all streams, one below the other; zeros where one begins."""
    known = next((stream.caches for stream in streams if stream.caches is not None), None)
    if known is None:
        return None
    if len(streams) == 1:
        return known
    fresh = [torch.zeros_like(cache) for cache in known]
    rows = [fresh if stream.caches is None else stream.caches for stream in streams]
    return [torch.cat(parts) for parts in zip(*rows, strict=True)]


def keep(streams: Sequence[Frames], step: Step) -> None:
    """Give every stream its own caches back."""
    if len(streams) == 1:
        streams[0].caches = [cache[:1] for cache in step.left]
        return
    for row, stream in enumerate(streams):
        stream.caches = [cache[row : row + 1].clone() for cache in step.left]


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
