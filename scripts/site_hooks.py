"""What the site needs beyond docs/: pages for files that live elsewhere, and links to them.

In the repository every link is a path to a file, so that it works where the file is read. On the
site a link to a file outside docs/ leads to the page that shows it, or becomes plain text.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
#: A file of the repository → the page that it becomes.
PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "src/xcodec2/models/nano/README.md": "reference/models/nano.md",
    "src/xcodec2/models/nano/ATTRIBUTION.md": "reference/models/nano-attribution.md",
    "src/xcodec2/models/nano-24k/README.md": "reference/models/nano-24k.md",
    "src/xcodec2/models/llasa/README.md": "reference/models/llasa.md",
    "src/xcodec2/models/ctc/README.md": "reference/models/ctc.md",
}
#: A file or folder of the repository → the page in docs/ that shows what is in it.
SHOWN = {"README.md": "index.md", "src/xcodec2/recipes": "reference/recipes.md"}
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?![a-z]+:|#)([^)\s#]+)(#[^)\s]*)?\)")

MODULE = re.compile(r"<script type=\"module\">.*?</script>", re.DOTALL)


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages of files outside docs/."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the repository into links between pages."""
    if page.file.src_uri.endswith(".ipynb"):
        return markdown
    folder = Path(str(page.file.abs_src_path)).parent

    def link(match: re.Match[str]) -> str:
        image, text, target, anchor = match.groups()
        path = (folder / target).resolve()
        if not path.is_relative_to(ROOT):
            return match[0]
        place = page_of(path.relative_to(ROOT).as_posix())
        if place is None or place == page.file.src_uri:
            return text
        relative = posixpath.relpath(place, posixpath.dirname(page.file.src_uri) or ".")
        return f"{image}[{text}]({relative}{anchor or ''})"

    return LINK.sub(link, markdown)


def on_post_page(output: str, *, page: Page, config: MkDocsConfig) -> str:
    """Leave out nbconvert's script that would fetch Mermaid from a server; no notebook has any."""
    if not page.file.src_uri.endswith(".ipynb"):
        return output
    return MODULE.sub(lambda match: "" if "mermaid" in match[0] else match[0], output)


def page_of(path: str) -> str | None:
    """Where the site has what the repository has at a path; None if nowhere.

    Args:
        path: Relative to the root of the repository.
    """
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path in PAGES:
        return PAGES[path]
    return next((page for start, page in SHOWN.items() if path.startswith(start)), None)
