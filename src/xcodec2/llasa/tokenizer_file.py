"""A tokenizer from its files alone, in a tenth of the time that importing transformers takes.

Only for what the files state in full: with anything else, transformers has the say.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tokenizers import AddedToken

CLASSES = ("TokenizersBackend", "PreTrainedTokenizerFast")  # tokenizer.json and nothing besides
ROLES = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token")
#: What else a configuration may hold without a change to any id.
HARMLESS = {
    "backend",
    "chat_template",
    "clean_up_tokenization_spaces",
    "is_local",
    "local_files_only",
    "model_input_names",
    "model_max_length",
    "padding_side",
    "tokenizer_class",
    "truncation_side",
}


class TokenizerFile:
    """What prompts need of transformers' tokenizers, under the same names."""

    is_fast = True

    def __init__(self, path: Path, config: dict[str, Any], template: str | None) -> None:
        from tokenizers import Tokenizer

        self.tokenizer = Tokenizer.from_file(str(path))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.roles: dict[str, str | None] = {name: config.get(name) for name in ROLES}
        self.unk_token, self.bos_token = self.roles["unk_token"], self.roles["bos_token"]
        self.chat_template = template

    @property
    def unk_token_id(self) -> int | None:
        """The id of what is not known, where there is one."""
        return None if self.unk_token is None else self.tokenizer.token_to_id(self.unk_token)

    @property
    def added_tokens_decoder(self) -> dict[int, AddedToken]:
        """Tokens beside the model's own, by their ids."""
        return dict(self.tokenizer.get_added_tokens_decoder())

    def __len__(self) -> int:
        return int(self.tokenizer.get_vocab_size())

    @cached_property
    def vocabulary(self) -> dict[str, int]:
        """Every token's id."""
        return dict(self.tokenizer.get_vocab())

    def get_vocab(self) -> dict[str, int]:
        """Every token's id."""
        return self.vocabulary

    def convert_ids_to_tokens(self, id: int) -> str | None:
        """The token of an id."""
        return self.tokenizer.id_to_token(id)

    def decode(self, ids: Sequence[int] | np.ndarray) -> str:
        """The text of ids, special tokens too."""
        return str(self.tokenizer.decode([int(id) for id in ids], skip_special_tokens=False))

    def __call__(self, text: str, **_: Any) -> dict[str, Any]:
        """Ids of a text, without special tokens around it, and where in it they are from."""
        encoding = self.tokenizer.encode(text, add_special_tokens=False)
        return {"input_ids": encoding.ids, "offset_mapping": encoding.offsets}

    def apply_chat_template(self, chat: list[dict[str, str]], *, date_string: str, **_: Any) -> str:
        """The chat as text, open behind its last message."""
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        rendered = environment.from_string(self.chat_template or "").render(
            messages=chat,
            date_string=date_string,
            add_generation_prompt=False,
            **{name: token for name, token in self.roles.items() if token is not None},
        )
        last = chat[-1]["content"]
        return rendered[: rendered.rindex(last) + len(last)]


def read_tokenizer(folder: Path) -> TokenizerFile | None:
    """The tokenizer of a folder, or None when its files leave something to transformers."""
    try:
        config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        template = config.get("chat_template")
        if (folder / "chat_template.jinja").is_file():
            template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
        if (
            config.get("tokenizer_class") not in CLASSES
            or not set(config) <= HARMLESS | set(ROLES)
            or not isinstance(template, str | None)
            or any((folder / name).exists() for name in LEGACY)
        ):
            return None
        tokenizer = TokenizerFile(folder / "tokenizer.json", config, template)
    except Exception:  # whatever it is, transformers' loader names it
        return None
    special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    named = {token for token in tokenizer.roles.values() if token is not None}
    return tokenizer if named <= special else None


LEGACY = ("added_tokens.json", "special_tokens_map.json")  # may add to tokenizer.json
