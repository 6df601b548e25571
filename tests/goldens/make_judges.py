"""What the judges' own packages say of four waveforms: writes judges.json.

    pip install --no-deps Resemblyzer==0.1.4 speechmos==0.0.1.1 distillmos==0.9.1 xls-r-sqa==0.1.0 \
        useful-moonshine-onnx==20251121
    pip install librosa webrtcvad-wheels requests onnxruntime
    python -m xcodec2.evaluators.fetch
    python tests/goldens/make_judges.py
"""

from __future__ import annotations

import json
import sys
import types
from importlib.metadata import version
from pathlib import Path

import numpy as np
import soundfile
import torch

HERE = Path(__file__).parent


def waveforms() -> dict[str, np.ndarray]:
    """(N,) float32 at 16 kHz: the clip inside the package, whole, noisy, short, and long."""
    clip, _ = soundfile.read(HERE.parent.parent / "src/xcodec2/assets/demo.flac", dtype="float32")
    noise = np.random.default_rng(0).standard_normal(len(clip)).astype(np.float32)
    return {
        "clip": clip,
        "noisy": clip + 0.02 * noise,
        "short": clip[16_000:35_200],
        "long": np.concatenate([clip, clip[::2], clip])[: 16 * 16_000],
    }


def main() -> None:
    sys.modules.setdefault(
        "torchaudio", types.ModuleType("torchaudio")
    )  # distillmos' command line alone uses it
    import distillmos
    from moonshine_onnx import MoonshineOnnxModel
    from moonshine_onnx.transcribe import load_tokenizer
    from resemblyzer import VoiceEncoder, normalize_volume
    from speechmos import dnsmos

    from xcodec2.evaluators.weights import MOONSHINE, find

    folder = find(MOONSHINE, "package/dist/model/base/quantized/encoder_model.onnx").parent
    moonshine = MoonshineOnnxModel(models_dir=str(folder), model_name="base")
    encoder = VoiceEncoder("cpu", verbose=False)
    mos = distillmos.ConvTransformerSQAModel().eval()
    results: dict[str, object] = {}
    for name, samples in waveforms().items():
        with torch.no_grad():
            distilled = mos(torch.from_numpy(samples)[None]).item()
        results[name] = {
            "DNSMOS": float(dnsmos.run(np.clip(samples, -1, 1), 16_000)["ovrl_mos"]),
            "DistillMOS": distilled,
            "Resemblyzer": encoder.embed_utterance(
                normalize_volume(samples, -30, increase_only=True)
            ).tolist(),
            "Moonshine base": load_tokenizer().decode_batch(moonshine.generate(samples[None]))[0],
        }
    packages = (
        "Resemblyzer",
        "speechmos",
        "distillmos",
        "useful-moonshine-onnx",
        "onnxruntime",
        "librosa",
        "torch",
    )
    results["versions"] = {package: version(package) for package in packages}
    (HERE / "judges.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
