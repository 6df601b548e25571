"""Modules by their names of before: each can be imported for one more release, with a warning."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

REMOVED_IN = "0.3"

#: Old name → new name. A name that is a real module again is not looked up here.
MOVED = {
    "xcodec2.media": "xcodec2.audio.decoders",
    "xcodec2.picture": "xcodec2.audio.spectrogram",
    "xcodec2.codec.batch": "xcodec2.codec.inference.batches",
    "xcodec2.codec.checkpoint": "xcodec2.codec.checkpoints.load",
    "xcodec2.codec.compile_snake": "xcodec2.codec.kernels.build",
    "xcodec2.codec.constant": "xcodec2.codec.cached_tensor",
    "xcodec2.codec.convert": "xcodec2.convert",
    "xcodec2.codec.convolution": "xcodec2.codec.kernels.convolution",
    "xcodec2.codec.fold": "xcodec2.codec.inference.fold",
    "xcodec2.codec.fsq": "xcodec2.codec.quantizer",
    "xcodec2.codec.hub": "xcodec2.codec.checkpoints.hub",
    "xcodec2.codec.int8": "xcodec2.codec.inference.int8",
    "xcodec2.codec.linear": "xcodec2.codec.kernels.linear",
    "xcodec2.codec.model": "xcodec2.model",
    "xcodec2.codec.original": "xcodec2.codec.checkpoints.original",
    "xcodec2.codec.precision": "xcodec2.codec.inference.precision",
    "xcodec2.codec.ragged": "xcodec2.codec.masking",
    "xcodec2.codec.snake_kernel": "xcodec2.codec.kernels.snake_cpu",
    "xcodec2.codec.snake_triton": "xcodec2.codec.kernels.snake_triton",
    "xcodec2.codec.stream": "xcodec2.codec.inference.streams",
    "xcodec2.codec.transformers_native": "xcodec2.codec.checkpoints.transformers",
    "xcodec2.codec.window": "xcodec2.codec.inference.windows",
    "xcodec2.evaluate.baselines": "xcodec2.evaluate.systems.classic",
    "xcodec2.evaluate.invariance": "xcodec2.evaluate.metrics.invariance",
    "xcodec2.evaluate.judges.distillmos": "xcodec2.evaluators.distillmos",
    "xcodec2.evaluate.judges.dnsmos": "xcodec2.evaluators.dnsmos",
    "xcodec2.evaluate.judges.hub": "xcodec2.evaluators.hub",
    "xcodec2.evaluate.judges.moonshine": "xcodec2.evaluators.moonshine",
    "xcodec2.evaluate.judges.onnx": "xcodec2.evaluators.onnx",
    "xcodec2.evaluate.judges.resemblyzer": "xcodec2.evaluators.resemblyzer",
    "xcodec2.evaluate.judges.sphinx": "xcodec2.evaluators.pocketsphinx",
    "xcodec2.evaluate.judges.weights": "xcodec2.evaluators.weights",
    "xcodec2.evaluate.knowledge": "xcodec2.evaluate.probing.probes",
    "xcodec2.evaluate.mel": "xcodec2.signal.mel",
    "xcodec2.evaluate.neural": "xcodec2.evaluate.systems.hub",
    "xcodec2.evaluate.phones": "xcodec2.corpus.labels",
    "xcodec2.evaluate.pitch": "xcodec2.evaluate.metrics.f0",
    "xcodec2.evaluate.probe": "xcodec2.evaluate.probing.linear",
    "xcodec2.evaluate.table": "xcodec2.evaluate.report.rows",
    "xcodec2.evaluate.text": "xcodec2.evaluators.text",
    "xcodec2.evaluate.text_table": "xcodec2.evaluate.report.text",
    "xcodec2.evaluate.tokens": "xcodec2.evaluate.probing.codes",
    "xcodec2.llasa.data": "xcodec2.llasa.training.data",
    "xcodec2.llasa.generate": "xcodec2.llasa.backends.local",
    "xcodec2.llasa.gguf": "xcodec2.llasa.export.gguf",
    "xcodec2.llasa.listen": "xcodec2.llasa.training.audio_samples",
    "xcodec2.llasa.packing": "xcodec2.llasa.training.packing",
    "xcodec2.llasa.prepare": "xcodec2.llasa.training.prepare",
    "xcodec2.llasa.prompt": "xcodec2.llasa.prompts",
    "xcodec2.llasa.recipe": "xcodec2.llasa.training.recipe",
    "xcodec2.llasa.report": "xcodec2.llasa.search_report",
    "xcodec2.llasa.rows": "xcodec2.llasa.training.rows",
    "xcodec2.llasa.seen": "xcodec2.llasa.training.compact_vocabulary",
    "xcodec2.llasa.server": "xcodec2.llasa.backends.server",
    "xcodec2.llasa.speak": "xcodec2.llasa.speaker",
    "xcodec2.llasa.tokens": "xcodec2.llasa.vocabulary",
    "xcodec2.llasa.train": "xcodec2.llasa.training.train",
    "xcodec2.train.augment": "xcodec2.train.data.augment",
    "xcodec2.train.channels": "xcodec2.train.data.channels",
    "xcodec2.train.codec": "xcodec2.train.tasks.codec",
    "xcodec2.train.distil": "xcodec2.train.tasks.distillation",
    "xcodec2.train.recogniser": "xcodec2.train.recognizer",
}


class _Alias:
    """Puts the module of the new name in the place of the old one. Neither this nor the finder has
    the abstract base that there is for it, whose import takes longer than that of the package.
    """

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None  # an empty one, for the moment

    def exec_module(self, module: ModuleType) -> None:
        old, new = module.__name__, MOVED[module.__name__]
        warnings.warn(
            f"{old} is now {new}; the old name goes in version {REMOVED_IN}",
            DeprecationWarning,
            stacklevel=2,
        )
        sys.modules[old] = importlib.import_module(new)


class _Finder:
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        alias: Any = _Alias()
        return ModuleSpec(fullname, alias) if fullname in MOVED else None


def install() -> None:
    """Let old names be imported, after all real modules have been looked for."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
