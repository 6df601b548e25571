"""Clean English of voices that nano has not heard: texts of the package, or what two hear alike."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import prepare_english_set
import pytest
import soundfile
from nano_data.build import MANIFEST_COLUMNS, write_table


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """What prepare_nano_data.py leaves, with clips whose length in tenths is what is heard."""
    package = tmp_path / "debian/pocketsphinx-testdata/usr/share/pocketsphinx/test/data"
    for folder, line in {
        "librivox": "<s> he was not ill </s> (austen-1)\n",
        "cards": "<s> ten of clubs  </s> (001)\n\n",
    }.items():
        (package / folder).mkdir(parents=True)
        (package / prepare_english_set.LISTS[folder]).write_text(line)
        name = line[line.index("(") + 1 : line.index(")")]
        soundfile.write(package / folder / f"{name}.wav", np.full(8_000, 0.1), 16_000)
    rows = [MANIFEST_COLUMNS]
    for tenths in (20, 30, 31, 32, 33, 34, 95):
        path = tmp_path / "unheard/steel-sky" / f"{tenths}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.full(1600 * tenths, 0.1), 16_000)
        name = f"steel-sky/{tenths}"
        known = (name, f"{name}.flac", "steel-sky", "en", "steel-sky", "-", f"{tenths / 10}", "")
        rows.append(known)
    rows.append(("kokoro/a", "a.flac", "kokoro", "en", "a", "-", "4.0", "no actor"))
    write_table(tmp_path / "unheard/manifest.tsv", rows)
    return tmp_path


HEARD = {
    30: ("Robot, this is it.", "robot this is it"),
    31: ("Only three words", "only three words"),
    32: ("They hear another thing", "they hear other things"),
    33: ("What's the matter, Joey?", "What’s the matter Joey"),
    34: ("One more line here", "one more line here!"),
}


def listener(which: int):
    return lambda waveform: HEARD[len(waveform) // 1600][which]


@pytest.mark.parametrize("count", [1, 9])
def test_texts_are_the_packages_or_what_two_recognizers_agree_on(data, count):
    both = (listener(0), listener(1))
    made = prepare_english_set.prepare_english_set(data, data / "english", count, 0, both)
    with (data / "english/manifest.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert made == len(rows) == 2 + min(count, 3)
    texts = {row["id"]: row["text"] for row in rows}
    wanted = {
        "pocketsphinx/austen-1": "he was not ill",
        "pocketsphinx/001": "ten of clubs",
        "steel-sky/30": "robot this is it",
        "steel-sky/33": "what's the matter joey",
        "steel-sky/34": "one more line here",
    }
    assert texts.items() <= wanted.items()
    for row in rows:
        assert (data / "english" / row["path"]).is_file()
        assert row["language"] == "en"
    assert {row["source"] for row in rows} == {"pocketsphinx", "steel-sky"}
