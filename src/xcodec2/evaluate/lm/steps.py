"""What a language model reads, step by step: bytes one after the other, or all of a frame at once,
each slot a step later than the one before (the delay pattern of MusicGen).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xcodec2.evaluate.lm.streams import BYTE, ByteForm, ByteStream

OUTSIDE = -1


@dataclass(frozen=True)
class Layout:
    """How bytes become steps.

    Attributes:
        form: How codes stand in bytes.
        delayed: Whether a step has all slots of a frame, each delayed by one more.
    """

    form: ByteForm
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

    def places(self, count: int) -> np.ndarray:
        """Which byte of a recording stands where.

        Args:
            count: Bytes of the recording; whole frames, where steps are delayed.

        Returns:
            (L, width) numbers of bytes, OUTSIDE before the first and after the last one.
        """
        if not self.delayed:
            return np.arange(count)[:, None]
        slots = self.form.slots
        frames = count // slots
        places = np.full((frames + slots - 1, slots), OUTSIDE)
        for slot in range(slots):
            places[slot : slot + frames, slot] = np.arange(frames) * slots + slot
        return places

    def steps(self, stream: ByteStream) -> Steps:
        """A recording as steps."""
        places = self.places(len(stream.bytes))
        ids = stream.bytes[places].astype(np.int64) + places % self.form.slots * BYTE
        ids[places == OUTSIDE] = self.vocabulary
        last = self.form.slots - 1 if self.delayed else 0
        phones = stream.phones if self.delayed else stream.phone_of_bytes[: len(ids)]
        return Steps(ids, np.pad(phones, (0, last), "edge"))

    def bytes(self, ids: np.ndarray) -> np.ndarray:
        """(L, width) numbers of steps → (N,) uint8; the inverse of `steps`."""
        count = (len(ids) - self.form.slots + 1) * self.form.slots if self.delayed else len(ids)
        places = self.places(count)
        found = np.zeros(count, np.uint8)
        found[places[places != OUTSIDE]] = ids[places != OUTSIDE] % BYTE
        return found

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
