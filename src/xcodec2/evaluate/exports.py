"""A report's numbers in others' forms: tables for papers, Codec-SUPERB's JSON, versa's lists.

Only what is defined alike is exported: a number under a name that means something else is worse
than none.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import soundfile
from tqdm import tqdm

from xcodec2.corpus import Recording
from xcodec2.errors import XCodec2Error
from xcodec2.evaluate.audio import SAMPLE_RATE, load_recording, match_original
from xcodec2.evaluate.metrics.metric import Column
from xcodec2.evaluate.systems.system import System
from xcodec2.files import replacing

FORMS = ("csv", "latex", "codec-superb", "versa")
# Codec-SUPERB's name → the column that is measured alike. Its own tables have wide-band PESQ twice.
CODEC_SUPERB = {"pesq": "pesq_wb", "pesq-wb": "pesq_wb", "stoi": "stoi"}
# versa's configuration of metrics that are measured here, too, so that the two can be compared.
VERSA = (
    "- name: pesq\n- name: stoi\n- name: pseudo_mos\n  predictor_types: [utmos, dnsmos]\n"
    "  predictor_args:\n    utmos:\n      fs: 16000\n    dnsmos:\n      fs: 16000\n"
    "- name: speaker\n  model_tag: default\n"
)
LATEX = {**{one: f"\\{one}" for one in "&%$#_{}"}, "~": r"\textasciitilde{}",
         "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}  # fmt: skip


def write_exports(
    summary: Mapping[str, Any],
    forms: Sequence[str],
    folder: Path,
    systems: Sequence[System],
    recordings: Sequence[Recording],
) -> None:
    """Write a run's numbers in other forms.

    Args:
        summary: What summary.json holds.
        forms: Of `FORMS`.
        folder: Is made; gets a file or a folder for each form.
        systems: Of the run; run once more for versa, which reads audio files.
        recordings: Of the run.

    Raises:
        XCodec2Error: A file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts: dict[str, tuple[str, Callable[[Mapping[str, Any]], str]]] = {
        "csv": ("table.csv", csv_table),
        "latex": ("table.tex", latex_table),
        "codec-superb": ("codec-superb.json", codec_superb),
    }
    for form in forms:
        if form == "versa":
            versa(folder / "versa", systems, recordings)
        else:
            name, make = texts[form]
            write_whole(folder / name, make(summary))


def check_forms(forms: Sequence[str]) -> None:
    """Raise XCodec2Error for a form that there is not."""
    if unknown := [form for form in forms if form not in FORMS]:
        raise XCodec2Error(f"no export {', '.join(unknown)}; there are {', '.join(FORMS)}")


def write_whole(path: Path, text: str) -> None:
    """A whole file, or nothing."""
    with replacing(path, XCodec2Error) as file:
        file.write(text.encode())


def summary_columns(summary: Mapping[str, Any]) -> list[Column]:
    """The columns of a summary."""
    return [Column(**about) for about in summary["columns"].values()]


def csv_table(summary: Mapping[str, Any]) -> str:
    """A row for each system: files, bit rate, and of each column its mean, interval and count."""
    columns = summary_columns(summary)
    parts = ("mean", "low", "high", "n")
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    heads = [f"{c.name}{'' if part == 'mean' else f'_{part}'}" for c in columns for part in parts]
    table.writerow(["system", "files", "bit_rate", *heads])
    for name, found in summary["systems"].items():
        values = [(found["metrics"].get(c.name) or {}).get(p) for c in columns for p in parts]
        cells = [found["recordings"], found["bit_rate"], *values]
        table.writerow([name, *("" if cell is None else repr(cell) for cell in cells)])
    return stream.getvalue()


def latex_table(summary: Mapping[str, Any]) -> str:
    """A table for booktabs, the best of each column bold, half the interval behind ±."""
    columns = [c for c in summary_columns(summary) if c.better]
    arrows = {"higher": r" $\uparrow$", "lower": r" $\downarrow$"}
    heads = ["System", "bit/s", *(escaped(c.title) + arrows[c.better] for c in columns)]
    rows = []
    best = {}
    for column in columns:
        means = [
            round(found["metrics"][column.name]["mean"], column.digits)
            for name, found in summary["systems"].items()
            if column.name in found["metrics"] and name != "original"
        ]
        if len(means) > 1:
            best[column.name] = (max if column.better == "higher" else min)(means)
    for name, found in summary["systems"].items():
        rate = "--" if found["bit_rate"] is None else f"{found['bit_rate']:.0f}"
        cells = [cell_of(found["metrics"].get(c.name), c, best.get(c.name), name) for c in columns]
        rows.append(" & ".join([escaped(name), rate, *cells]) + r" \\")
    lines = [
        r"% \usepackage{booktabs}",
        rf"\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}",
        r"\toprule",
        " & ".join(heads) + r" \\",
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def cell_of(found: Mapping[str, Any] | None, column: Column, best: float | None, name: str) -> str:
    """A mean with half its interval."""
    if found is None:
        return "--"
    mean = f"{found['mean']:.{column.digits}f}"
    if best is not None and round(found["mean"], column.digits) == best and name != "original":
        mean = rf"\textbf{{{mean}}}"
    if found["low"] is None:
        return mean
    half = (found["high"] - found["low"]) / 2
    return rf"{mean} {{\scriptsize $\pm${half:.{column.digits}f}}}"


def escaped(text: str) -> str:
    """Text for LaTeX."""
    return "".join(LATEX.get(one, one) for one in text)


def codec_superb(summary: Mapping[str, Any]) -> str:
    """System → category → metric, as results/codec-superb-tiny of Codec-SUPERB has it."""
    result = {}
    for name, found in summary["systems"].items():
        values = {
            theirs: found["metrics"][ours]["mean"]
            for theirs, ours in CODEC_SUPERB.items()
            if ours in found["metrics"]
        }
        result[name] = {"Speech": values, "overall": values}
    return json.dumps(result, indent=4, ensure_ascii=False) + "\n"


def versa(folder: Path, systems: Sequence[System], recordings: Sequence[Recording]) -> None:
    """Audio files, a list of them for each system and for the originals, texts, and a
    configuration: what versa's `scorer.py --score_config … --gt … --pred …` takes.

    Recordings that cannot be used, or that a system fails on, are left out of its list.
    """
    lists: dict[str, list[str]] = {}
    texts = []
    names: dict[str, str] = {}
    for system in systems:
        name = safe_name(system.name)
        while name in (*names.values(), "gt"):  # the originals' folder
            name += "-"
        names[system.name] = name
    for number, recording in enumerate(tqdm(recordings, unit="file", disable=None)):
        key = f"{number:06d}-{safe_name(recording.id)}"
        try:
            waveform, _ = load_recording(recording)
        except XCodec2Error:
            continue
        lists.setdefault("gt", []).append(entry(folder / "gt", key, waveform))
        if text := recording.columns.get("text"):
            texts.append(f"{key} {' '.join(str(text).split())}")
        for system in systems:
            try:
                result = system(waveform)
                decoded = match_original(result.waveform, result.sample_rate, len(waveform))
            except Exception:  # a foreign codec may raise anything, and costs its line alone
                continue
            line = entry(folder / names[system.name], key, decoded)
            lists.setdefault(names[system.name], []).append(line)
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in lists.items():
        write_whole(folder / f"{name}.scp", "\n".join(lines) + "\n")
    if texts:
        write_whole(folder / "text", "\n".join(texts) + "\n")
    write_whole(folder / "score.yaml", VERSA)


def entry(folder: Path, key: str, waveform: Any) -> str:
    """Write one file; its line of a list."""
    folder.mkdir(parents=True, exist_ok=True)
    path = (folder / f"{key}.wav").resolve()
    with replacing(path, XCodec2Error) as file:
        soundfile.write(file, waveform, SAMPLE_RATE, subtype="FLOAT", format="WAV")
    return f"{key} {path}"


def safe_name(name: str) -> str:
    """Letters, digits, dots and hyphens of a name: no part of a path, and no space for a list."""
    return re.sub(r"[^\w.-]+", "-", name).strip(".-")[:100] or "unnamed"
