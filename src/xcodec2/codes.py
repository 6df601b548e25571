"""Codes, the tokens of one piece of speech, and the file that holds them.

The file is an .npz of plain arrays: `numpy.load(path)["codes"]` is all that a reader needs. Beside
the codes it says what they are: num_samples, sample_rate, frame_rate, codebook_size, model,
weights_hash (each where known), and format_version.
"""

from __future__ import annotations

import io
import os
import re
from dataclasses import dataclass
from numbers import Number
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from xcodec2.checked_codes import checked_codes, checked_field, is_file_content
from xcodec2.errors import CodesError
from xcodec2.files import open_regular, replacing
from xcodec2.identity import CodecIdentity
from xcodec2.npz import MAX_ARRAY_BYTES, parse_npy, read_all, read_npz, write_npz
from xcodec2.printable import printable

if TYPE_CHECKING:
    import torch

FORMAT_VERSION = 1
LONGEST_NAME = 60  # characters of a model's name that are shown
SPEECH_TOKEN = re.compile(r"<\|s_([0-9]{1,10})\|>")
SPEECH_MARK = re.compile(r"\ufeff|<\|SPEECH_GENERATION_(?:START|END)\|>")


@dataclass(frozen=True, eq=False, repr=False)
class Codes:
    """The codes of one piece of speech.

    Attributes:
        codes: (T,) int32, each in 0 … codebook_size - 1; given as any integer tensor, array or
            sequence.
        num_samples: Samples per channel of the audio they came from; None without audio.
        sample_rate: Of that audio, in Hz; None without audio.
        frame_rate: Codes per second.
        codebook_size: How many codes there are.
        model: Name of the model that made them; None when unknown.
        weights_hash: Hash of its weights, 16 hexadecimal digits; None when unknown.

    Raises:
        CodesError: A field does not hold what it should.
    """

    codes: torch.Tensor
    num_samples: int | None = None
    sample_rate: int | None = None
    frame_rate: int = 50
    codebook_size: int = 65_536
    model: str | None = None
    weights_hash: str | None = None

    def __post_init__(self) -> None:
        if (self.num_samples is None) != (self.sample_rate is None):
            raise CodesError("num_samples and sample_rate belong together: give both or neither")
        for field in ("num_samples", "sample_rate", "frame_rate", "codebook_size"):
            object.__setattr__(self, field, checked_field(field, getattr(self, field)))
        for field in ("model", "weights_hash"):
            if not isinstance(getattr(self, field), (str, type(None))):
                raise CodesError(f"{field} must be text or None, not {getattr(self, field)!r}")
        if self.codebook_size > 1 << 31:
            raise CodesError(
                f"codebook_size {self.codebook_size} is beyond the int32 that codes are"
            )
        checked = checked_codes(self.codes, self.codebook_size)
        if isinstance(checked, np.ndarray):  # a tensor when somebody asks for it
            object.__delattr__(self, "codes")
            object.__setattr__(self, "_array", checked)
        else:
            object.__setattr__(self, "codes", checked)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """The tensor, made when it is first asked for: importing PyTorch takes seconds."""
            if name != "codes" or "_array" not in self.__dict__:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            import torch

            object.__setattr__(self, "codes", torch.from_numpy(self._array))
            return self.codes

    @property
    def array(self) -> np.ndarray:
        """(T,) int32, the codes without PyTorch."""
        held = self.__dict__.get("_array")
        return self.codes.cpu().numpy() if held is None else held

    def __len__(self) -> int:
        held = self.__dict__.get("_array")
        return len(self.codes if held is None else held)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Codes):
            return NotImplemented
        same_origin = self._description() == other._description()
        return same_origin and np.array_equal(self.array, other.array)

    def __repr__(self) -> str:
        name = self.model or ""
        shown = repr(name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…")
        origin = f", model={printable(shown)}" if name else ""
        return f"Codes({len(self)} codes, {self.duration:.2f} s{origin})"

    def _repr_html_(self) -> str:
        """A player, in notebooks."""
        from xcodec2.notebook import player

        return player(self)

    @property
    def identity(self) -> CodecIdentity:
        """The codec that made them."""
        return CodecIdentity(self.model, self.weights_hash, self.codebook_size, self.frame_rate)

    @property
    def duration(self) -> float:
        """Seconds of the audio they came from, or, when that is unknown, of the audio they decode
        to.
        """
        if self.num_samples is not None and self.sample_rate is not None:
            return self.num_samples / self.sample_rate
        return len(self) / self.frame_rate

    def decoded_samples(self, sample_rate: int) -> int | None:
        """Samples at a rate of what was encoded; None where that is not known.

        Args:
            sample_rate: Of the decoded waveform, in Hz.
        """
        if self.num_samples is None or self.sample_rate is None:
            return None
        return max(1, round(self.num_samples * sample_rate / self.sample_rate))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file, whole or not at all; equal codes give equal bytes.

        Args:
            path: Of the file, usually `.npz`; no suffix is added.

        Raises:
            CodesError: It cannot be written.
        """
        with replacing(path, CodesError) as file:
            file.write(self.to_bytes())

    def to_bytes(self) -> bytes:
        """The content of the file that `save` writes."""
        small = self.codebook_size <= 1 << 16
        arrays = {"codes": self.array.astype("<u2" if small else "<u4")}
        for field, value in self._description().items():
            arrays[field] = np.array(value, "<i8") if isinstance(value, int) else np.array(value)
        content = io.BytesIO()
        write_npz(content, {"format_version": np.array(FORMAT_VERSION, "<i8"), **arrays})
        return content.getvalue()

    @staticmethod
    def load(
        source: str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO,
        *,
        frame_rate: int = 50,
        codebook_size: int = 65_536,
    ) -> Codes:
        """Read a file of codes.

        Args:
            source: A path, the content of a file, or a binary file object: what `save` wrote; a
                plain .npy of integers (T,), (1, T) or (1, 1, T); or text of speech tokens, as
                `from_text` takes it.
            frame_rate: Codes per second, where the file does not say it.
            codebook_size: Codes that there are, where the file does not say it.

        Returns:
            The codes; their origin is unknown where they come from a plain array or text.

        Raises:
            CodesError: It is anything else, is damaged, or claims more than codes can need.
        """
        if not isinstance(source, (str, os.PathLike)):
            content = _content(source)
            if not content:
                raise CodesError("standard input or a file without content: there are no codes")
            return _parse(io.BytesIO(content), frame_rate, codebook_size)
        with open_regular(source, CodesError) as file:
            try:
                return _parse(file, frame_rate, codebook_size)
            except CodesError as problem:
                raise CodesError(f"{source}: {problem}") from problem
            except OSError as problem:
                raise CodesError(f"{source}: cannot be read ({problem.strerror})") from problem

    @staticmethod
    def from_text(text: str, *, frame_rate: int = 50, codebook_size: int = 65_536) -> Codes:
        """Codes from speech tokens as language models write them: `<|s_17|><|s_60001|>…`.

        Args:
            text: Tokens, with or without white space and marks of speech's start and end around.
            frame_rate: Codes per second.
            codebook_size: Codes that there are.

        Returns:
            The codes, of unknown origin.

        Raises:
            CodesError: There are no speech tokens in the text, or something else beside them.
        """
        if rest := SPEECH_MARK.sub("", SPEECH_TOKEN.sub("", text)).strip():
            raise CodesError(f"not only speech tokens (<|s_17|>…) but also {rest[:40]!r}")
        numbers = [int(digits) for digits in SPEECH_TOKEN.findall(text)]
        if outside := [number for number in numbers if number >= codebook_size]:
            raise CodesError(f"<|s_{outside[0]}|> is outside of 0…{codebook_size - 1}")
        return Codes(
            np.array(numbers, np.int64),  # type: ignore[arg-type]
            frame_rate=frame_rate,
            codebook_size=codebook_size,
        )

    def _description(self) -> dict[str, int | str]:
        """The known fields besides the codes themselves, by name."""
        return {name: value for name in _FIELDS if (value := getattr(self, name)) is not None}


_FIELDS = {
    "num_samples": int,
    "sample_rate": int,
    "frame_rate": int,
    "codebook_size": int,
    "model": str,
    "weights_hash": str,
}
_AUDIO_STARTS = (
    b"RIFF",
    b"RF64",
    b"fLaC",
    b"OggS",
    b"FORM",
    b"ID3",
    b"\xff\xfb",
    b"\xff\xf3",
    b"\x1aE\xdf\xa3",
)


def given_codes(codes: Any, codec: CodecIdentity) -> Codes:
    """What a runtime's `decode` or `push` was given, checked against its codec.

    Args:
        codes: Codes, or integers (T,) as an array, a tensor or a sequence.
        codec: That which takes them.

    Raises:
        CodesError: They are something else, or none of this codec's.

    Warns:
        CodesWarning: The codes come from other weights, or at another frame rate.
    """
    if isinstance(codes, Codes):
        # seen by whoever called `decode`, which calls the runtime's `as_codes`, which calls this
        codes.identity.check_decodable(codec, "what is decoded", stacklevel=4)
        return codes
    return Codes(codes, frame_rate=codec.frame_rate, codebook_size=codec.codebook_size)


def is_one_row(codes: Any) -> bool:
    """Whether it is meant as the codes of one recording, rather than as a list of such."""
    if not isinstance(codes, (list, tuple)):
        return True
    return all(isinstance(item, Number) or getattr(item, "ndim", None) == 0 for item in codes)


def is_token_text(text: str) -> bool:
    """Whether a text is speech tokens, well written or not, rather than the name of a file."""
    return "<|s_" in text or SPEECH_MARK.search(text) is not None


def begins_like_codes(start: bytes) -> bool:
    """Whether content that begins so is meant as codes, well written or not, rather than audio."""
    return start.startswith((b"PK", b"\x93NUMPY")) or _looks_like_tokens(start)


def _content(source: bytes | bytearray | memoryview | BinaryIO) -> bytes:
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source)
    if not is_file_content(source):
        raise CodesError(f"a path or the content of a codes file, not {type(source).__name__}")
    try:
        content = source.read(MAX_ARRAY_BYTES + 1)
    except (OSError, ValueError) as problem:  # ValueError: it is closed
        raise CodesError(f"the file object cannot be read ({problem})") from problem
    if not isinstance(content, bytes):
        raise CodesError("the file object gives text: open it in binary mode")
    return content


def _from_npz(file: BinaryIO) -> Codes:
    arrays = read_npz(file, ("format_version", "codes", *_FIELDS))
    for name in ("format_version", "codes", "frame_rate", "codebook_size"):
        if name not in arrays:
            raise CodesError(f"not a codes file: it has no array named {name!r}")
    version = _scalar("format_version", arrays.pop("format_version"), int)
    if version != FORMAT_VERSION:
        raise CodesError(
            f"format version {version} is not {FORMAT_VERSION}, which is known here: "
            "upgrade open-xcodec2"
        )
    codes: Any = _integers(arrays.pop("codes"))
    return Codes(
        codes, **{name: _scalar(name, array, _FIELDS[name]) for name, array in arrays.items()}
    )


def _parse(file: BinaryIO, frame_rate: int, codebook_size: int) -> Codes:
    start = file.read(64)
    file.seek(0)
    if start.startswith(b"PK"):
        return _from_npz(file)
    if start.startswith(b"\x93NUMPY"):
        return _from_npy(file, frame_rate, codebook_size)
    if _looks_like_tokens(start):
        text = read_all(file).decode("utf-8", "replace")
        return Codes.from_text(text, frame_rate=frame_rate, codebook_size=codebook_size)
    audio = start.startswith(_AUDIO_STARTS) or start[4:8] == b"ftyp"
    raise CodesError(
        "audio, not codes: encode it first"
        if audio
        else "not a codes file: neither .npz or .npy, nor text of speech tokens (<|s_17|>…)"
    )


def _looks_like_tokens(start: bytes) -> bool:
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    return text.startswith((b"<|s_", b"<|SPEECH_GENERATION_START|>"))


def _from_npy(file: BinaryIO, frame_rate: int, codebook_size: int) -> Codes:
    array = _integers(parse_npy(read_all(file)))
    if array.ndim > 3 or any(size != 1 for size in array.shape[:-1]):
        raise CodesError(
            f"codes of shape {array.shape}; one item is (T,), (1, T) or (1, 1, T): "
            "save them one by one"
        )
    codes: Any = array.reshape(-1)
    return Codes(codes, frame_rate=frame_rate, codebook_size=codebook_size)


def _integers(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "iu":
        raise CodesError(f"codes must be of an integer type, not {array.dtype}")
    return array.astype(np.int64)


def _scalar(name: str, array: np.ndarray, kind: type) -> Any:
    value = array.item() if array.ndim == 0 else None
    if not isinstance(value, kind):
        raise CodesError(
            f"{name} must be one {kind.__name__}, not {array.dtype} of shape {array.shape}"
        )
    return value
