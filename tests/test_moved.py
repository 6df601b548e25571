"""Names of before: old imports work for one more release, and say what to write instead."""

from __future__ import annotations

import importlib
import importlib.util
import pickle
import subprocess
import sys
import warnings

import pytest

from xcodec2 import XCodec2Model
from xcodec2.moved import MOVED

CLASSES = [
    ("xcodec2.codec.model", "XCodec2Model"),
    ("xcodec2.codec.fsq", "Quantizer"),
    ("xcodec2.codec.checkpoint", "read_checkpoint"),
    ("xcodec2.codec.int8", "Int8Linear"),
    ("xcodec2.codec.linear", "linear"),
    ("xcodec2.llasa.packing", "Pack"),
    ("xcodec2.media", "ffmpeg_blocks"),
    ("xcodec2.picture", "spectrogram_picture"),
    ("xcodec2.llasa.speak", "Speaker"),
]


@pytest.fixture(autouse=True)
def forgotten():
    """Each old name is imported as if for the first time (but llasa.train: transformers is
    slow).
    """
    for name in MOVED:
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("old", "new"), [pair for pair in MOVED.items() if pair[0] != "xcodec2.llasa.train"]
)
def test_every_old_name_is_the_new_module_with_one_warning(old, new):
    with pytest.warns(DeprecationWarning, match=f"{old} is now {new}") as told:
        module = importlib.import_module(old)
    assert module is importlib.import_module(new)
    assert module.__spec__.name == module.__name__ == new
    assert len([one for one in told if old in str(one.message)]) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert importlib.import_module(old) is module  # told once


@pytest.mark.parametrize(("old", "name"), CLASSES)
def test_what_was_in_them_is_what_is_there_now(old, name):
    with pytest.warns(DeprecationWarning, match="is now"):
        assert hasattr(importlib.import_module(old), name)


def test_the_warning_names_the_line_that_imports():
    with pytest.warns(DeprecationWarning, match="is now") as told:
        from xcodec2.codec.model import XCodec2Model as Old
    assert told[0].filename == __file__
    assert Old is XCodec2Model


def test_pickles_of_before_are_read():
    of_before = pickle.PROTO + b"\x00" + b"cxcodec2.codec.model\nXCodec2Model\n."
    with pytest.warns(DeprecationWarning, match="is now"):
        assert pickle.loads(of_before) is XCodec2Model


def test_no_old_name_is_a_module_again_and_nothing_of_ours_uses_one():
    code = "import warnings; warnings.simplefilter('error'); import xcodec2.cli, xcodec2.model"
    subprocess.run([sys.executable, "-c", code], check=True)
    for old in MOVED:
        assert type(importlib.util.find_spec(old).loader).__module__ == "xcodec2.moved", old
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("xcodec2.codec.nothing")
