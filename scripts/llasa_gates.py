"""Whether a model on a phoneme track has begun to speak: figures of sentences it has never read.

    python scripts/llasa_gates.py runs/phonemes/model data/llasa/hibari/heldout --sentences 40
    python scripts/llasa_gates.py runs/phonemes/model data/llasa/hibari/heldout \\
        --temperatures 0 0.4 0.8 --recognizer moonshine

Gate 1, copied: the true speech is read, and at each place of a phoneme the likeliest one is taken:
the share of sentences in which all are those of the prompt.
Gate 2, understood: durations and codes are drawn, the phonemes given; word errors of a recognizer,
beside those of the codec's own codes, and how long the speech is beside the true one.
Codes: how often the likeliest code is the true one, and what it costs in bits, with the text of
the sentence and with another's.

Held-out rows with the columns words, phonemes, durations and codes, as prepare_llasa_corpus.py
writes them. Prints JSON; one thread.
"""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import soxr
import torch

from xcodec2 import XCodec2Model, evaluators
from xcodec2.audio.io import save_audio
from xcodec2.corpus.extraction import open_extraction
from xcodec2.evaluators.text import word_errors
from xcodec2.llasa.backends.local import InProcess
from xcodec2.llasa.lm import LanguageModel, load_lm
from xcodec2.llasa.sampling import Sampling
from xcodec2.llasa.training.data import WrongText
from xcodec2.llasa.training.row_maker import row_of
from xcodec2.llasa.vocabulary import CLIP

RATE = 16_000
COLUMNS = ("id", "codes", "words", "phonemes", "durations", "voice")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a folder that `xcodec2 llasa train` wrote")
    parser.add_argument("heldout", help="an extraction")
    parser.add_argument("--codec", help="what decodes (the model's own)")
    parser.add_argument("--sentences", type=int, default=40)
    parser.add_argument("--temperatures", type=float, nargs="*", default=[0.8])
    parser.add_argument("--recognizer", default="moonshine-tiny")
    parser.add_argument("--clips", action="store_true", help="speak after a clip of the voice")
    parser.add_argument("--audio", type=Path, help="folder for what is said")
    parser.add_argument("--json", type=Path, help="file for the figures")
    args = parser.parse_args()
    torch.set_num_threads(1)
    lm = load_lm(args.model)
    rows = chosen(args.heldout, args.sentences)
    figures = {"model": args.model, "sentences": len(rows)} | read(lm, rows, args.clips)
    codec = XCodec2Model.from_pretrained(args.codec or lm.metadata.codec.model).eval()
    original = [np.asarray(row["codes"], np.int64) for row in rows]
    figures["codec"] = understood(codec, rows, original, args.recognizer)
    for temperature in args.temperatures:
        start = time.process_time()
        spoken = speak(lm, rows, temperature, args.clips)
        took = time.process_time() - start
        said = understood(codec, rows, [item.codes for item in spoken], args.recognizer)
        frames = sum(len(item.codes) for item in spoken)
        said["finished"] = np.mean([item.finished for item in spoken])
        said["duration_ratio"] = frames / sum(map(len, original))
        ratios = [len(item.codes) / len(true) for item, true in zip(spoken, original, strict=True)]
        said["longest_ratio"] = max(ratios)
        said["codes_per_cpu_second"] = frames / took
        figures[f"temperature {temperature:g}"] = said
        if args.audio:
            write(args.audio / f"{temperature:g}", codec, spoken)
    text = json.dumps(figures, indent=1, default=float)
    print(text)
    if args.json:
        args.json.write_text(text + "\n")


def chosen(source: str, count: int) -> list[dict]:
    """Rows with all columns, spread over the extraction."""
    rows = [
        row
        for shard in open_extraction(source, columns=COLUMNS).shards()
        for row in shard.rows(list(COLUMNS))
        if row["codes"] and row["durations"]
    ]
    places = np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)
    return [rows[place] for place in places]


def example_of(lm: LanguageModel, row: dict, clip: np.ndarray | None) -> np.ndarray:
    """A row as it is trained on, (L,)."""
    v, track = lm.prompts.vocabulary, lm.track
    assert track is not None
    speech = track.row(row["phonemes"], list(map(int, row["durations"].split())), row["codes"])
    text = lm.prompts.text_ids(row["phonemes"])
    made = row_of((v.text_start, text, v.text_end), (v.speech_start, speech, v.speech_end))
    if clip is None:
        return made
    return np.concatenate([[v.heard_start], v.to_ids(clip), [v.heard_end], made])


def clips_of(rows: list[dict], clips: bool) -> list[np.ndarray | None]:
    """For each row the codes of another row of its voice."""
    if not clips:
        return [None] * len(rows)
    found = []
    for place, row in enumerate(rows):
        others = [*rows[place + 1 :], *rows[:place]]
        other = next(one for one in [*others, row] if one["voice"] == row["voice"])
        found.append(np.asarray(other["codes"][:CLIP], np.int64))
    return found


@torch.inference_mode()
def read(lm: LanguageModel, rows: list[dict], clips: bool) -> dict:
    """Teacher-forced figures."""
    v, track, copied = lm.prompts.vocabulary, lm.track, []
    costs: dict[str, list[float]] = {"right": [], "wrong": []}
    equal, wrong_text = [], WrongText(lm.prompts, track)
    for row, clip in zip(rows, clips_of(rows, clips), strict=True):
        ids = example_of(lm, row, clip)
        for name, one in (("right", ids), ("wrong", wrong_text(ids))):
            if one is None:
                continue
            one = lm.prompts.in_chat(one)
            begin = int(np.flatnonzero(one == v.speech_start)[-1])
            logits = lm.model(torch.from_numpy(one)[None]).logits[0, begin:-1].float()
            speech = one[begin + 1 :]
            places = np.flatnonzero(v.is_code(speech))
            costs[name] += nats(logits[places], speech[places])
            if name == "right":
                symbols = np.flatnonzero(track.is_symbol(speech))
                best = logits[symbols].argmax(-1).numpy()
                copied.append(bool((best == speech[symbols]).all()))
                codes = logits[places][:, torch.from_numpy(v.code_ids)].argmax(-1).numpy()
                equal += (codes == v.to_codes(speech[places])).tolist()
    bits = {name: np.mean(some) / math.log(2) for name, some in costs.items() if some}
    return {"copied": np.mean(copied), "likeliest_is_true": np.mean(equal), "bits": bits}


def nats(logits: torch.Tensor, ids: np.ndarray) -> list[float]:
    """What each of the ids costs."""
    return (-logits.log_softmax(-1).gather(1, torch.from_numpy(ids)[:, None])).flatten().tolist()


def speak(lm: LanguageModel, rows: list[dict], temperature: float, clips: bool) -> list:
    """Each sentence once, the phonemes given."""
    backend, made = InProcess(lm), []
    for number, (row, clip) in enumerate(zip(rows, clips_of(rows, clips), strict=True)):
        prompts = lm.prompts
        prompt = (
            prompts.prompt(row["phonemes"])
            if clip is None
            else prompts.prompt_after_clip(row["phonemes"], clip)
        )
        made += backend.generate([prompt], [number], Sampling(temperature=temperature))
    return made


def understood(codec, rows: list[dict], codes: list[np.ndarray], recognizer: str) -> dict:
    """Word errors of what the codec makes of the codes."""
    wrong = total = 0
    for row, own in zip(rows, codes, strict=True):
        counted = word_errors(row["words"], heard(codec, own, recognizer))
        wrong, total = wrong + min(counted.wrong, counted.total), total + counted.total
    return {"wer": wrong / total}


def heard(codec, codes: np.ndarray, recognizer: str) -> str:
    """What a recognizer makes of codes."""
    if not len(codes):
        return ""
    waveform = codec.decode(torch.from_numpy(codes)).numpy()
    if codec.sample_rate != RATE:
        waveform = soxr.resample(waveform, codec.sample_rate, RATE)
    return evaluators.asr(recognizer).transcribe(waveform)


def write(folder: Path, codec, spoken: list) -> None:
    """What was said, as WAV files."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, item in enumerate(spoken):
        waveform = codec.decode(torch.from_numpy(item.codes))
        save_audio(folder / f"{number:03}.wav", waveform.clamp(-1, 1), codec.sample_rate)


if __name__ == "__main__":
    main()
