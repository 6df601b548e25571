"""A language model that speaks: its weights, its tokenizer, and which codec its codes are of."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from xcodec2.errors import LlasaError
from xcodec2.files import replacing
from xcodec2.identity import CodecIdentity
from xcodec2.llasa.prompts import Prompts

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

    from xcodec2.llasa.decoding.base import Choices, Decoder
    from xcodec2.llasa.track import Track

METADATA = "llasa.json"
BUNDLED = Path(__file__).parents[1] / "models" / "llasa"


@dataclass(frozen=True)
class LlasaMetadata:
    """What an LM says of itself in llasa.json. Published models have none.

    Attributes:
        codec: Whose codes it speaks.
        one_voice: It knows a single voice and takes no voice prompt.
        texts: The only texts that it knows, for a model that has learned a few by heart; else
            empty.
        phonemes: Its prompts hold phonemes (`xcodec2.llasa.text`) instead of text.
        track: It says each phoneme and its duration before its codes (`xcodec2.llasa.track`).
        tasks: What it has learned: tts, asr, continue, interleave.
        temperature: At which it speaks best, and speaks unless told; None where nobody says.
    """

    codec: CodecIdentity | None = None
    one_voice: bool = False
    texts: tuple[str, ...] = ()
    phonemes: bool = False
    track: bool = False
    tasks: tuple[str, ...] = ("tts",)
    temperature: float | None = None

    @classmethod
    def load(cls, folder: Path) -> LlasaMetadata:
        """What the model of a folder says.

        Raises:
            LlasaError: For a file that is not what training writes.
        """
        path = folder / METADATA
        if not path.is_file():
            return cls()
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                codec=CodecIdentity(**facts["codec"]),
                one_voice=facts["one_voice"],
                texts=tuple(map(str, facts.get("texts", ()))),
                phonemes=facts.get("phonemes", False) is True,
                track=facts.get("track", False) is True,
                tasks=tuple(map(str, facts.get("tasks", ("tts",)))),
                temperature=None if (own := facts.get("temperature")) is None else float(own),
            )
        except (ValueError, TypeError, KeyError) as problem:
            raise LlasaError(
                f"{path}: not what `xcodec2 llasa train` writes ({problem})"
            ) from problem

    def save(self, folder: Path) -> None:
        """Write it beside a model, whole or not at all.

        Raises:
            LlasaError: It cannot be written.
        """
        with replacing(folder / METADATA, LlasaError) as file:
            text = json.dumps(asdict(self), indent=2, ensure_ascii=False)
            file.write(f"{text}\n".encode())


@dataclass(frozen=True)
class LanguageModel:
    """An LM in this process.

    Attributes:
        name: Of its folder, or its Hub id.
        model: A causal LM of transformers; None when it was loaded for speaking alone.
        prompts: Build its prompts.
        metadata: What it says of itself.
        loaded: What computes its scores, when it was loaded for speaking alone.
    """

    name: str
    model: Any
    prompts: Prompts
    metadata: LlasaMetadata
    loaded: Decoder | None = None

    @property
    def context(self) -> int:
        """Tokens of prompt and speech together."""
        return self.loaded.context if self.loaded else self.model.config.max_position_embeddings

    @cached_property
    def speech(self) -> Choices:
        """What can come in speech: codes and its end."""
        from xcodec2.llasa.decoding.base import Choices

        vocabulary = self.prompts.vocabulary
        return Choices(np.sort(np.append(vocabulary.code_ids, vocabulary.speech_end)))

    @cached_property
    def track(self) -> Track | None:
        """The phoneme track, for a model that speaks on one."""
        if not self.metadata.track:
            return None
        from xcodec2.llasa.track import Track

        return Track.of(self.prompts, self.name)

    @cached_property
    def decoder(self) -> Decoder:
        """What computes its scores, made of its weights as they are at the first use."""
        from xcodec2.llasa.decoding.load import decoder_of

        return self.loaded or decoder_of(self.model)


def resolve(name: str | Path | None) -> str:
    """A folder or a Hub id; the LM in the package for None and for "bundled"."""
    return str(BUNDLED) if name is None or str(name) in ("", "bundled") else str(name)


def load_metadata(name: str | Path | None) -> LlasaMetadata:
    """What the LM of a folder says of itself; nothing for a Hub id."""
    return LlasaMetadata.load(Path(resolve(name)))


def load_lm(
    name: str | Path | None = None, *, device: str = "cpu", dtype: torch.dtype | None = None
) -> LanguageModel:
    """A language model, ready to speak. Heads may be tied or not.

    Args:
        name: A folder or a Hub id; None or "bundled" is the one inside the package.
        device: Where it runs.
        dtype: float32 when None.

    Raises:
        LlasaError: When it was not made for speech or its weights do not fit its tokenizer.
    """
    import torch

    name = resolve(name)
    tokenizer = load_tokenizer(name)
    prompts = Prompts.of(tokenizer, name)  # before the weights, which may be large
    model = load_weights(name, dtype or torch.float32)
    check_rows(prompts, model.get_input_embeddings().num_embeddings, name)
    return LanguageModel(name, model.to(device).eval(), prompts, load_metadata(name))


def load_for_speech(
    name: str | Path | None = None, *, device: str = "cpu", dtype: torch.dtype | None = None
) -> LanguageModel:
    """The same for speaking alone: a Llama in a folder is read without transformers, in a fraction
    of the time and the memory. `model` is None then.

    Raises:
        LlasaError: When it was not made for speech or its weights do not fit its tokenizer.
    """
    from xcodec2.llasa.decoding.files import read_llama
    from xcodec2.llasa.tokenizer_file import read_tokenizer

    folder = Path(resolve(name))
    if device != "cpu" or not folder.is_dir():
        return load_lm(name, device=device, dtype=dtype)
    tokenizer = read_tokenizer(tokenizer_folder(folder))
    if tokenizer is None:
        return load_lm(name, device=device, dtype=dtype)
    prompts = Prompts.of(cast("PreTrainedTokenizerBase", tokenizer), str(folder))
    decoder = read_llama(folder, dtype)
    if decoder is None:
        return load_lm(name, device=device, dtype=dtype)
    check_rows(prompts, decoder.vocabulary, str(folder))
    return LanguageModel(str(folder), None, prompts, load_metadata(folder), decoder)


def check_rows(prompts: Prompts, rows: int, name: str) -> None:
    """Refuse a model that has no embedding for every code.

    Raises:
        LlasaError: It has none.
    """
    highest = int(prompts.vocabulary.code_ids.max())
    if highest >= rows:
        raise LlasaError(
            f"{name}: its tokenizer has ids up to {highest}, its embedding {rows} rows"
        )


def tokenizer_folder(folder: Path) -> Path:
    """Where a folder has its tokenizer: in itself, or in its subfolder `tokenizer`."""
    inner = folder / "tokenizer"
    return inner if (inner / "tokenizer.json").is_file() else folder


def load_tokenizer(name: str | Path) -> PreTrainedTokenizerBase:
    """A tokenizer.

    Args:
        name: A folder that holds it, or has it as its subfolder `tokenizer`, or a Hub id;
            "bundled" is the one of the LM in the package, "phonemes" the one in which each
            phoneme is a token.

    Raises:
        LlasaError: When there is none.
    """
    if str(name) == "phonemes":
        from xcodec2.llasa.track import phoneme_tokenizer

        return phoneme_tokenizer()
    from transformers import AutoTokenizer

    folder = tokenizer_folder(Path(resolve(name)))
    if looks_local(str(folder)) and not folder.is_dir():
        raise LlasaError(f"{name}: no such folder; give a folder, a Hub id (OWNER/NAME) or bundled")
    with one_error(f"{name}: no tokenizer"):
        return AutoTokenizer.from_pretrained(str(folder))


def load_weights(name: str | Path, dtype: torch.dtype) -> Any:
    """The causal LM of a folder or a Hub id, with every weight in its place; LlasaError when one is
    not.
    """
    from transformers import AutoModelForCausalLM

    from xcodec2.codec.defaults import float32_parameters

    load: Any = AutoModelForCausalLM.from_pretrained  # whose types do not know output_loading_info
    with one_error(f"{name}: no language model"), float32_parameters("cpu"):
        model, loading = load(str(name), dtype=dtype, output_loading_info=True)
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if loading.get(what):
            raise LlasaError(
                f"{name}: {what.replace('_', ' ')} in its weights: "
                f"{sorted(map(str, loading[what]))[:3]}"
            )
    return model


def looks_local(name: str) -> bool:
    """Whether a name can only be a folder, for a Hub id is OWNER/NAME."""
    return os.path.isdir(name) or name.startswith((".", "/", "~")) or name.count("/") != 1


@contextmanager
def one_error(what: str) -> Iterator[None]:
    """transformers' failures as one LlasaError of one line."""
    try:
        yield
    except LlasaError:
        raise
    except Exception as problem:  # its loaders raise a dozen types
        why = str(problem).strip().splitlines()
        raise LlasaError(
            f"{what} could be loaded ({why[0][:200] if why else type(problem).__name__})"
        ) from problem
