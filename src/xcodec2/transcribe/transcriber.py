"""A trained CTC model with its codec and its alphabets, in one safetensors file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from xcodec2.codec.defaults import float32_parameters
from xcodec2.errors import TranscriptionError
from xcodec2.files import replacing
from xcodec2.identity import CodecIdentity
from xcodec2.transcribe.alignment import durations
from xcodec2.transcribe.decoding import Transcript, greedy, log_likelihood, words_of
from xcodec2.transcribe.network import CtcConfig, CtcNetwork, Emissions

if TYPE_CHECKING:
    from xcodec2.codes import Codes

FACTS = "xcodec2.ctc"  # the key of the file's metadata
#: The model in the package, which reads the codes of the codec in the package.
BUNDLED = Path(__file__).parents[1] / "models" / "ctc" / "ctc.safetensors"
MARKS = frozenset(" .,?!;:—…ˈˌ")  # of the phones, what is no sound


@dataclass(frozen=True, eq=False)
class Transcriber:
    """Reads the codes of one codec.

    Attributes:
        network: In evaluation mode.
        codec: Whose codes it reads.
    """

    network: CtcNetwork
    codec: CodecIdentity

    @classmethod
    def load(cls, path: str | Path | None = None, *, device: str = "cpu") -> Transcriber:
        """The model of a file that training wrote.

        Args:
            path: The file; None is the model in the package.
            device: Where it reads.

        Raises:
            TranscriptionError: It cannot be read, is something else, or the package has none.
        """
        if path is None and not BUNDLED.is_file():
            raise TranscriptionError(
                "no CTC model is in this package: train one with `xcodec2 llasa ctc`, and give "
                "its file"
            )
        path = path or BUNDLED
        try:
            with safe_open(str(path), "pt", device=device) as file:
                facts = json.loads((file.metadata() or {})[FACTS])
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            with float32_parameters():
                network = CtcNetwork(CtcConfig(**facts["config"]))
            network.load_state_dict(weights)
            codec = CodecIdentity(**facts["codec"])
        except (OSError, SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as problem:
            lacks = "it lacks " if isinstance(problem, KeyError) else ""
            why = " ".join(f"{lacks}{problem}".split())[:200]
            raise TranscriptionError(
                f"{path}: not a model that `xcodec2 llasa ctc` writes ({why})"
            ) from problem
        return cls(network.to(device).eval(), codec)

    def save(self, path: str | Path) -> None:
        """Write the file, whole or not at all.

        Raises:
            TranscriptionError: It cannot be written.
        """
        facts = {"config": asdict(self.network.config), "codec": asdict(self.codec)}
        weights = {
            name: tensor.detach().cpu().contiguous()
            for name, tensor in self.network.state_dict().items()
        }
        with replacing(path, TranscriptionError) as file:
            file.write(save(weights, {FACTS: json.dumps(facts, ensure_ascii=False)}))

    def emissions(self, codes: Codes | Sequence[int] | np.ndarray | torch.Tensor) -> Emissions:
        """Log probabilities (T, S) of phones and characters.

        Args:
            codes: (T,), or `Codes`, whose codec must be the model's.

        Raises:
            TranscriptionError: For codes that are none of the codebook's.
            CodesError: For codes of another codec.
        """
        from xcodec2.codes import Codes

        if isinstance(codes, Codes):
            codes.identity.check(self.codec, "this speech", "the CTC model's codec")
            codes = codes.codes
        array = torch.as_tensor(np.asarray(codes), dtype=torch.int64, device="cpu").reshape(-1)
        size = self.network.config.codebook_size
        if len(array) and not 0 <= int(array.min()) <= int(array.max()) < size:
            raise TranscriptionError(f"codes outside of 0…{size - 1}")
        if not len(array):
            config = self.network.config
            sizes = (len(config.phones) + 1, len(config.characters) + 1)
            none = (torch.zeros(0, n, dtype=torch.float32, device="cpu") for n in sizes)
            return Emissions(*none)
        device = next(self.network.parameters()).device
        with torch.inference_mode():
            found = self.network(array[None].to(device), torch.tensor([len(array)], device=device))
        return Emissions(found.phones[0].cpu(), found.characters[0].cpu())

    def transcribe(self, codes: Codes | Sequence[int] | np.ndarray | torch.Tensor) -> Transcript:
        """Words and phones of codes (T,), with times."""
        found, config = self.emissions(codes), self.network.config
        characters = greedy(found.characters, config.characters, self.codec.frame_rate)
        phones = greedy(found.phones, config.phones, self.codec.frame_rate)
        sounds = [phone for phone in phones if phone.text not in MARKS]
        return Transcript(words_of(characters), sounds)

    def durations(self, codes: np.ndarray, phones: str) -> list[int]:
        """How many of the codes (T,) each phone lasts, with the silence before the first and behind
        the last; none for what is not in the model's alphabet.

        Raises:
            TranscriptionError: The codes are too few, or no phone is in the alphabet.
        """
        known = [place for place, one in enumerate(phones) if one in self.network.config.phones]
        target = self.target(phones)
        found = durations(self.emissions(codes).phones.numpy(), target)
        lengths = [0] * (len(phones) + 2)
        for place, length in zip([-1, *known, len(phones)], found, strict=True):
            lengths[place + 1] = length
        return lengths

    def target(self, phones: str) -> list[int]:
        """The numbers of the phones that the model knows.

        Raises:
            TranscriptionError: It knows none of them.
        """
        return numbers_of(phones, self.network.config.phones, "phone")

    def score_phones(self, codes: np.ndarray, phones: str) -> float:
        """How well codes (T,) say phones: log likelihood per phone, greater is better.

        Raises:
            TranscriptionError: No phone is in the model's alphabet.
        """
        target = self.target(phones)
        return log_likelihood(self.emissions(codes).phones, target) / len(target)

    def score_words(self, codes: np.ndarray, words: str) -> float:
        """How well codes (T,) say words: log likelihood per letter, less that of what the model
        would rather write. At most about 0, and greater is better.

        Args:
            codes: Of the model's codec.
            words: As in training: normalized, in small letters.

        Raises:
            TranscriptionError: No letter is in the model's alphabet.
        """
        target = numbers_of(words, self.network.config.characters, "letter")
        found = self.emissions(codes).characters
        likeliest = float(found.max(-1).values.sum()) if len(found) else 0.0
        return (log_likelihood(found, target) - likeliest) / len(target)


def numbers_of(text: str, alphabet: str, kind: str) -> list[int]:
    """The numbers of the symbols that an alphabet has.

    Raises:
        TranscriptionError: It has none of them.
    """
    numbers = [alphabet.index(one) + 1 for one in text if one in alphabet]
    if not numbers:
        raise TranscriptionError(f"no {kind} of {text[:40]!r} is in the model's alphabet")
    return numbers
