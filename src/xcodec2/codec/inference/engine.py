"""Models with a finite receptive field on a CPU in float32: the engine computes them in place of
PyTorch.

A few frames at a time cost PyTorch more for each operation than for its arithmetic; and what wholes
and streams are computed by alike, differs by no rounding. B rows, P padded samples, T frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from xcodec2.codec.compiled import library
from xcodec2.codec.compiled.codec import CompiledCodec
from xcodec2.codec.compiled.network import suits
from xcodec2.codec.compiled.streams import CompiledSteps
from xcodec2.codec.constants import TOLERANCE
from xcodec2.codec.inference.certain import code_of_row
from xcodec2.codec.inference.overflow import decoding_overflowed, encoding_overflowed
from xcodec2.codec.network import CodecNetwork

Item = TypeVar("Item")
Result = TypeVar("Result")

# of each model, with where and which version its weights were
ENGINES: WeakKeyDictionary[CodecNetwork, tuple[list[tuple[int, int]], CompiledSteps]] = (
    WeakKeyDictionary()
)


def engine_of(network: CodecNetwork) -> CompiledSteps | None:
    """What computes the model, put together again when a weight has changed; None where PyTorch has
    to.
    """
    config = network.config
    if config.receptive_field is None or not suits(config):
        return None
    weights = dict(network.named_parameters())
    if any(w.dtype != torch.float32 or w.device.type != "cpu" for w in weights.values()):
        return None
    if len(weights) != len(network.state_dict(keep_vars=True)):  # int8 keeps others beside them
        return None
    if library.load_engine() is None:  # the last to be asked: it warns
        return None
    state = [(w.data_ptr(), 0 if w.is_inference() else w._version) for w in weights.values()]
    held = ENGINES.get(network)
    if held is None or held[0] != state:
        arrays = {name: weight.detach().numpy() for name, weight in weights.items()}
        held = ENGINES[network] = state, CompiledSteps(CompiledCodec(config, arrays))
    return held[1]


def encode_whole(
    network: CodecNetwork, engine: CompiledSteps, rows: Tensor, lengths: Tensor | None
) -> Tensor:
    """Padded waveforms (B, P), as in `passes.encode_rows` → codes (B, T) int64.

    Raises:
        XCodec2Error: Something on the way was not finite.
    """
    ends = [rows.shape[1]] * len(rows) if lengths is None else lengths.tolist()
    waves = [row[:end] for row, end in zip(rows.cpu(), ends, strict=True)]
    found = side_by_side(lambda wave: engine.codec.project_padded(wave.numpy()), waves)
    codes = torch.zeros(len(waves), max(map(len, found)), dtype=torch.long, device="cpu")
    for row, (wave, projected) in enumerate(zip(waves, found, strict=True)):
        if not np.isfinite(projected).all():
            raise encoding_overflowed(network, float(wave.abs().max()))
        sure, margins = engine.codec.levels.codes(projected)
        for frame in np.flatnonzero(margins < TOLERANCE).tolist():
            sure[frame] = code_of_row(network, wave, frame)
        codes[row, : len(sure)] = torch.from_numpy(sure)
    return codes


def decode_whole(
    network: CodecNetwork, engine: CompiledSteps, rows: Tensor, lengths: Tensor | None
) -> Tensor:
    """Codes (B, T) → waveforms (B, T·output_hop) float32; `lengths` (B,) in frames.

    Raises:
        XCodec2Error: A sample is not finite.
    """
    ends = [rows.shape[1]] * len(rows) if lengths is None else lengths.tolist()
    items = [row[:end].numpy() for row, end in zip(rows.cpu(), ends, strict=True)]
    found = side_by_side(engine.codec.decode, items)
    if not all(np.isfinite(samples).all() for samples in found):
        raise decoding_overflowed(network)
    longest = max(map(len, found))
    padded = [np.pad(samples, (0, longest - len(samples))) for samples in found]
    return torch.from_numpy(np.stack(padded))


def side_by_side(run: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """`run` of each, as many at a time as PyTorch would use threads."""
    threads = min(len(items), torch.get_num_threads())
    if threads < 2:
        return [run(item) for item in items]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, items))
