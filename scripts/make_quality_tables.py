"""Write the quality tables of README.md and of nano's card from the evaluation in
docs/evaluation/summary.json.

    python scripts/make_quality_tables.py

docs/guides/evaluation.md has the command that makes that file. A test fails when a page is stale.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xcodec2.evaluate.metrics import COLUMNS
from xcodec2.evaluate.report.text import markdown, summary_table

ROOT = Path(__file__).parent.parent
SUMMARY = ROOT / "docs" / "evaluation" / "summary.json"
PAGES = (ROOT / "README.md", ROOT / "src" / "xcodec2" / "models" / "nano" / "README.md")
NAMES = ("stoi", "estoi", "pesq_wb", "pesq_nb", "f0_cents", "speaker", "dnsmos", "distillmos")
SHOWN = {name: COLUMNS[name] for name in NAMES}
SHORT = ("original", "opus@6k", "codec2@700C")  # beside the model, in README.md
BY_LANGUAGE = {name: COLUMNS[name] for name in ("stoi", "estoi", "pesq_wb", "pesq_nb", "speaker")}
LANGUAGES = {
    "el": "Greek, noisy",
    "fr": "French, noisy",
    "it": "Italian, studio",
    "ru": "Russian, studio",
}


def tables(summary: Mapping[str, Any]) -> dict[str, str]:
    """Marker → Markdown."""
    model = next(iter(summary["systems"]))
    groups = {
        LANGUAGES[name]: found[model] for name, found in summary["groups"]["language"].items()
    }
    use = summary["codes"][model]["use"]
    codes = (
        f"{use['total']:,} codes, {use['distinct']:,} of them different; entropy "
        f"{use['entropy_bits']:.2f} of {use['bits_a_code']:.0f} bits a code, "
        f"{use['entropy_bit_rate']:.0f} bit/s."
    )
    of_groups = summary_table(groups, BY_LANGUAGE)
    of_groups[0][0] = f"{model} on"
    short = {name: summary["systems"][name] for name in (model, *SHORT)}
    return {
        "short": markdown(summary_table(short, SHOWN)),
        "systems": markdown(summary_table(summary["systems"], SHOWN)),
        "languages": markdown(of_groups),
        "codes": codes,
        "clips": clips(summary),
    }


def clips(summary: Mapping[str, Any]) -> str:
    """How much was measured, in words."""
    model = next(iter(summary["systems"].values()))
    words = f"{model['recordings']} clips, {model['seconds'] / 60:.0f} minutes"
    judged = {c: m["n"] for c, m in model["metrics"].items() if m["n"] < 0.9 * model["recordings"]}
    if judged:
        titles = " and ".join(COLUMNS[column].title for column in judged)
        words += f"; {titles} on {min(judged.values())} of them"
    return words + "."


def filled(page: str, made: Mapping[str, str]) -> str:
    """The page with what stands between each pair of markers, <!-- quality: name --> and <!-- end
    -->, made anew.
    """

    def fresh(match: re.Match[str]) -> str:
        return f"{match[1]}\n{made[match[2]]}\n{match[3]}"

    return re.sub(r"(<!-- quality: (\w+) -->)\n.*?(<!-- end -->)", fresh, page, flags=re.DOTALL)


def main() -> None:
    made = tables(json.loads(SUMMARY.read_text(encoding="utf-8")))
    for path in PAGES:
        path.write_text(filled(path.read_text(encoding="utf-8"), made), encoding="utf-8")


if __name__ == "__main__":
    main()
