"""What a model on the Hugging Face Hub is, before its weights are fetched."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from xcodec2.codec.checkpoints import hub, load
from xcodec2.codec.checkpoints.client import (
    cached_file,
    errors_of,
    fetch_card,
    fetch_file,
    license_in,
)
from xcodec2.codec.config import XCodec2Config
from xcodec2.errors import CheckpointError

SAFETENSORS_TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16}
SMALLEST_FILE = 10  # bytes: the header's size, {}


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
    named = hub.remote_id(name)
    if named is None or is_cached(*named):
        return None
    repo, revision = named
    with errors_of(name):
        settings_file = fetch_file(repo, hub.CONFIG_FILE, revision)
        card = fetch_card(repo, revision)
        settings = load.read_json_object(settings_file) if settings_file else {}
        tensors, size = weights_on_hub(repo, revision)
    known = None
    if tensors or settings.get("model_type") == load.OWN_MODEL_TYPE:
        known = load.interpret(name, tensors, settings)
    return RemoteModel(
        name=name,
        format=known.format if known else None,
        config=known.config if known else None,
        license=license_in(card),
        download_bytes=size,
    )


def is_cached(repo: str, revision: str | None) -> bool:
    """Whether all weights of a model are in the local cache, current or not."""
    try:
        hub.collect(repo, lambda file: cached_file(repo, file, revision), "")
    except CheckpointError:
        return False
    return True


def weights_on_hub(repo: str, revision: str | None) -> tuple[dict[str, torch.Tensor], int]:
    """The tensors of a repository without their data, none where it has no safetensors; and how
    many bytes its weights have.

    Raises:
        CheckpointError: It has no weights, or they are damaged.
    """
    single, pickled = hub.WEIGHT_FILES
    if (size := size_on_hub(repo, single, revision)) is not None:
        return tensors_on_hub(repo, single, revision, size), size
    if index := fetch_file(repo, hub.INDEX_FILE, revision):
        tensors: dict[str, torch.Tensor] = {}
        total = 0
        for file in hub.shard_names(index):
            if (size := size_on_hub(repo, file, revision)) is None:
                raise CheckpointError(f"{repo}: a part named in {hub.INDEX_FILE} is missing")
            tensors |= tensors_on_hub(repo, file, revision, size)
            total += size
        return tensors, total
    if (size := size_on_hub(repo, pickled, revision)) is not None:
        return {}, size
    raise CheckpointError(
        f"{repo} on the Hub holds none of {', '.join((*hub.WEIGHT_FILES, hub.INDEX_FILE))}"
    )


def size_on_hub(repo: str, file: str, revision: str | None) -> int | None:
    """Bytes of a file, 0 where the server does not say; None where the repository has no such."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError

    try:
        return get_hf_file_metadata(hf_hub_url(repo, file, revision=revision)).size or 0
    except EntryNotFoundError:
        return None


def tensors_on_hub(
    repo: str, file: str, revision: str | None, size: int
) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file of `size` bytes (0: unknown), without their data.

    Raises:
        CheckpointError: Its header is damaged, or the file ends before its tensors do.
    """
    from huggingface_hub import parse_safetensors_file_metadata
    from huggingface_hub.errors import SafetensorsParsingError

    damaged = f"{repo}: {file} on the Hub is not a readable checkpoint"
    if 0 < size < SMALLEST_FILE:  # of which the client would ask for a range that is not there
        raise CheckpointError(f"{damaged} ({size} bytes)")
    try:
        header = parse_safetensors_file_metadata(repo, file, revision=revision).tensors
    except (SafetensorsParsingError, AttributeError, TypeError) as problem:  # JSON of another shape
        raise CheckpointError(f"{damaged} ({problem})") from problem
    try:
        end = max((tensor.data_offsets[1] for tensor in header.values()), default=0)
        if 0 < size < end:
            raise CheckpointError(f"{damaged}: it is cut short")
        return {
            key: torch.empty(
                tensor.shape,
                dtype=SAFETENSORS_TYPES.get(tensor.dtype, torch.bfloat16),
                device="meta",
            )
            for key, tensor in header.items()
        }
    except (IndexError, TypeError, RuntimeError) as problem:
        raise CheckpointError(f"{damaged} ({problem})") from problem
