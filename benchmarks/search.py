"""What the bundled LLaSA says, and what compute spent on searching buys.

    python -m xcodec2.evaluators.fetch
    python benchmarks/search.py --picture docs/pictures/llasa-search.png

For each sentence: speech at temperature 0, and 8 candidates drawn at a temperature. Best-of-n is
computed on the candidates themselves: they fall into 8/n groups, in each of which the selecting
verifier (character errors by Moonshine) chooses one; shown are means over groups and sentences, by
that verifier and by those that did not choose.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from xcodec2 import XCodec2Model
from xcodec2.llasa.backends.base import Sampling
from xcodec2.llasa.backends.local import InProcess
from xcodec2.llasa.lm import load_lm
from xcodec2.llasa.speaker import Speaker
from xcodec2.llasa.verifiers import verifier

SELECTS, JUDGES = "cer", ("cer", "cer-pocketsphinx", "dnsmos")
POOL = 8
#: None of them, nor any with the same beginning, is in the corpus that the bundled model learned.
SENTENCES = (
    "The train to the coast leaves at a quarter past nine.",
    "Please send the second report to everyone in the office.",
    "My sister planted three apple trees behind the old barn.",
    "Heavy rain is expected in the north later this evening.",
    "Could you tell me where the nearest post office is?",
    "The council voted against the new bridge on Tuesday.",
    "She bought two loaves of bread and a bottle of milk.",
    "Scientists have measured the speed of the glacier again.",
    "Turn left at the lights, then drive for about a mile.",
    "Nobody remembers who painted the small blue boat.",
    "The price of copper fell by four percent last month.",
    "Your appointment has been moved to Friday morning.",
)
LABELS = {
    "cer": "CER, Moonshine (chose)",
    "cer-pocketsphinx": "CER, pocketsphinx",
    "dnsmos": "DNSMOS",
}


def measure(temperature: float, lm: str | None, count: int) -> dict:
    """Scores of greedy speech and of all candidates, sentence by sentence."""
    speaker = Speaker(InProcess(load_lm(lm)), XCodec2Model.from_pretrained("nano"))
    verifiers = {name: verifier(name) for name in JUDGES}
    results = {"temperature": temperature, "sentences": []}
    for text in tqdm(SENTENCES[:count]):

        def said(temperature: float, seed: int, text: str = text) -> dict:
            spoken = speaker.speak(text, sampling=Sampling(temperature=temperature), seed=seed)
            scores = {
                name: speaker.scorer(verify, text, None)(spoken.codes)
                for name, verify in verifiers.items()
            }
            return {"tokens": len(spoken.codes), "scores": scores}

        results["sentences"].append(
            {
                "text": text,
                "greedy": said(0, 0),
                "candidates": [said(temperature, seed) for seed in range(POOL)],
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


def row(means: list[float]) -> str:
    """Cells in the order of JUDGES; error rates are scores below zero."""
    return " | ".join(f"{abs(mean):.3f}" for mean in means)


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
        alone = np.mean([sentence["greedy"]["scores"][name] for sentence in results["sentences"]])
        panel.axhline(sign * alone, color="grey", linestyle="--")
        panel.annotate(
            "temperature 0",
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
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--lm", help="another model than the bundled one")
    parser.add_argument("--sentences", type=int, default=12, help="the first so many")
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
    print("| | " + " | ".join(JUDGES) + " |\n|---|" + "---|" * len(JUDGES))
    means = [
        np.mean([sentence["greedy"]["scores"][name] for sentence in results["sentences"]])
        for name in JUDGES
    ]
    print("| greedy | " + row(means) + " |")
    for size in (1, 2, 4, 8):
        means = [best_of(results, size, name) for name in JUDGES]
        print(f"| best of {size}, {size * tokens(results):.0f} tokens | " + row(means) + " |")
    if args.picture:
        draw(results, args.picture)


if __name__ == "__main__":
    main()
