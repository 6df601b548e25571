"""What a language model reads, step by step: bytes one after the other, or all of a frame at once,
each slot a step later than the one before (the delay pattern of MusicGen).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xcodec2.evaluate.lm.streams import BYTE, Form, Stream

HIDDEN = -1  # the place of a byte that is not told, in what `Steps.ids` holds


@dataclass(frozen=True)
class Layout:
    """How bytes become steps.

    Attributes:
        form: How codes stand in bytes.
        delayed: Whether a step has all slots of a frame, each delayed by one more.
    """

    form: Form
    delayed: bool = False

    @property
    def width(self) -> int:
        """Bytes of a step."""
        return self.form.slots if self.delayed else 1

    @property
    def unit(self) -> int:
        """Steps of a frame; crops begin at frames."""
        return 1 if self.delayed else self.form.slots

    @property
    def vocabulary(self) -> int:
        """256 bytes for each slot; one more number stands for what is before the start."""
        return self.form.slots * BYTE

    def window(self, context: int) -> int:
        """Steps of a window: whole frames, as many as the context holds, at least one."""
        return max(1, context // self.unit) * self.unit

    def steps(self, stream: Stream) -> Steps:
        """A recording as steps."""
        slots, outside = self.form.slots, self.vocabulary
        place = np.arange(len(stream.bytes)) % slots
        ids = stream.bytes.astype(np.int64) + place * BYTE
        if not self.delayed:
            return Steps(ids[:, None], stream.phone_of_bytes[: len(ids)])
        frames = ids.reshape(-1, slots)
        delayed = np.full((len(frames) + slots - 1, slots), outside)
        for slot in range(slots):
            delayed[slot : slot + len(frames), slot] = frames[:, slot]
        phones = np.pad(stream.phones, (0, slots - 1), "edge")
        return Steps(delayed, phones)

    def bytes(self, ids: np.ndarray) -> np.ndarray:
        """(L, width) numbers of steps → (N,) uint8; the inverse of `steps`."""
        if not self.delayed:
            return (ids[:, 0] % BYTE).astype(np.uint8)
        slots = self.form.slots
        frames = len(ids) - slots + 1
        whole = np.stack([ids[slot : slot + frames, slot] for slot in range(slots)], 1)
        return (whole % BYTE).astype(np.uint8).ravel()

    @property
    def words(self) -> str:
        """For people."""
        if not self.delayed:
            return self.form.words
        return self.form.words.replace("flattened", "delayed by a frame each")


@dataclass(frozen=True)
class Steps:
    """A recording, or a part of it.

    Attributes:
        ids: (L, width) numbers of bytes: byte + 256 · slot, or `Layout.vocabulary` outside.
        phones: (L,) numbers of phones.
        before: (width,) numbers of the step before; None at the start of a recording.
    """

    ids: np.ndarray
    phones: np.ndarray
    before: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def crop(self, start: int, length: int) -> Steps:
        """A part."""
        before = self.ids[start - 1] if start else None
        end = start + length
        return Steps(self.ids[start:end], self.phones[start:end], before)

    def without_phones(self) -> Steps:
        """The same without knowing what is said."""
        return Steps(self.ids, np.zeros_like(self.phones), self.before)
