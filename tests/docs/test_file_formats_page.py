"""docs/reference/file-formats.md names every field of the files that are written."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from paths import ROOT

from xcodec2 import Codes
from xcodec2.extract.plan import OWN_COLUMNS
from xcodec2.llasa.lm import LlasaMetadata
from xcodec2.onnx.runtime import CodecFacts

TEXT = (ROOT / "docs" / "reference" / "file-formats.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """The text under one heading."""
    return re.split(r"^## ", TEXT.split(f"## {title}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]


def fields(kind: type) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def test_arrays_of_a_codes_file(tmp_path):
    Codes([1, 2], 320, 16_000, model="nano", weights_hash="a" * 16).save(tmp_path / "a.npz")
    arrays = np.load(tmp_path / "a.npz").files
    shown = re.findall(r"^\| `(\w+)` \|", section("Codes, `.npz`"), re.MULTILINE)
    assert shown == arrays


@pytest.mark.parametrize(
    ("title", "names"),
    [
        ("Extraction", OWN_COLUMNS),
        ("LLaSA model", fields(LlasaMetadata)),
        ("ONNX model", fields(CodecFacts)),
    ],
)
def test_fields_are_named(title, names):
    assert [name for name in names if f"`{name}`" not in section(title)] == []
