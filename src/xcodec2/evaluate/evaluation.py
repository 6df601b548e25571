"""The whole evaluation: a source in, a folder with rows.parquet, summary.json and report.html out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from xcodec2 import __version__
from xcodec2.corpus import Recording, read_corpus
from xcodec2.errors import XCodec2Error
from xcodec2.evaluate.cost import costs
from xcodec2.evaluate.journal import Journal
from xcodec2.evaluate.knowledge import labelled, of_codes, of_phones, of_speakers
from xcodec2.evaluate.measure import Panel, Settings, load
from xcodec2.evaluate.metrics import MEASURES
from xcodec2.evaluate.runner import Plan, run
from xcodec2.evaluate.summary import summarise
from xcodec2.evaluate.systems import CodecSystem, System
from xcodec2.evaluate.table import write_rows
from xcodec2.files import replacing


def evaluate(
    source: str | Iterable[Recording],
    out: str | Path,
    *,
    models: Sequence[str] = ("nano",),
    baselines: Sequence[str] = (),
    functions: Sequence[System] = (),
    measures: Sequence[str] = MEASURES,
    recogniser: str = "moonshine",
    speaker: str = "resemblyzer",
    group_by: Sequence[str] = (),
    phones: str | None = None,
    seconds: tuple[float, float] | None = None,
    sample: int | None = None,
    judge_sample: int | None = None,
    workers: int = 1,
    device: str = "cpu",
    channel: int | None = None,
    cost: bool = True,
    worst: int = 10,
    audio: bool = True,
) -> dict[str, Any]:
    """Evaluate systems on a corpus and write the report; returns what summary.json holds.

    source: as `xcodec2.corpus.read_corpus` takes it, or recordings. models: as `from_pretrained`
    takes them. baselines: see `xcodec2.evaluate.systems.baseline`. functions: systems made in
    Python. measures: of `metrics.MEASURES`. group_by: columns of the corpus. phones: a column or
    folder with label files. seconds: shortest and longest recording to take. sample: so many
    recordings, picked by their ids. judge_sample: the same for DNSMOS, DistillMOS and WER alone,
    which cost most. channel: the one to take of each recording, from 0; None averages them. cost: also measure real-time factor and memory. worst: how many of the worst
    files to show; audio: with players.

    A run that was interrupted goes on; what is in `out` of other systems or measures is kept for
    later runs. Raises XCodec2Error for what makes the whole run senseless; a recording that cannot
    be used costs its row alone.
    """
    unknown = [name for name in measures if name not in MEASURES]
    if unknown:
        raise XCodec2Error(
            f"no measure is called {', '.join(unknown)}; there are {', '.join(MEASURES)}"
        )
    if workers < 1:
        raise XCodec2Error("workers must be 1 or more")
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise XCodec2Error(f"{folder}: cannot be made ({problem.strerror})") from problem
    settings = Settings(tuple(dict.fromkeys(measures)), recogniser, speaker)
    recordings = list(read_corpus(source) if isinstance(source, str) else source)
    if channel is not None:
        recordings = [replace(recording, channel=channel) for recording in recordings]
    recordings = chosen(recordings, sample)
    judged = (
        None if judge_sample is None else frozenset(r.id for r in chosen(recordings, judge_sample))
    )
    plan = Plan(
        tuple(models), tuple(baselines), settings, tuple(functions), device, seconds, judged
    )
    systems, panel = plan.systems(), Panel(settings)
    labels = labelled(recordings, phones) if phones else {}
    check_columns(recordings, group_by)

    journal = Journal(folder)
    try:
        with tqdm(total=len(recordings), unit="file", disable=None) as bar:
            rows = run(plan, systems, panel, recordings, journal, workers, bar.update)
    finally:
        journal.close()
    if not rows:
        raise XCodec2Error("no recording is left: none is as long as seconds=... asks for")
    summary = {
        "version": __version__,
        "source": source if isinstance(source, str) else "recordings given in Python",
        "recordings": len({row["id"] for row in rows}),
        "selection": {
            "seconds": list(seconds) if seconds else None,
            "sample": sample,
            "judge_sample": judge_sample,
            "channel": channel,
        },
        "measures": panel.implementations,
        "missing": panel.missing,
        "wer_against": wer_against(rows),
        "implementations": {system.name: system.implementation for system in systems},
        **summarise(rows, [system.name for system in systems], group_by),
        "codes": code_facts(systems, rows, labels),
        "cost": cost_facts(plan, systems, recordings) if cost else {},
    }
    write_rows(
        folder / "rows.parquet",
        rows,
        {key: summary[key] for key in ("version", "source", "measures")},
    )
    write_text(folder / "summary.json", json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
    from xcodec2.evaluate.report import page

    write_text(
        folder / "report.html", page(summary, rows, systems, recordings, worst=worst, audio=audio)
    )
    return summary


def chosen(recordings: list[Recording], sample: int | None) -> list[Recording]:
    """`sample` of the recordings, in their order, by the digests of their ids, so that more only
    adds to fewer.
    """
    if sample is None or sample >= len(recordings):
        return recordings
    digests = sorted(
        (hashlib.sha256(recording.id.encode()).hexdigest(), recording.id)
        for recording in recordings
    )
    picked = {identity for _, identity in digests[:sample]}
    return [recording for recording in recordings if recording.id in picked]


def check_columns(recordings: Sequence[Recording], group_by: Sequence[str]) -> None:
    there = {name for recording in recordings for name in recording.columns}
    if missing := [name for name in group_by if name not in there]:
        known = ", ".join(sorted(there)) or "none"
        raise XCodec2Error(
            f"the corpus has no column {', '.join(missing)} to group by; it has {known}"
        )


def wer_against(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """What the error rates compare with, in words."""
    kinds = {row["wer_against_transcript"] for row in rows if "wer_against_transcript" in row}
    words = {1: "the transcripts", 0: "what the recogniser hears in the original"}
    return (
        " or, where there is none, ".join(words[kind] for kind in sorted(kinds, reverse=True))
        or None
    )


def code_facts(
    systems: Sequence[System], rows: Sequence[Mapping[str, Any]], labels: Mapping[str, Any]
) -> dict[str, Any]:
    """System → how its codebook is used, what its codes know of phones and speakers."""
    facts = {}
    for system in systems:
        own = [row for row in rows if row["system"] == system.name and row.get("codes")]
        if isinstance(system, CodecSystem) and own:
            facts[system.name] = {
                "use": of_codes(system, own),
                "phones": of_phones(system, own, labels) if labels else None,
                "speakers": of_speakers(system, own),
            }
    return facts


def cost_facts(
    plan: Plan, systems: Sequence[System], recordings: Sequence[Recording]
) -> dict[str, Any]:
    """System → real-time factor and memory, on the first recording that can be used."""
    for recording in recordings:
        try:
            waveform, _ = load(recording)
            break
        except XCodec2Error:
            continue
    else:
        return {}
    wanted: list[tuple[str, Any]] = [("model", name) for name in plan.models]
    wanted += [("function", function) for function in plan.functions]
    wanted += [("baseline", name) for name in plan.baselines]
    return {
        system.name: costs(kind, name, waveform, plan.device)
        for system, (kind, name) in zip(systems, wanted, strict=True)
        if name != "original"
    }


def write_text(path: Path, content: str) -> None:
    with replacing(path, XCodec2Error) as file:
        file.write(content.encode("utf-8"))
