"""What speech may not be, told as warnings."""

from __future__ import annotations

import warnings

from xcodec2.llasa.prompts import shorten


def warn_unknown_text(pieces: list[str], known: tuple[str, ...]) -> None:
    """A model that has learned a few texts by heart cannot say anything else."""
    sayable = {spoken_characters(text) for text in known}
    unknown = [piece for piece in pieces if spoken_characters(piece) not in sayable]
    if known and unknown:
        warnings.warn(
            f"this model has learned {len(known)} texts by heart and cannot say "
            f"{shorten(unknown[0])!r}: what comes is something else. It knows "
            f"{', '.join(map(repr, known[:10]))}{', …' if len(known) > 10 else ''}; "
            "for anything else give a model that reads (--lm)",
            stacklevel=4,
        )


def spoken_characters(text: str) -> str:
    """Letters and digits alone, which is what is heard of a text."""
    return "".join(filter(str.isalnum, text.casefold()))


def warn_unfinished(piece: str, finished: bool) -> None:
    """Say that a piece of text may not have been spoken to its end."""
    if not finished:
        warnings.warn(
            f"the model did not end by itself on {shorten(piece)!r}: "
            "its speech may repeat or be cut; try another seed",
            stacklevel=3,
        )
