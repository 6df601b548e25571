"""A trained language model speaks: it is given phones and their durations, or a first second."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from xcodec2.evaluate.lm.steps import Layout
from xcodec2.evaluate.lm.streams import BYTE, UNKNOWN, ByteStream, Streams
from xcodec2.evaluate.lm.training import SmallLlama
from xcodec2.evaluate.systems.ogg import FULL
from xcodec2.extras import require

TEMPERATURE = 0.8
PROMPT = 1.0  # seconds that are told where there are no phones
HIDDEN = -1  # in the place of a byte that is not told
MAX_LONGER = 2  # times as many bytes as the recording has, for packets of any size


def say_all(model: SmallLlama, streams: Streams, wanted: Sequence[ByteStream]) -> list[np.ndarray]:
    """Speak what held-out recordings say.

    With labels, the model is told the phone of each frame and nothing else; without, it hears the
    first second, which is left out of what is returned.

    Args:
        model: A trained one.
        streams: Codes of one system.
        wanted: Held-out recordings.

    Returns:
        (N,) uint8 of each: as many frames or packets as the recording has, or has behind its
        prompt.
    """
    layout = model.layout
    kind = PacketSpeech if layout.form.packets else FrameSpeech
    spoken = [kind(layout, stream, prompted(stream, streams)) for stream in wanted]
    generator = torch.Generator().manual_seed(model.recipe.seed)
    cache, begun = new_cache(), 0
    outside = layout.vocabulary
    ids = np.full((len(spoken), 1, layout.width), outside)
    phones = np.zeros((len(spoken), 0), np.int64)
    slots = np.arange(layout.width)
    with torch.inference_mode():
        while not all(one.done for one in spoken):
            step = ids.shape[1] - 1
            phones = np.append(phones, [[one.phone] for one in spoken], 1)
            if step - begun == model.window:  # what is too long ago is forgotten
                begun = step - model.window // 2 // layout.unit * layout.unit
                cache = new_cache()
            known = slice(begun + cached_steps(cache), None)
            logits = model(
                torch.from_numpy(ids[:, known]), torch.from_numpy(phones[:, known]), cache
            )[:, -1]
            place = slots if layout.delayed else np.array([step % layout.form.slots])
            own = torch.softmax(logits[:, torch.from_numpy(place)] / TEMPERATURE, -1)
            drawn = torch.multinomial(own.flatten(0, 1), 1, generator=generator)
            bytes_ = drawn.view(len(spoken), -1).numpy() + place * BYTE
            taken = [one.take(row) for one, row in zip(spoken, bytes_, strict=True)]
            ids = np.append(ids, np.stack(taken)[:, None], 1)
    return [one.said() for one in spoken]


def new_cache() -> object:
    """What transformers keeps of the steps before."""
    return require("transformers", extra="llasa", purpose="speech").DynamicCache()


def cached_steps(cache: object) -> int:
    """How many steps that are."""
    return int(cache.get_seq_length())  # type: ignore[attr-defined]


def prompted(stream: ByteStream, streams: Streams) -> int:
    """Frames of a recording that the model is told."""
    if streams.phones:
        return 0
    return min(len(stream.sizes) - 1, round(PROMPT * len(stream.sizes) / stream.seconds))


class FrameSpeech:
    """One recording of frames of one size, while it is spoken.

    Args:
        layout: Of the model.
        stream: What is to be said.
        prompt: Frames of it that are told.
    """

    def __init__(self, layout: Layout, stream: ByteStream, prompt: int) -> None:
        self.layout, self.prompt = layout, prompt * layout.form.slots
        steps, places = layout.steps(stream), layout.places(len(stream.bytes))
        self.phones = steps.phones
        self.ids = np.where(places < self.prompt, steps.ids, HIDDEN)  # OUTSIDE is told, too
        self.step = 0

    @property
    def done(self) -> bool:
        """Whether all is said."""
        return self.step >= len(self.ids)

    @property
    def phone(self) -> int:
        """Of the next step."""
        return UNKNOWN if self.done else int(self.phones[self.step])

    def take(self, drawn: np.ndarray) -> np.ndarray:
        """The next step, (width,): what was drawn, where it is not told."""
        if self.done:
            return np.full_like(drawn, self.layout.vocabulary)
        taken = np.where(self.ids[self.step] == HIDDEN, drawn, self.ids[self.step])
        self.ids[self.step] = taken
        self.step += 1
        return taken

    def said(self) -> np.ndarray:
        """(N,) uint8."""
        return self.layout.bytes(self.ids)[self.prompt :]


class PacketSpeech:
    """One recording of packets of any size, each behind it, while it is spoken.

    Args:
        layout: Of the model.
        stream: What is to be said.
        prompt: Packets of it that are told.
    """

    def __init__(self, layout: Layout, stream: ByteStream, prompt: int) -> None:
        self.layout, self.stream = layout, stream
        self.prompt = int(stream.sizes[:prompt].sum())
        self.bytes: list[int] = []
        self.packet, self.left, self.sized = 0, 0, False

    @property
    def done(self) -> bool:
        """Whether all packets are there, or the speech has become too long."""
        full = len(self.bytes) >= MAX_LONGER * len(self.stream.bytes)
        return full or self.packet >= len(self.stream.sizes)

    @property
    def phone(self) -> int:
        """Of the packet that the next byte belongs to."""
        return UNKNOWN if self.done else int(self.stream.phones[self.packet])

    def take(self, drawn: np.ndarray) -> np.ndarray:
        """The next byte, (1,): what was drawn, where it is not told."""
        if self.done:
            return np.full_like(drawn, self.layout.vocabulary)
        place = len(self.bytes)
        byte = int(self.stream.bytes[place] if place < self.prompt else drawn[0])
        self.bytes.append(byte)
        if not self.sized:
            self.left, self.sized = self.left + byte, byte < FULL
        else:
            self.left -= 1
        if self.sized and not self.left:
            self.packet, self.sized = self.packet + 1, False
        return np.array([byte])

    def said(self) -> np.ndarray:
        """(N,) uint8."""
        return np.array(self.bytes[self.prompt :], np.uint8)
