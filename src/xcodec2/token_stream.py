"""Speech tokens as text that arrives in pieces, cut anywhere."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from xcodec2.codes import SPEECH_TOKEN, Codes
from xcodec2.errors import CodesError

MAX_REST = 64  # characters that may wait for the rest of a token; the longest mark has 31


def tokens_as_text(codes: Any) -> str:
    """Codes (t,), a tensor or an array, as a language model writes them: `<|s_17|><|s_60001|>…`."""
    return "".join(f"<|s_{code}|>" for code in codes.tolist())


def codes_of_text(pieces: Iterable[bytes], codebook_size: int) -> Iterator[np.ndarray]:
    """Pieces of text, as they arrive → codes (t,) int32, as soon as their tokens are whole.

    Args:
        pieces: UTF-8; speech tokens with or without white space and marks of speech around, as
            `Codes.from_text` takes them.
        codebook_size: Codes that there are.

    Raises:
        CodesError: Something else is among the tokens, a code is outside of the codebook, the text
            ends in the middle of a token, or there were none.
    """
    decoder, rest, found = codecs.getincrementaldecoder("utf-8")("replace"), "", False
    for piece in pieces:
        text = rest + decoder.decode(piece)
        end = text.rfind("|>") + 2 if "|>" in text else 0
        whole, rest = text[:end], text[end:].lstrip()
        if len(rest) > MAX_REST:
            raise CodesError(f"not speech tokens (<|s_17|>…) but {rest[:40]!r}")
        if whole.strip() and SPEECH_TOKEN.search(whole):
            found = True
            yield Codes.from_text(whole, codebook_size=codebook_size).array
        elif whole.strip():  # marks alone, or something else
            Codes.from_text(f"{whole}<|s_0|>", codebook_size=codebook_size)
    if rest:
        raise CodesError(f"the text ends in the middle of a token, with {rest[:40]!r}")
    if not found:
        raise CodesError("the text holds no speech tokens (<|s_17|>…)")
