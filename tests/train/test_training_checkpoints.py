"""Checkpoints: whole or not at all, the last ones kept, a damaged one named."""

from __future__ import annotations

import errno

import pytest
import torch

from xcodec2.errors import TrainingError
from xcodec2.train import checkpoints


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    save = torch.save
    checkpoints.save(tmp_path, 1, {"state": torch.arange(3)}, keep=1)

    def full(state, file) -> None:
        file.write(b"some of it")
        raise RuntimeError("unexpected pos") from OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(TrainingError, match=r"cannot be written.*earlier checkpoints are kept"):
        checkpoints.save(tmp_path, 2, {"state": torch.arange(4)}, keep=1)
    monkeypatch.setattr(torch, "save", save)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001.pt"]
    assert checkpoints.load_newest(tmp_path)["state"].tolist() == [0, 1, 2]


def test_the_last_checkpoints_are_kept_and_a_damaged_one_is_named(tmp_path):
    for step in (1, 2, 3):
        checkpoints.save(tmp_path, step, {"state": step}, keep=2)
    assert [path.name for path in checkpoints.checkpoints(tmp_path)] == [
        "step-00000002.pt",
        "step-00000003.pt",
    ]
    (tmp_path / "step-00000003.pt").write_bytes(b"damaged")
    with pytest.raises(TrainingError, match=r"step-00000003\.pt: is damaged; delete it"):
        checkpoints.load_newest(tmp_path)
