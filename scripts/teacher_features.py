"""What a pretrained speech encoder makes of recordings: the features that `xcodec2 train
semantic-teacher` learns.

    make evaluators                                  # fetches Moonshine's weights (MIT), once
    python scripts/teacher_features.py data/nano/train/manifest.tsv data/nano/teacher --workers 2
    python scripts/teacher_features.py data/nano/phones.tsv data/nano/teacher --workers 2

SOURCE is what `xcodec2 extract` takes. OUT gets ID.npy for each recording: (frames, 288) float16,
41.7 a second (Moonshine's frames are 384 samples). What is there already is left alone, so an
interrupted run goes on.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from xcodec2.corpus import Recording, read_corpus
from xcodec2.errors import XCodec2Error
from xcodec2.evaluators import weights
from xcodec2.evaluators.onnx import session
from xcodec2.files import replacing

ENCODER = "package/dist/model/{}/quantized/encoder_model.onnx"
SHORTEST = 3200  # samples; shorter recordings are filled with silence
LONGEST = 60 * 16_000  # in one pass, whose attention sees all of it


def start_worker(size: str, folder: Path) -> None:
    global encoder, out
    encoder, out = session(weights.find(weights.MOONSHINE, ENCODER.format(size))), folder


def write_features(recording: Recording) -> str:
    """Compute and store; what went wrong, or nothing."""
    path = out / f"{recording.id}.npy"
    if not path.resolve().is_relative_to(out.resolve()):
        return f"{recording.id}: an id that leaves the folder"
    if path.exists():
        return ""
    try:
        waveform = recording.load(16_000).waveform.numpy()
        if len(waveform) > LONGEST:
            return f"{recording.source}: is longer than {LONGEST // 16_000} s; cut it first"
        padded = np.pad(waveform, (0, max(0, SHORTEST - len(waveform))))
        features = encoder.run(None, {encoder.get_inputs()[0].name: padded[None]})[0][0]
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, XCodec2Error) as file:
            np.save(file, features.astype(np.float16))
    except XCodec2Error as problem:
        return str(problem)
    return ""


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source")
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", choices=["tiny", "base"], default="tiny")
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    problems = 0
    try:
        recordings = list(read_corpus(arguments.source))
        context = multiprocessing.get_context("spawn")
        with context.Pool(arguments.workers, start_worker, (arguments.size, arguments.out)) as pool:
            done = pool.imap_unordered(write_features, recordings, chunksize=8)
            for problem in tqdm(done, total=len(recordings), unit="file", disable=None):
                if problem:
                    problems += 1
                    tqdm.write(f"left out: {problem}", file=sys.stderr)
    except XCodec2Error as error:
        sys.exit(f"error: {error}")
    print(
        f"{len(recordings) - problems} of {len(recordings)} recordings have features in {arguments.out}"
    )


if __name__ == "__main__":
    main()
