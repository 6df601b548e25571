"""Where a model's files are: inside the package, in a folder, a single file, or on the Hugging Face
Hub.
"""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from xcodec2.codec.checkpoints import client
from xcodec2.errors import CheckpointError

MODELS = Path(__file__).parents[2] / "models"
WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
LONE_SUFFIXES = (".ckpt", ".safetensors")
INDEX_FILE = "model.safetensors.index.json"
CONFIG_FILE = "config.json"
SHARD = re.compile(r"model-\d+-of-\d+\.safetensors")
UNFINISHED = b"unfinished: a model was being saved here\n"  # instead of weights, while files change
EXPORTS = {
    "encoder.onnx": "xcodec2.onnx.OnnxCodec",
    "decoder.onnx": "xcodec2.onnx.OnnxCodec",
    "codec.json": "xcodec2.mobile.MobileCodec",
}
EXPORTED_FILES = {".onnx": "ONNX Runtime", ".pte": "ExecuTorch", ".gguf": "codec.cpp or llama.cpp"}
W2V_BERT = "facebook/w2v-bert-2.0"
DISTILL = "neuphonic/distill-neucodec"
NO_DISTILL = (
    "distill-neucodec encodes by DistilHuBERT and SQCodec's encoder, which are not there; "
    "use neuphonic/neucodec, whose codes it was trained to give"
)
HUB_ID = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")


@dataclass(frozen=True)
class ModelFiles:
    """A model's name, its weights (several where sharded), and its config.json if there is one."""

    name: str
    weights: list[Path]
    config: Path | None


def find_model(name_or_path: str | Path) -> ModelFiles:
    """The files behind a name; raises CheckpointError when there are none."""
    if not isinstance(name_or_path, (str, os.PathLike)):
        raise CheckpointError(
            f"a model is named by text or a path, not by {type(name_or_path).__name__}"
        )
    name = os.fsdecode(name_or_path)
    path = Path(name)
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except (OSError, ValueError) as problem:  # longer than a file name can be, a NUL byte in it
        raise CheckpointError(
            f"{name[:80]!r}: not a usable name of a model ({problem})"
        ) from problem
    if (
        isinstance(name_or_path, str)
        and re.fullmatch(r"[\w-]+", name)
        and (MODELS / name / CONFIG_FILE).is_file()
    ):
        if is_folder:
            warnings.warn(
                f"{name} is the model inside the package; for the folder say ./{name}", stacklevel=5
            )
        return in_folder(MODELS / name)
    if is_folder:
        return in_folder(path)
    if is_file and path.suffix in EXPORTED_FILES:
        raise CheckpointError(
            f"{name}: is an export, for {EXPORTED_FILES[path.suffix]}: "
            "name the model that it was made from"
        )
    if is_file:
        config = path.parent / CONFIG_FILE
        return ModelFiles(path.stem, [path], config if config.is_file() else None)
    if named := remote_id(name):
        return on_hub(name, *named)
    bundled = ", ".join(sorted(bundled_codecs())) or "none"
    raise CheckpointError(
        f"{name}: no such model; give a bundled one ({bundled}), a folder, a file or a Hub id"
    )


def in_folder(folder: Path) -> ModelFiles:
    """The files of a model in a folder; raises CheckpointError when there are none."""
    name = folder.resolve().name

    def local(file: str) -> Path | None:
        return folder / file if (folder / file).is_file() else None

    known = any((folder / file).is_file() for file in (*WEIGHT_FILES, INDEX_FILE))
    others = (
        [] if known else [file for suffix in LONE_SUFFIXES for file in folder.glob(f"*{suffix}")]
    )
    a_part = any(SHARD.fullmatch(file.name) for file in others)
    if len(others) == 1 and not a_part:  # such as a folder with one Lightning checkpoint
        return ModelFiles(name, others, local(CONFIG_FILE))
    nothing = f"{folder} holds no model: none of {', '.join((*WEIGHT_FILES, INDEX_FILE))}"
    return collect(name, local, f"{nothing}{instead(folder, others)}")


def instead(folder: Path, others: list[Path]) -> str:
    """What a folder that is no model has, and which name was meant; empty where nothing is known.

    Args:
        folder: Which it is.
        others: Checkpoints in it.
    """
    if (folder / "model" / CONFIG_FILE).is_file():  # a run of `xcodec2 train`
        return f"; its model is {folder / 'model'}"
    if any(SHARD.fullmatch(file.name) for file in others):
        return f"; {INDEX_FILE} is missing beside the parts: fetch or save the model again"
    if others:
        return f"; it has {len(others)} checkpoints, name one of them: {min(others)}, ..."
    for file, runtime in EXPORTS.items():
        if (folder / file).is_file():
            return f"; it is an export, for {runtime}: name the model that it was made from"
    return ""


def bundled_codecs() -> list[str]:
    """The names of the codecs in the package, where a language model is, too."""
    configs = MODELS.glob(f"*/{CONFIG_FILE}")
    return [file.parent.name for file in configs if not (file.parent / "llasa.json").is_file()]


def collect(name: str, get: Callable[[str], Path | None], nothing: str) -> ModelFiles:
    """Ask `get` for each file that a model may have; it answers None for those that it has not.

    Raises:
        CheckpointError: There are no weights, or a part of them is missing.
    """
    config = get(CONFIG_FILE)
    if weights := get(
        WEIGHT_FILES[0]
    ):  # before the index: what transformers does where both are there
        return ModelFiles(name, [weights], config)
    if index := get(INDEX_FILE):
        parts = [get(part) for part in shard_names(index)]
        if None in parts:
            raise CheckpointError(f"{name}: a part named in {INDEX_FILE} is missing")
        return ModelFiles(name, [part for part in parts if part], config)
    for file in WEIGHT_FILES[1:]:
        if weights := get(file):
            return ModelFiles(name, [weights], config)
    raise CheckpointError(nothing)


def shard_names(index: Path) -> list[str]:
    """File names in a sharded checkpoint's index; nothing but plain names, which cannot lead
    elsewhere.

    Raises:
        CheckpointError: The index is damaged, or names something else than safetensors beside it.
    """
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as problem:
        raise CheckpointError(f"{index}: not a readable index of a checkpoint") from problem
    for name in names:
        if (
            not isinstance(name, str)
            or Path(name).name != name
            or not name.endswith(".safetensors")
        ):
            raise CheckpointError(
                f"{index}: names the part {name!r}, which is no plain safetensors file name"
            )
    return names


def hub_id(name: str) -> tuple[str, str | None] | None:
    """Repository and revision, if this is how a model on the Hub is named: OWNER/MODEL or
    OWNER/MODEL@REVISION.
    """
    match = HUB_ID.fullmatch(name)
    return (match["repo"], match["revision"]) if match and not name.startswith(".") else None


def remote_id(name: str) -> tuple[str, str | None] | None:
    """`hub_id` of a name that nothing here has.

    Raises:
        CheckpointError: It is the id of a model that is known not to load; nothing is fetched.
    """
    named = None if os.path.exists(name) else hub_id(name)
    if named is not None and named[0] == DISTILL:
        raise CheckpointError(f"{name}: {NO_DISTILL}")
    return named


def on_hub(name: str, repo: str, revision: str | None) -> ModelFiles:
    """Download, or find in the local cache, the few files that a model needs.

    Raises:
        CheckpointError: There is no such model, or the download fails.
    """
    with client.errors_of(name):
        return collect(
            name,
            lambda file: client.fetch_file(repo, file, revision),
            f"{name} on the Hub holds none of {', '.join((*WEIGHT_FILES, INDEX_FILE))}",
        )


def find_card(name_or_path: str | Path) -> Path | None:
    """The model card (README.md) beside a model's weights; None where there is none.

    Raises:
        CheckpointError: There is no such model.
    """
    name = os.fsdecode(name_or_path)
    if named := remote_id(name):
        with client.errors_of(name):
            return client.fetch_card(*named)
    with warnings.catch_warnings():  # whoever loads the model warns
        warnings.simplefilter("ignore")
        card = find_model(name_or_path).weights[0].with_name(client.CARD)
    return card if card.is_file() else None


def find_w2v_bert(checkpoint: Path) -> ModelFiles:
    """w2v-BERT 2.0 in a folder of its name beside the checkpoint (or one level up), else from the
    Hub.

    Raises:
        CheckpointError: It is in neither place.
    """
    folder = W2V_BERT.partition("/")[2]
    for parent in list(checkpoint.resolve().parents)[:2]:
        if (parent / folder).is_dir():
            return in_folder(parent / folder)
    try:
        return find_model(W2V_BERT)
    except CheckpointError as problem:
        raise CheckpointError(
            f"{checkpoint.name} holds no semantic encoder, and {W2V_BERT} was not found: "
            f"put it into a folder {folder!r} beside the checkpoint ({problem})"
        ) from problem
