"""What a model is given to read: text for those that were trained on text, as all published ones
were, and phonemes for those whose llasa.json says so.
"""

from __future__ import annotations

from xcodec2.errors import LlasaError
from xcodec2.llasa.lm import LlasaMetadata
from xcodec2.llasa.prompts import split_text


def spoken_pieces(text: str, metadata: LlasaMetadata, limit: int) -> list[str]:
    """A text in the pieces that are spoken one by one.

    Args:
        text: Any text, or `Phonemes`.
        metadata: Of the model that reads it.
        limit: Characters in a piece.

    Returns:
        Text as it is for a model that reads text; else normalized text, so that no piece ends
        after "Dr.", or phonemes.

    Raises:
        LlasaError: Nothing in it can be spoken, or it is phonemes and the model reads text.
    """
    if is_phonemes(text):
        from xcodec2.llasa.text import Phonemes

        if not metadata.phonemes:
            raise LlasaError("this model reads text, not phonemes: give it the text")
        return [Phonemes(piece) for piece in split_text(text, limit)]
    if not metadata.phonemes:
        return split_text(text, limit)
    from xcodec2.llasa.text import normalize

    return split_text(normalize(text), limit)


def is_phonemes(text: str) -> bool:
    """Whether a text is `Phonemes`. The front end, slow to import, is left alone for the plain."""
    if type(text) is str:
        return False
    from xcodec2.llasa.text import Phonemes

    return isinstance(text, Phonemes)


def as_prompted(text: str, metadata: LlasaMetadata) -> str:
    """A piece as it stands in the prompt."""
    if not metadata.phonemes:
        return text
    from xcodec2.llasa.text import phonemes

    return phonemes(text)
