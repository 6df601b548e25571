"""What a model on the Hugging Face Hub is, before its weights are fetched."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from xcodec2.codec.checkpoints import hub, load
from xcodec2.codec.checkpoints.client import CARD, cached_file, errors_of, fetch_file, license_in
from xcodec2.codec.config import XCodec2Config
from xcodec2.errors import CheckpointError

SAFETENSORS_TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16}


@dataclass(frozen=True)
class RemoteModel:
    """A model on the Hub whose weights are not here.

    Attributes:
        name: The repository, with the revision where one was asked for.
        format: As `load.Checkpoint` has it; None where only the whole file tells.
        config: Likewise.
        license: What the model card's header says.
        download_bytes: Size of the weights.
    """

    name: str
    format: str | None
    config: XCodec2Config | None
    license: str | None
    download_bytes: int


def look_at(name: str) -> RemoteModel | None:
    """What a model on the Hub is, from the headers of its files; None where it is here already, or
    on no Hub.

    Raises:
        CheckpointError: There is no such model, or the Hub cannot be reached.
    """
    named = hub.hub_id(name)
    if named is None or Path(name).exists():
        return None
    repo, revision = named
    files = (*hub.WEIGHT_FILES, hub.INDEX_FILE)
    if any(cached_file(repo, file, revision) for file in files):
        return None
    with errors_of(name):
        settings_file = fetch_file(repo, hub.CONFIG_FILE, revision)
        card = fetch_file(repo, CARD, revision)
        settings = load.read_json_object(settings_file) if settings_file else {}
        tensors, size = weights_on_hub(repo, revision)
    if tensors or settings.get("model_type") in (
        load.OWN_MODEL_TYPE,
        *load.transformers.MODEL_TYPES,
    ):
        known = load.interpret(name, tensors, settings)
    else:
        known = None
    return RemoteModel(
        name=name,
        format=known.format if known else None,
        config=known.config if known else None,
        license=license_in(card),
        download_bytes=size,
    )


def weights_on_hub(repo: str, revision: str | None) -> tuple[dict[str, torch.Tensor], int]:
    """The tensors of a repository without their data, none where it has no safetensors; and how
    many bytes its weights have.

    Raises:
        CheckpointError: It has no weights.
    """
    from huggingface_hub import get_hf_file_metadata, get_safetensors_metadata, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError, NotASafetensorsRepoError

    def size_of(file: str) -> int:
        return get_hf_file_metadata(hf_hub_url(repo, file, revision=revision)).size or 0

    try:
        metadata = get_safetensors_metadata(repo, revision=revision)
    except NotASafetensorsRepoError:
        pickled = hub.WEIGHT_FILES[1]
        try:
            return {}, size_of(pickled)
        except EntryNotFoundError as problem:
            raise CheckpointError(
                f"{repo} on the Hub holds none of {', '.join((*hub.WEIGHT_FILES, hub.INDEX_FILE))}"
            ) from problem
    tensors = {
        key: torch.empty(
            info.shape, dtype=SAFETENSORS_TYPES.get(info.dtype, torch.bfloat16), device="meta"
        )
        for file in metadata.files_metadata.values()
        for key, info in file.tensors.items()
    }
    return tensors, sum(size_of(file) for file in metadata.files_metadata)
