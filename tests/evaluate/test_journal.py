"""The journal of an evaluation."""

from __future__ import annotations

import json

from xcodec2.evaluate.journal import Journal


def test_entries_share_their_strings(tmp_path):
    entry = {"made": {"stoi": "pystoi 0.4 by a long name"}, "row": {"system": "nano", "stoi": 0.5}}
    journal = Journal(tmp_path)
    for key in "ab":
        journal.add(key, **json.loads(json.dumps(entry)))
    journal.close()
    for known in (journal, Journal(tmp_path)):
        one, other = (
            [*entry["made"], *entry["made"].values(), *entry["row"]]
            for entry in known.entries.values()
        )
        assert all(mine is theirs for mine, theirs in zip(one, other, strict=True))
        assert known.row("a") == entry["row"] | {"undefined": {}}
        known.close()
