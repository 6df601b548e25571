"""Whose codes these are: what must agree before codes of one codec mean anything to another."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

from xcodec2.errors import CodesError
from xcodec2.printable import printable


class CodesWarning(UserWarning):
    """Codes that can be decoded, but most likely not to what was encoded."""


@dataclass(frozen=True)
class CodecIdentity:
    """The codec that made codes, or that takes them.

    Attributes:
        model: Its name; None when unknown.
        weights_hash: Digest of all weights that make codes: two codecs of one hash give equal codes
            for equal speech, whatever their names. None when unknown.
        codebook_size: Codes are 0 … codebook_size - 1.
        frame_rate: Codes per second.
    """

    model: str | None = None
    weights_hash: str | None = None
    codebook_size: int = 65_536
    frame_rate: int = 50

    def difference(self, other: CodecIdentity, this: str, that: str) -> str | None:
        """Why codes of this codec are not codes of the other, as far as both say.

        Args:
            other: The other codec.
            this: What to call whatever is of this codec, such as "speech.npz".
            that: What to call the other.

        Returns:
            One sentence; None where nothing tells the two apart.
        """
        if self.codebook_size != other.codebook_size:
            return (
                f"{this} is of a codebook of {self.codebook_size}, "
                f"{that} has a codebook of {other.codebook_size}"
            )
        if self.frame_rate != other.frame_rate:
            return (
                f"{this} has {self.frame_rate} codes per second, {that} has {other.frame_rate}: "
                "speech comes out at another speed"
            )
        if self._other_weights(other):
            return (
                f"{this} was encoded with {self._named()}, {that} is {other._named()}: "
                "noise, unless the two share codes"
            )
        return None

    def check(self, other: CodecIdentity, this: str, that: str) -> None:
        """Refuse what `difference` finds.

        Args:
            other: What is compared.
            this: What the error calls this one.
            that: What it calls the other.

        Raises:
            CodesError: The codes of one are not the codes of the other.
        """
        if difference := self.difference(other, this, that):
            raise CodesError(difference)

    def check_decodable(self, decoder: CodecIdentity, this: str, *, stacklevel: int = 1) -> bool:
        """Refuse codes that the decoder does not have, and warn of those that mean others to it.

        Args:
            decoder: The identity of what decodes.
            this: What to call the codes.
            stacklevel: Which of the callers the warning names; 1 is the one that calls this.

        Returns:
            Whether they fit, as far as both say.

        Raises:
            CodesError: The codebooks differ in size.
        """
        difference = self.difference(decoder, this, "this model")
        if difference is None:
            return True
        if self.codebook_size != decoder.codebook_size:
            raise CodesError(difference)
        # It may be meant: fine-tuned decoders exist.
        warnings.warn(difference, CodesWarning, stacklevel=stacklevel + 1)
        return False

    def _other_weights(self, other: CodecIdentity) -> bool:
        if self.weights_hash and other.weights_hash:
            return self.weights_hash != other.weights_hash
        return None not in (self.model, other.model) and self.model != other.model

    def _named(self) -> str:
        weights = f" (weights {printable(self.weights_hash)})" if self.weights_hash else ""
        return f"{printable(self.model or 'a model without a name')}{weights}"
