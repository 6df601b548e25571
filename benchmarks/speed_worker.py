"""One implementation in a process of its own, for speed.py: `python speed_worker.py NAME MODEL`.

It answers requests on standard input, one JSON object a line, and needs of this repository's
environment nothing unless it runs this repository's codec.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000
CLIP = Path(__file__).parent.parent / "src" / "xcodec2" / "assets" / "demo.flac"
UNUSED_LAYERS = range(
    16, 24
)  # of w2v-BERT: the original package runs them and drops what they give
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def speech(seconds: float) -> np.ndarray:
    """(N,) float32: the clip inside the package, again and again."""
    clip, _ = soundfile.read(CLIP, dtype="float32")
    return np.resize(clip, int(seconds * RATE))


def utterances(count: int) -> list[np.ndarray]:
    """`count` excerpts of 1 to 5 seconds, always the same."""
    generator = np.random.default_rng(0)
    clip = speech(60)
    sizes = (generator.uniform(1, 5, count) * RATE).astype(int)
    return [
        clip[start : start + size]
        for size, start in zip(sizes, generator.integers(0, 50 * RATE, count), strict=True)
    ]


class Ours:
    def __init__(self, model: str) -> None:
        from xcodec2 import XCodec2Model

        self.model = XCodec2Model.from_pretrained(model)

    def encode(self, waves: list[np.ndarray]) -> list[list[int]]:
        return [codes.codes.tolist() for codes in self.model.encode(waves, RATE)]

    def decode(self, codes: list[int]) -> None:
        self.model.decode(codes)


class Transformers:
    def __init__(self, model: str) -> None:
        import transformers

        self.model = transformers.Xcodec2Model.from_pretrained(model).eval()
        self.extractor = transformers.SeamlessM4TFeatureExtractor()

    def encode(self, waves: list[np.ndarray]) -> list[list[int]]:
        """One by one: a padded batch gives other codes there."""
        return [self.encode_one(wave) for wave in waves]

    def encode_one(self, wave: np.ndarray) -> list[int]:
        import torch

        padded = np.pad(wave, (0, 320 - len(wave) % 320))
        features = self.extractor(np.pad(padded, 160), sampling_rate=RATE, return_tensors="pt")[
            "input_features"
        ]
        with torch.inference_mode():
            return (
                self.model.encode(torch.from_numpy(padded)[None, None], features)
                .audio_codes[0, 0]
                .tolist()
            )

    def decode(self, codes: list[int]) -> None:
        import torch

        with torch.inference_mode():
            self.model.decode(torch.tensor(codes)[None, None])


class Original:
    """The package `xcodec2` 0.1.5, built as for the tests' goldens.

    Its weights lie in the folder `original` there.
    """

    def __init__(self, model: str) -> None:
        sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "goldens"))
        import make_original

        make_original.install_stubs()
        original = make_original.xcodec2_class(make_original.FULL)
        config = make_original.xcodec2_config(make_original.FULL)
        self.model, report = original.from_pretrained(
            Path(model, "original"), config=config, output_loading_info=True
        )
        self.model.eval()
        unused = tuple(f"semantic_model.encoder.layers.{layer}." for layer in UNUSED_LAYERS)
        lost = [
            key
            for key in report["missing_keys"]
            if not key.startswith((*unused, "semantic_model.masked"))
        ]
        if lost or report["unexpected_keys"]:
            raise RuntimeError(
                f"the original did not load its weights: {lost} {report['unexpected_keys']}"
            )

    def encode(self, waves: list[np.ndarray]) -> list[list[int]]:
        """One by one: it takes its features from a batch's first item alone."""
        import torch

        return [
            self.model.encode_code(torch.from_numpy(wave)[None])[0, 0].tolist() for wave in waves
        ]

    def decode(self, codes: list[int]) -> None:
        import torch

        self.model.decode_code(torch.tensor(codes)[None, None])


IMPLEMENTATIONS = {"open-xcodec2": Ours, "transformers": Transformers, "original": Original}


def memory(field: str, *, reset_peak: bool = False) -> int:
    """Bytes, as Linux counts them."""
    if reset_peak:
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=IMPLEMENTATIONS)
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--clock", choices=CLOCKS, required=True)
    args = parser.parse_args()
    clock = CLOCKS[args.clock]
    torch.set_num_threads(args.threads)
    start = clock()
    implementation = IMPLEMENTATIONS[args.name](args.model)
    print(json.dumps({"seconds": clock() - start}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        waves = utterances(request["mixed"]) if "mixed" in request else [speech(request["speech"])]
        codes = request.get("codes")
        before = memory("VmRSS", reset_peak=True)
        start = clock()
        result = implementation.decode(codes) if codes else implementation.encode(waves)
        taken = clock() - start
        print(
            json.dumps({"seconds": taken, "bytes": memory("VmHWM") - before, "codes": result}),
            flush=True,
        )


if __name__ == "__main__":
    main()
