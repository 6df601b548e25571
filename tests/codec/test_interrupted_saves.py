"""Saving over a model, interrupted at each change of the folder: never a mixture of two."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny import XCODEC2, random_model

from xcodec2 import XCodec2Model
from xcodec2.errors import CheckpointError

SHARDED = {"max_shard_size": 1_000_000}
CHANGES = ("replace", "unlink", "remove", "rename")
OTHER = replace(XCODEC2, heads=8, head_width=8)  # of the same shapes


def content(folder: Path) -> str:
    """A digest of the model in a folder: of every weight, and of what config.json says."""
    model = XCodec2Model.from_pretrained(folder)
    digest = hashlib.sha256(repr(model.config).encode())
    for key, tensor in sorted(model.state_dict().items()):
        digest.update(key.encode() + tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def interrupt_at(change: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the program, for good, before that change of the folder."""
    done = 0

    def stopping(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **settings: Any) -> Any:
            nonlocal done
            done += 1
            if done > change:
                raise KeyboardInterrupt
            return original(*args, **settings)

        return call

    for name in CHANGES:
        monkeypatch.setattr(os, name, stopping(getattr(os, name)))


@pytest.mark.parametrize("pickled", [False, True], ids=["", "beside a pickle"])
@pytest.mark.parametrize(
    ("before", "after", "config"),
    [
        (SHARDED, SHARDED, XCODEC2),
        (SHARDED, SHARDED, OTHER),
        (SHARDED, {}, OTHER),
        ({}, SHARDED, XCODEC2),
        ({}, {}, OTHER),
        ({}, {}, XCODEC2),
        (None, SHARDED, XCODEC2),
    ],
)
def test_an_interrupted_save_leaves_one_model_or_none(
    tmp_path, monkeypatch, before, after, config, pickled
):
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    if before is not None:
        random_model(seed=0).save_pretrained(old, **before)
    if pickled:  # read where a folder has no safetensors
        random_model(seed=2).save_pretrained(tmp_path / "third")
        torch.save(load_file(tmp_path / "third" / "model.safetensors"), old / "pytorch_model.bin")
        if before is None:
            shutil.copy(tmp_path / "third" / "config.json", old)
    model = random_model(config, seed=1)
    model.save_pretrained(new, **after)
    allowed = {content(new)} | ({content(old)} if before is not None or pickled else set())
    folder, change, refused = tmp_path / "folder", 0, set()
    while True:
        shutil.copytree(old, folder)
        with monkeypatch.context() as stopped:
            interrupt_at(change, stopped)
            try:
                model.save_pretrained(folder, **after)
                break
            except KeyboardInterrupt:
                pass
        try:
            assert content(folder) in allowed, f"a mixture, interrupted at change {change}"
        except CheckpointError as error:
            refused.add(str(error))
        shutil.rmtree(folder)
        change += 1
    assert change > 1
    assert content(folder) == content(new)
    if before == after == {} and config == XCODEC2:
        assert not refused  # one file is replaced at once
    nothing = "" if before is not None or pickled else "|holds no model"
    for error in refused:
        assert re.search(f"saving a model here was interrupted; save it again{nothing}", error)


def test_parts_without_their_index_are_no_model(tmp_path):
    random_model().save_pretrained(tmp_path, **SHARDED)
    (tmp_path / "model.safetensors.index.json").unlink()
    with pytest.raises(CheckpointError, match=r"index\.json is missing beside the parts"):
        XCodec2Model.from_pretrained(tmp_path)


def test_a_full_disk_leaves_the_old_model(tmp_path, monkeypatch):
    random_model(seed=0).save_pretrained(tmp_path, **SHARDED)
    expected, names = content(tmp_path), sorted(tmp_path.iterdir())

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("xcodec2.codec.checkpoints.save.mark_unfinished", full)
    with pytest.raises(CheckpointError, match="No space left"):
        random_model(seed=1).save_pretrained(tmp_path, **SHARDED)
    assert content(tmp_path) == expected
    assert sorted(tmp_path.iterdir()) == names
