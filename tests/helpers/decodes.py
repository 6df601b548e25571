"""What every runtime's `decode` takes for the codes of one recording, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from xcodec2 import Codes, XCodec2Error
from xcodec2.identity import CodesWarning

NO_CODES = (
    "speech.npz",
    b"PK",
    None,
    5,
    [],
    [0.5],
    [True, False],
    [1 << 70],
    [-1],
    [65_536],
    np.zeros((1, 2), np.int64),
    np.zeros(2),
    torch.zeros(1, 2, dtype=torch.long),
    torch.zeros(2),
)


def check_what_decodes(codec: Any, codes: Codes) -> None:
    """`codes` are of the codec's model and know their audio."""
    whole = codec.decode(codes.array)
    tensor = codes.codes
    same = (tensor, tensor.long(), tensor.tolist(), list(tensor), tuple(codes.array), *[codes] * 2)
    for given in (*same, codes.array.astype(np.uint16)):
        found = codec.decode(given)
        assert isinstance(found, np.ndarray)
        assert np.array_equal(found, whole[: len(found)])
        assert len(found) == min(codes.num_samples if given is codes else len(whole), len(whole))
    foreign = replace(codes, weights_hash="0123456789abcdef", model="another")
    with pytest.warns(CodesWarning, match="what is decoded was encoded with another") as caught:
        codec.decode(foreign)
    assert [warning.filename for warning in caught] == [__file__]
    with pytest.raises(XCodec2Error, match="codebook of 131072"):
        codec.decode(replace(codes, codebook_size=131_072))
    for given in NO_CODES:
        with pytest.raises(XCodec2Error, match="code"):
            codec.decode(given)


def check_steps(codec: Any) -> None:
    """A stream's step is a whole number of frames, or one error at the call."""
    for begin in (codec.encoder_stream, codec.decoder_stream):
        for step in (2.5, "4", 0, True, None):
            with pytest.raises(XCodec2Error, match="step"):
                begin(step=step)
        begin(step=np.int64(2))
