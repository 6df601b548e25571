"""What the bundled LLaSA says, and what compute spent on searching buys.

    python scripts/prepare_nano_data.py
    python benchmarks/search.py --picture docs/pictures/llasa-search.png

For each learned sentence: the likeliest codes, 8 candidates drawn at a temperature, and what the
codec alone makes of the recording. Best-of-n is computed on the candidates themselves: they fall
into 8/n groups, in each of which the selecting verifier (character errors by Moonshine) chooses
one; shown are means over groups and sentences, by that verifier and by those that did not choose.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from make_bundled_llasa import MANIFEST, sentences

from xcodec2 import XCodec2Model
from xcodec2.llasa.backends.base import Sampling
from xcodec2.llasa.backends.local import InProcess
from xcodec2.llasa.lm import load_lm
from xcodec2.llasa.speaker import Speaker
from xcodec2.llasa.verifiers import verifier

SELECTS, JUDGES = "cer", ("cer", "cer-pocketsphinx", "dnsmos")
POOL = 8
LABELS = {
    "cer": "CER, Moonshine (chose)",
    "cer-pocketsphinx": "CER, pocketsphinx",
    "dnsmos": "DNSMOS",
}


def measure(temperature: float, lm: str | None, count: int) -> dict:
    """Scores of greedy speech, of all candidates and of the codec alone, sentence by sentence."""
    speaker = Speaker(InProcess(load_lm(lm)), XCodec2Model.from_pretrained("nano"))
    prompts, backend = speaker.backend.prompts, speaker.backend
    verifiers = {name: verifier(name) for name in JUDGES}
    results = {"temperature": temperature, "sentences": []}
    for row in tqdm(sentences()[-count:]):
        text, recording = row["text"].strip(), str(MANIFEST.parent / row["path"])
        codes = speaker.codec.encode(recording).codes.numpy()
        prompt = prompts.prompt(text)
        (greedy,) = backend.generate([prompt], [0], Sampling(temperature=0))
        drawn = backend.generate(
            [prompt] * POOL, list(range(POOL)), Sampling(temperature=temperature)
        )
        both = min(len(codes), len(greedy.codes))
        equal = float(
            (codes[:both] == greedy.codes[:both]).sum() / max(len(codes), len(greedy.codes))
        )

        def judged(codes: np.ndarray, text: str = text) -> dict[str, float]:
            return {
                name: speaker.scorer(verify, text, None)(codes)
                for name, verify in verifiers.items()
            }

        results["sentences"].append(
            {
                "text": text,
                "equal_codes": equal,
                "greedy": judged(greedy.codes),
                "codec": judged(codes),
                "candidates": [
                    {"tokens": len(item.codes), "scores": judged(item.codes)} for item in drawn
                ],
            }
        )
    return results


def best_of(results: dict, size: int, name: str) -> float:
    """The mean of `name` over what the selecting verifier keeps of each `size` candidates."""
    kept = []
    for sentence in results["sentences"]:
        for start in range(0, POOL, size):
            group = [item["scores"] for item in sentence["candidates"][start : start + size]]
            kept.append(max(group, key=lambda scores: scores[SELECTS])[name])
    return float(np.mean([value for value in kept if np.isfinite(value)]))


def tokens(results: dict) -> float:
    """Mean length of a candidate."""
    return float(
        np.mean(
            [item["tokens"] for sentence in results["sentences"] for item in sentence["candidates"]]
        )
    )


def draw(results: dict, path: Path) -> None:
    """Quality against compute, one panel a verifier."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    sizes, cost = [1, 2, 4, 8], tokens(results)
    figure, panels = plt.subplots(1, len(LABELS), figsize=(11, 3.4), layout="constrained")
    for panel, (name, label) in zip(panels, LABELS.items(), strict=True):
        sign = 1 if name == "dnsmos" else -1
        panel.plot(
            [size * cost for size in sizes],
            [sign * best_of(results, size, name) for size in sizes],
            "o-",
        )
        alone = np.mean([sentence["codec"][name] for sentence in results["sentences"]])
        panel.axhline(sign * alone, color="grey", linestyle="--")
        panel.annotate(
            "codec alone",
            (1, sign * alone),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="bottom",
        )
        panel.set(xscale="log", xlabel="tokens generated a sentence", title=label)
        panel.set_xticks(
            [size * cost for size in sizes],
            [f"{size * cost:.0f}\n(best of {size})" for size in sizes],
        )
        panel.minorticks_off()
        panel.tick_params(axis="x", labelsize=6.5)
        panel.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--lm", help="another model than the bundled one")
    parser.add_argument("--sentences", type=int, default=6, help="the last so many of the list")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/search.json"))
    parser.add_argument("--redraw", action="store_true", help="from --out, without measuring")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if not args.redraw:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(
            json.dumps(measure(args.temperature, args.lm, args.sentences), indent=1)
        )
    results = json.loads(args.out.read_text())
    print(
        "equal codes, greedy:",
        f"{np.mean([item['equal_codes'] for item in results['sentences']]):.3f}",
    )
    print("| | " + " | ".join(JUDGES) + " |\n|---|" + "---|" * len(JUDGES))
    for what in ("codec", "greedy"):
        means = [
            np.mean([sentence[what][name] for sentence in results["sentences"]]) for name in JUDGES
        ]
        print(f"| {what} | " + " | ".join(f"{mean:.3f}" for mean in means) + " |")
    for size in (1, 2, 4, 8):
        means = [best_of(results, size, name) for name in JUDGES]
        print(
            f"| best of {size}, {size * tokens(results):.0f} tokens | "
            + " | ".join(f"{m:.3f}" for m in means)
            + " |"
        )
    if args.picture:
        draw(results, args.picture)


if __name__ == "__main__":
    main()
