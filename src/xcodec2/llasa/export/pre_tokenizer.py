"""Which of llama.cpp's ways to split text a tokenizer has.

llama.cpp does not read the regular expressions of tokenizer.json: a GGUF file names one of those
that are built in, and a wrong name gives other tokens without a word. What is not one of these is
refused.
"""

from __future__ import annotations

import json
from typing import Any

from xcodec2.errors import LlasaError

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
#: Regular expressions that split before the bytes are mapped, and llama.cpp's names for them.
SPLITS = {
    CONTRACTIONS + r"\p{N}{1,3}" + REST: "llama-bpe",
    CONTRACTIONS + r"\p{N}" + REST: "qwen2",
}
#: These take a word that is in the vocabulary as it is, whatever the merges say.
IGNORES_MERGES = frozenset({"llama-bpe"})


def pre_tokenizer_name(tokenizer: Any, name: str) -> str:
    """llama.cpp's name of the way in which a byte-level BPE tokenizer splits text.

    Args:
        tokenizer: Of transformers.
        name: Of the model, for messages.

    Raises:
        LlasaError: When llama.cpp has no such way.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    facts = json.loads(backend.to_str()) if backend is not None else {"model": {}}
    model = facts["model"]
    if model.get("type") != "BPE" or not model.get("merges") or model.get("byte_fallback"):
        raise LlasaError(f"{name}: only byte-level BPE tokenizers are written as GGUF")
    found = splitting(facts.get("pre_tokenizer"))
    if found is None or not plain_text(facts.get("normalizer")) or has_affixes(model):
        raise LlasaError(
            f"{name}: llama.cpp has no way to split text that is this tokenizer's "
            f"({described(facts)}), and would make other tokens; serve it with vLLM or SGLang"
        )
    if bool(model.get("ignore_merges")) != (found in IGNORES_MERGES) and not merges_make_all(
        backend, model
    ):
        raise LlasaError(
            f"{name}: llama.cpp merges the pieces of a word in another order than this tokenizer; "
            "serve it with vLLM or SGLang"
        )
    return found


def splitting(pre_tokenizer: dict[str, Any] | None) -> str | None:
    """llama.cpp's name for the steps of tokenizer.json, None when it has none."""
    parts = steps(pre_tokenizer)
    if not parts or parts[-1].get("type") != "ByteLevel" or parts[-1].get("add_prefix_space"):
        return None
    *before, last = parts
    own_regex = last.get("use_regex", True)
    if own_regex and not before:
        return "gpt-2"
    if len(before) != 1:
        return None
    (first,) = before
    if own_regex:
        digits = first.get("type") == "Digits" and first.get("individual_digits")
        return "smollm" if digits else None
    isolated = first.get("type") == "Split" and first.get("behavior") == "Isolated"
    regex = (first.get("pattern") or {}).get("Regex") if isolated else None
    return SPLITS.get(str(regex)) if not first.get("invert") else None


def steps(part: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The steps of a sequence, of sequences within it too."""
    if not part:
        return []
    if part.get("type") == "Sequence":
        inner = part.get("pretokenizers") or part.get("normalizers") or []
        return [step for item in inner for step in steps(item)]
    return [part]


def plain_text(normalizer: dict[str, Any] | None) -> bool:
    """Whether text stays as it is; composing (NFC) changes only what seldom is written."""
    return all(step.get("type") == "NFC" for step in steps(normalizer))


def has_affixes(model: dict[str, Any]) -> bool:
    """Marks of a word's parts, which llama.cpp does not know."""
    return bool(model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"))


def merges_make_all(backend: Any, model: dict[str, Any]) -> bool:
    """Whether merges lead to every entry of the vocabulary: then it is the same to ignore them."""
    from tokenizers import Tokenizer, models

    merges = [tuple(merge) if isinstance(merge, list) else merge for merge in model["merges"]]
    pairs = [merge if isinstance(merge, tuple) else tuple(merge.split(" ")) for merge in merges]
    plain = Tokenizer(models.BPE(vocab=model["vocab"], merges=pairs))
    added = {token.content for token in backend.get_added_tokens_decoder().values()}
    products = {left + right for left, right in pairs} - added
    return all(len(plain.model.tokenize(entry)) == 1 for entry in products)


def described(facts: dict[str, Any]) -> str:
    """The steps by their names, for a message."""
    names = []
    for step in steps(facts.get("normalizer")) + steps(facts.get("pre_tokenizer")):
        regex = (step.get("pattern") or {}).get("Regex") if "pattern" in step else None
        names.append(f"{step.get('type')} {regex[:60]!r}" if regex else str(step.get("type")))
    return ", ".join(names) or "it does not split"
