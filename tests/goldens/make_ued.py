"""What others' packages say of unit edit distances: writes ued.json.

    pip install editdistance==0.8.1 jiwer==4.0.0
    pip install --no-deps mseb==0.1.0            # wants Python 3.12
    python tests/goldens/make_ued.py

mseb is Google's Massive Sound Embedding Benchmark; editdistance is what fairseq's and textlesslib's
recipes count with. The pairs are made by `unit_pairs` of tests/helpers.
"""

from __future__ import annotations

import json
import sys
import types
from importlib.metadata import version
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "helpers"))


def main() -> None:
    # Its other metrics are compiled by numba, which this one does not use.
    numba = types.ModuleType("numba")
    numba.njit = lambda function: function  # type: ignore[attr-defined]
    sys.modules.setdefault("numba", numba)
    import editdistance
    from mseb.metrics import compute_unit_edit_distance
    from unit_pairs import unit_pairs

    scores: dict[str, list[float]] = {"plain": [], "merged": []}
    for pair in unit_pairs():
        merged = [codes[np.r_[True, codes[1:] != codes[:-1]]] for codes in pair]
        for kind, (clean, noisy) in (("plain", pair), ("merged", merged)):
            found = compute_unit_edit_distance(clean.tolist(), noisy.tolist())
            counted = editdistance.eval(clean.tolist(), noisy.tolist())
            assert found["raw_distance"] == counted
            scores[kind].append(found["raw_distance"] / found["reference_length"])
    packages = {name: version(name) for name in ("mseb", "editdistance", "jiwer")}
    made = {**packages, **scores}
    (HERE / "ued.json").write_text(json.dumps(made, indent=1) + "\n")
    print(json.dumps(made, indent=1))


if __name__ == "__main__":
    main()
