"""What a notebook shows of codes: a line of figures, and a player where a decoder is at hand."""

from __future__ import annotations

import base64
import html
import io
import warnings
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import soundfile

from xcodec2.errors import XCodec2Error

if TYPE_CHECKING:
    from xcodec2 import XCodec2Model
    from xcodec2.codes import Codes

BUNDLED_CODEC = "nano"
LONGEST_SECONDS = 60  # of sound in one cell of a notebook, about 2.6 MB

#: Models in this process that have made codes, by the hash of their weights.
_encoders: WeakValueDictionary[str, XCodec2Model] = WeakValueDictionary()


def remember(model: XCodec2Model, weights_hash: str) -> None:
    """Let codes that this model makes be heard in notebooks for as long as the model lives."""
    _encoders[weights_hash] = model


def player(codes: Codes) -> str:
    """HTML of the codes' figures and, where their model is loaded or bundled, of their sound.

    Args:
        codes: One item; of long ones the first minute is heard.

    Returns:
        HTML without references to anything outside of it.
    """
    shown = html.escape(repr(codes))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = _model_of(codes)
            if model is None:
                return f"<code>{shown}</code>"
            count = LONGEST_SECONDS * model.frame_rate
            waveform = model.decode(codes if len(codes) <= count else codes.codes[:count])
    except XCodec2Error as problem:
        return f"<code>{shown}</code> {html.escape(str(problem))}"
    content = io.BytesIO()
    samples = waveform.cpu().clamp(-1, 1).numpy()
    soundfile.write(content, samples, model.sample_rate, format="WAV", subtype="PCM_16")
    sound = base64.b64encode(content.getvalue()).decode()
    cut = f" (the first {LONGEST_SECONDS} s)" if len(codes) > count else ""
    source = f"data:audio/wav;base64,{sound}"
    return f"<code>{shown}</code>{cut}<br><audio controls src='{source}'></audio>"


def _model_of(codes: Codes) -> XCodec2Model | None:
    """The model that made the codes, if it is still there or can be loaded without a download."""
    from xcodec2 import XCodec2Model

    if codes.weights_hash is None:
        return None
    if codes.weights_hash not in _encoders and codes.model == BUNDLED_CODEC:
        model = XCodec2Model.from_pretrained(BUNDLED_CODEC)
        if model.weights_hash != codes.weights_hash:
            return None
        return model
    return _encoders.get(codes.weights_hash)
