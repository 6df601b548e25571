"""Reading checkpoints: find them, tell their format by content, load them.

Formats read: transformers-native (Xcodec2Model, NeuCodecModel), the original package's names
(safetensors, NeuCodec's pytorch_model.bin, Lightning .ckpt), and our own, which differs from
transformers' in config.json only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.overrides import TorchFunctionMode

from xcodec2.codec.checkpoints import hub, original, transformers
from xcodec2.codec.config import XCodec2Config
from xcodec2.codec.inference import int8, precision
from xcodec2.codec.network import CodecNetwork
from xcodec2.errors import CheckpointError

NetworkT = TypeVar("NetworkT", bound=CodecNetwork)
OWN_MODEL_TYPE = "open-xcodec2"
ORIGINAL_KEY = "generator.quantizer.project_in.weight"
ORIGINAL_CONFIG_FIELD = (
    "open_xcodec2"  # what we add to the original's config.json, which lacks all sizes
)


class NoInitialization(TorchFunctionMode):
    """Modules built under it keep what memory their weights got: random values of tensors that hold
    none would cost the import of PyTorch's compiler, seconds.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


@dataclass(frozen=True)
class Checkpoint:
    """Tensors as they lie in the files (memory-mapped), and what stands beside them."""

    name: str
    format: str  # "transformers", "original" or "open-xcodec2"
    config: XCodec2Config
    tensors: Mapping[str, Tensor]


def load_network(
    cls: type[NetworkT],
    name_or_path: str | Path,
    *,
    device: str | torch.device,
    dtype: torch.dtype,
    decoder_only: bool,
) -> NetworkT:
    """A network with trained weights, in evaluation mode; see `XCodec2Model.from_pretrained`.

    Raises:
        CheckpointError: anything is missing, unexpected or unused.
    """
    check_target(device, dtype)
    checkpoint = read_checkpoint(name_or_path, decoder_only=decoder_only)
    with NoInitialization():  # and no memory, until the file's own pages are assigned
        model = cls(checkpoint.config, decoder_only=decoder_only, device="meta")
    state = pick_state(checkpoint, model)
    check_shapes(state, model.state_dict(), checkpoint.name)
    device = torch.device(device)
    precision.warn_if_slow(dtype, device)
    quantized = int8.quantized_keys(model)
    model.load_state_dict(
        {
            key: tensor.to(device, precision.weight_type(key, dtype, device, quantized))
            for key, tensor in state.items()
        },
        assign=True,
    )
    if dtype == torch.int8:
        int8.quantize(model.acoustic_decoder)
    model.model_id = checkpoint.name
    return model.eval()


def check_target(device: str | torch.device, dtype: torch.dtype) -> None:
    """Raise for a device that is not there or a type that cannot hold weights, before any file is
    read.

    Raises:
        CheckpointError: They cannot be used here.
    """
    if not isinstance(dtype, torch.dtype) or not (dtype.is_floating_point or dtype == torch.int8):
        raise CheckpointError(
            f"dtype must be torch.int8 or a floating-point torch.dtype, not {dtype!r}"
        )
    try:
        torch.empty(0, dtype=torch.float32, device=device)
    except (
        RuntimeError,
        AssertionError,
        TypeError,
    ) as problem:  # torch asserts that it was built with CUDA
        raise CheckpointError(
            f"the device {device!r} cannot be used ({str(problem).splitlines()[0]})"
        ) from problem
    if dtype == torch.int8 and torch.device(device).type != "cpu":
        raise CheckpointError("dtype=torch.int8 is for CPUs; use torch.bfloat16 on other devices")


def read_checkpoint(name_or_path: str | Path, *, decoder_only: bool = False) -> Checkpoint:
    """Find the files, read their tensors lazily, and work out the configuration.

    Raises:
        CheckpointError: The files are no checkpoint of a codec that this package knows.
    """
    files = hub.find_model(name_or_path)
    tensors = read_tensors(files.weights)
    settings = read_json_object(files.config) if files.config else {}
    check_architecture(files.name, tensors)
    lacking = "semantic_model.feature_projection.projection.weight" not in tensors
    if ORIGINAL_KEY in tensors and lacking and not decoder_only:
        tensors = tensors | semantic_tensors(files.weights[0])
    return interpret(files.name, tensors, settings)


def check_architecture(name: str, tensors: Mapping[str, Tensor]) -> None:
    """Refuse Distill-NeuCodec, which has keys of NeuCodec's, too.

    Raises:
        CheckpointError: It is that.
    """
    if any(key.startswith("fc_sq_prior.") for key in tensors):
        raise CheckpointError(f"{name}: {hub.NO_DISTILL}")


def interpret(name: str, tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Checkpoint:
    """Tell the format and the configuration by names and shapes alone.

    Args:
        name: Of the checkpoint.
        tensors: By name; they may be without data (`meta`).
        settings: What config.json says.

    Raises:
        CheckpointError: It is no checkpoint of a codec that this package knows.
    """
    if settings.get("model_type") == OWN_MODEL_TYPE:
        values = {key: value for key, value in settings.items() if key != "model_type"}
        return Checkpoint(name, OWN_MODEL_TYPE, XCodec2Config.from_dict(values), tensors)
    if "quantizer.project_in.weight" in tensors:
        if not settings:
            raise CheckpointError(
                f"{name}: config.json is missing beside the weights; its sizes are needed"
            )
        return Checkpoint(name, "transformers", transformers.read_config(settings), tensors)
    check_architecture(name, tensors)
    if ORIGINAL_KEY in tensors:
        return Checkpoint(name, "original", original_config(name, tensors, settings), tensors)
    raise CheckpointError(
        f"{name}: not a checkpoint of XCodec2 or NeuCodec; "
        f"its first tensor is {min(tensors, default='none')!r}"
    )


def original_config(
    name: str, tensors: Mapping[str, Tensor], settings: Mapping[str, Any]
) -> XCodec2Config:
    """What config.json says, where we wrote it; else what the shapes imply."""
    if ORIGINAL_CONFIG_FIELD in settings:
        return XCodec2Config.from_dict(settings[ORIGINAL_CONFIG_FIELD])
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    return original.infer_config(shapes, settings, name)


def semantic_tensors(checkpoint: Path) -> dict[str, Tensor]:
    """w2v-BERT 2.0 from beside a Lightning checkpoint, which does not hold it, under the original's
    names.
    """
    tensors = read_tensors(hub.find_w2v_bert(checkpoint).weights)
    return {
        f"semantic_model.{key.removeprefix('wav2vec2_bert.')}": tensor
        for key, tensor in tensors.items()
    }


def pick_state(checkpoint: Checkpoint, model: CodecNetwork) -> dict[str, Tensor]:
    """The model's tensors; raises for any that are missing and for leftovers that are not on the
    list.

    Raises:
        CheckpointError: The tensors do not fit the configuration.
    """
    wanted = known = model.state_dict()
    if checkpoint.format == "original":
        return original.read_state(checkpoint.tensors, checkpoint.config, wanted)
    missing = [key for key in wanted if key not in checkpoint.tensors]
    if missing:
        raise CheckpointError(
            f"{checkpoint.name}: lacks {len(missing)} tensors, the first is {missing[0]!r}"
        )
    if model.decoder_only:  # the encoder's tensors are left aside, but they must be the encoder's
        with NoInitialization():
            known = CodecNetwork(checkpoint.config, device="meta").state_dict()
    for key in checkpoint.tensors:
        if key not in known and not transformers.is_unused(key, checkpoint.config):
            raise CheckpointError(
                f"{checkpoint.name}: holds {key!r}, which this model has no use for"
            )
    return {key: checkpoint.tensors[key] for key in wanted}


def check_shapes(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], name: str) -> None:
    """Raise CheckpointError for a tensor of another shape than `wanted`, or of integers."""
    for key, tensor in state.items():
        if tensor.shape != wanted[key].shape:
            raise CheckpointError(
                f"{name}: {key!r} is {tuple(tensor.shape)}, not {tuple(wanted[key].shape)}"
            )
        if not tensor.is_floating_point():
            raise CheckpointError(
                f"{name}: {key!r} holds {tensor.dtype}, not floating-point numbers"
            )


# ---- files ---------------------------------------------------------------------------------------


def read_tensors(paths: list[Path]) -> dict[str, Tensor]:
    """All tensors of safetensors or pickled files, memory-mapped where the format allows it.

    Raises:
        CheckpointError: A file is damaged or of another kind.
    """
    tensors: dict[str, Tensor] = {}
    for path in paths:
        try:
            check_finished(path)
            tensors |= read_pickle(path) if is_pickle(path) else safetensors.torch.load_file(path)
        except (SafetensorError, OSError, RuntimeError, ValueError, EOFError, KeyError) as problem:
            if isinstance(problem, CheckpointError):
                raise
            reason = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
            raise CheckpointError(
                f"{path}: not a readable checkpoint ({reason}); "
                "if it should be one, it is damaged or cut short: fetch it again"
            ) from problem
    return tensors


def check_finished(path: Path) -> None:
    """Refuse what stands for the weights while `save.write_folder` changes a folder.

    Raises:
        CheckpointError: It was interrupted there, or goes on.
    """
    with path.open("rb") as file:
        if file.read(len(hub.UNFINISHED)) == hub.UNFINISHED:
            raise CheckpointError(
                f"{path.parent}: saving a model here was interrupted; save it again"
            )


def read_pickle(path: Path) -> dict[str, Tensor]:
    """A torch.save file, restricted to tensors: nothing in it is executed.

    Raises:
        CheckpointError: It holds something else than tensors by name.
    """
    try:
        if (
            is_zip(path) and path.suffix != ".safetensors"
        ):  # by that suffix torch.load goes before it looks
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        else:
            with path.open("rb") as file:
                content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as problem:  # a damaged pickle raises whatever its bytes happen to say
        raise CheckpointError(
            f"{path}: holds more than tensors, or is damaged; "
            "only files that load with weights_only are read"
        ) from problem
    content = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds no dictionary of tensors")
    return {
        key: tensor
        for key, tensor in content.items()
        if isinstance(tensor, Tensor) and isinstance(key, str)
    }


def is_zip(path: Path) -> bool:
    """Whether the file begins as torch.save's do."""
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def is_pickle(path: Path) -> bool:
    """By content: a safetensors file has its JSON header behind eight bytes, torch.save a zip or a
    bare pickle.
    """
    with path.open("rb") as file:
        start = file.read(9)
    return start[8:] != b"{" and start.startswith((b"PK", b"\x80"))


def read_json_object(path: Path) -> dict[str, Any]:
    """A JSON object; raises CheckpointError for anything else."""
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as problem:
        raise CheckpointError(f"{path}: not a readable JSON file ({problem})") from problem
    if not isinstance(settings, dict):
        raise CheckpointError(f"{path}: holds no JSON object")
    return settings
