"""Trained weights: whose they are, where they come from and where they go."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from xcodec2.codec.network import CodecNetwork
from xcodec2.codec.rates import Rates
from xcodec2.identity import CodecIdentity

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing since Python 3.11


class Pretrained(Rates, CodecNetwork):
    """A network that is loaded, identified and saved."""

    @property
    def weights_hash(self) -> str | None:
        """16 hex digits over all weights that make codes; None without an encoder.

        A fine-tuned decoder keeps the hash: its codes are the same.
        """
        if self.decoder_only:
            return None
        tensors = {
            k: t.detach()
            for k, t in self.named_parameters()
            if not k.startswith("acoustic_decoder.")
        }
        # changes whenever a weight does, but for writes through `.data`, which torch does not count
        state = [(t.data_ptr(), 0 if t.is_inference() else t._version) for t in tensors.values()]
        if getattr(self, "_hashed", ([], ""))[0] != state:
            digest = hashlib.sha256()
            for key, tensor in sorted(tensors.items()):
                digest.update(f"{key}{tuple(tensor.shape)}".encode())
                digest.update(tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
            self._hashed = (state, digest.hexdigest()[:16])
        return self._hashed[1]

    @property
    def identity(self) -> CodecIdentity:
        """Whose codes it makes and takes."""
        return CodecIdentity(self.model_id, self.weights_hash, self.codebook_size, self.frame_rate)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path = "nano",
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        decoder_only: bool = False,
        revision: str | None = None,
    ) -> Self:
        """Load trained weights, ready for inference.

        Args:
            name_or_path: "nano" or "nano-24k" (bundled), a folder, a checkpoint file, or a Hub id.
                The format is found by content; see `xcodec2.codec.checkpoints.load`.
            device: where the weights go.
            dtype: bfloat16 is faster, and codes differ; int8 (CPUs, no training) decodes faster
                still; `xcodec2.codec.inference.precision` says where each is used.
            decoder_only: load what decoding needs alone.
            revision: of a Hub id, a branch, a tag or a commit; `"ID@REVISION"` says the same.

        Raises:
            CheckpointError: anything is missing, unexpected or unused.
        """
        from xcodec2.codec.checkpoints.load import load_network

        name_or_path = name_or_path if revision is None else f"{name_or_path}@{revision}"
        return load_network(
            cls, name_or_path, device=device, dtype=dtype, decoder_only=decoder_only
        )

    def save_pretrained(
        self, folder: str | Path, *, max_shard_size: int | str | None = None
    ) -> None:
        """Write config.json and model.safetensors, in transformers' form where it has one, else,
        with a warning, in our own.

        Args:
            folder: Made when it is missing.
            max_shard_size: Of one file, in bytes or as "1GB"; larger models are written as several
                files and an index. None writes one file.

        Raises:
            CheckpointError: The model is not whole (`decoder_only`, int8), or the folder cannot be
                written.
        """
        from xcodec2.codec.checkpoints.save import save_network

        save_network(self, folder, max_shard_size=max_shard_size)

    def push_to_hub(
        self,
        repo: str,
        *,
        license: str,
        evaluation: str | Path | None = None,
        private: bool = False,
        revision: str | None = None,
    ) -> str:
        """Upload what `save_pretrained` writes, and a model card, to the Hugging Face Hub.

        Args:
            repo: OWNER/MODEL, made when it is missing. You have to be logged in.
            license: Of the weights, by its identifier on the Hub; a fine-tuned model has that of
                what it was made from.
            evaluation: A report of `xcodec2 evaluate`, whose table goes into the card.
            private: Whether a repository that is made is.
            revision: The branch; the main one by default.

        Returns:
            The commit's address.

        Raises:
            CheckpointError: The model is not whole, the report is none, or the Hub refuses.
        """
        from xcodec2.codec.checkpoints.push import push

        return push(
            self,
            repo,
            license=license,
            weights_hash=self.weights_hash,
            evaluation=evaluation,
            private=private,
            revision=revision,
        )
