"""What zerospeech-libriabx2 says of a small set of phones: writes abx.json.

    pip install zerospeech-libriabx2==0.9.8
    python tests/goldens/make_abx.py

The set is made by `abx_corpus` of tests/helpers; codes are given to the package as one-hot vectors.
"""

from __future__ import annotations

import json
import sys
import tempfile
import types
from importlib.metadata import version
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "helpers"))


def main() -> None:
    # Its loader of CPC checkpoints, which nothing here uses, imports torchaudio.
    sys.modules.setdefault("torchaudio", types.ModuleType("torchaudio"))
    from abx_corpus import CODEBOOK, FRAME_RATE, abx_corpus
    from zrc_abx2.eval_ABX import EvalABX, EvalArgs

    scores = {}
    for kind in ("vectors", "codes"):
        with tempfile.TemporaryDirectory() as folder:
            lines = ["#file onset offset #phone prev-phone next-phone speaker"]
            for name, speaker, vectors, codes, intervals in abx_corpus():
                frames = vectors if kind == "vectors" else np.eye(CODEBOOK, dtype="f4")[codes]
                np.save(Path(folder) / f"{name}.npy", frames)
                phones = ["", *(interval.phone for interval in intervals), ""]
                lines += [
                    f"{name} {i.start:.6f} {i.end:.6f} {i.phone} {phones[k] or 'SIL'} "
                    f"{phones[k + 2] or 'SIL'} {speaker}"
                    for k, i in enumerate(intervals)
                    if i.phone != "sil"
                ]
            item = Path(folder) / "set.item"
            item.write_text("\n".join(lines) + "\n")
            arguments = EvalArgs(
                folder, str(item), feature_size=1 / FRAME_RATE, max_size_group=10, max_x_across=5
            )
            for found in EvalABX().eval_abx(arguments):
                mode = f"{found['abx-s-condition']}-{found['abx-c-condition']}"
                scores[f"{kind}-{mode}"] = found["score"]
    made = {"zerospeech-libriabx2": version("zerospeech-libriabx2"), "scores": scores}
    (HERE / "abx.json").write_text(json.dumps(made, indent=1) + "\n")
    print(json.dumps(made, indent=1))


if __name__ == "__main__":
    main()
