"""The fastest decoder for a model."""

from __future__ import annotations

from typing import Any

from xcodec2.llasa.decoding.base import Decoder
from xcodec2.llasa.decoding.causal import TransformersDecoder
from xcodec2.llasa.decoding.library import load_llama
from xcodec2.llasa.decoding.llama import LlamaDecoder
from xcodec2.llasa.decoding.numbers import Numbers
from xcodec2.llasa.decoding.shape import LlamaShape


def decoder_of(model: Any) -> Decoder:
    """A decoder with the weights of a model of transformers: of its own for a Llama on a CPU, as
    they are now; else the model itself.
    """
    shape = LlamaShape.of(model.config.to_dict())
    if shape is not None and model.device.type == "cpu" and load_llama() is not None:
        state = model.state_dict()
        if shape.tied:
            state.pop("lm_head.weight", None)
        if {name: tuple(tensor.shape) for name, tensor in state.items()} == shape.weights():
            return LlamaDecoder(shape, lambda name: Numbers.of(state[name]))
    return TransformersDecoder(model)
