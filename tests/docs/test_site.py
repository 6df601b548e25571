"""The documentation's site: it builds strictly, shows what is public, and fetches nothing."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from paths import ROOT

PUBLIC = ("", ".audio", ".corpus", ".evaluate", ".extract", ".llasa", ".onnx", ".train")
#: What makes a browser load an address at once; a link is followed by people.
LOADED = {
    "audio": "src",
    "iframe": "src",
    "img": "src",
    "link": "href",
    "object": "data",
    "script": "src",
    "source": "src",
}


class Loads(HTMLParser):
    """Collects the ids of a page, and the addresses that it loads from other servers."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.elsewhere: list[str] = []
        self.code = ""
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if name := values.get("id"):
            self.ids.add(name)
        address = values.get(LOADED.get(tag, "")) or ""
        if re.match(r"(https?:)?//", address) and values.get("rel") != "canonical":
            self.elsewhere.append(address)

    def handle_data(self, data: str) -> None:
        if self.lasttag in ("script", "style"):
            self.code += data


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    mkdocs = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(
        mkdocs,
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_every_recipe_is_on_its_page():
    page = (ROOT / "docs" / "reference" / "recipes.md").read_text(encoding="utf-8")
    shown = re.findall(r'^--8<-- "(.+)"$', page, re.MULTILINE)
    recipes = sorted((ROOT / "src" / "xcodec2" / "recipes").rglob("*.toml"))
    assert sorted(shown) == [path.relative_to(ROOT).as_posix() for path in recipes]


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLIC)
def test_what_a_package_exports_is_in_the_reference(site, name):
    package = importlib.import_module(f"xcodec2{name}")
    page = Loads(site / "reference" / "api" / f"{name[1:] or 'model'}.html")
    exported = {f"xcodec2{name}.{export}" for export in package.__all__ if export[0] != "_"}
    assert exported
    assert exported <= page.ids


@pytest.mark.slow
def test_pages_load_nothing_from_other_servers(site):
    pages = {path: Loads(path) for path in site.rglob("*.html")}
    assert len(pages) > 30
    assert {path.name: page.elsewhere for path, page in pages.items() if page.elsewhere} == {}
    loading = re.compile(r"""import\(\s*["']https?:|url\(\s*["']?https?:|@import""")
    assert [path.name for path, page in pages.items() if loading.search(page.code)] == []


@pytest.mark.slow
def test_model_cards_are_pages_whose_links_lead_to_pages(site):
    card = (site / "reference" / "models" / "nano.html").read_text(encoding="utf-8")
    assert 'href="../../guides/evaluation.html"' in card
    assert 'href="nano-attribution.html"' in card
