"""What docs/reference/compatibility.md calls public can be imported, and `dir` shows it."""

from __future__ import annotations

import importlib
import re

import pytest
from paths import ROOT

PAGE = ROOT / "docs" / "reference" / "compatibility.md"
FIRST = PAGE.read_text(encoding="utf-8").split("\n- ")[1]
PACKAGES = re.findall(r"`(xcodec2[.\w]*)`", FIRST)


def test_the_packages_are_found():
    assert len(PACKAGES) == 15


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_shows_and_has_what_it_exports(name):
    package = importlib.import_module(name)
    assert dir(package) == sorted(package.__all__)
    for export in package.__all__:
        assert getattr(package, export) is not None
