"""How tokens are drawn."""

from __future__ import annotations

from dataclasses import dataclass

from xcodec2.errors import LlasaError


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn.

    Attributes:
        temperature: 0 takes the likeliest token.
        top_p: Draw from this share of the probability; 1 cuts nothing off.
        top_k: Draw from this many tokens; 0 cuts nothing off.
        repetition_penalty: Above 1, repeated tokens are rarer.
        max_tokens: Of one piece of text; None is the context's end.

    Raises:
        LlasaError: For a number that is out of its range.
    """

    temperature: float = 0.8
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        problems = [
            (self.temperature < 0, "temperature must be 0 or more"),
            (not 0 < self.top_p <= 1, "top_p must be above 0 and at most 1"),
            (self.top_k < 0, "top_k must be 0 or more"),
            (self.repetition_penalty < 0.01, "repetition_penalty must be at least 0.01"),
            (self.max_tokens is not None and self.max_tokens < 1, "max_tokens must be 1 or more"),
        ]
        for wrong, message in problems:
            if wrong:
                raise LlasaError(message)

    def budget(self, context: int, prompt: int) -> int:
        """Tokens that may come after a prompt of this length.

        Raises:
            LlasaError: When there is no room.
        """
        room = context - prompt
        if room < 2:
            raise LlasaError(
                f"the prompt has {prompt} tokens and the model's context {context}: "
                "use a shorter voice clip or text"
            )
        return min(room, self.max_tokens or room)
