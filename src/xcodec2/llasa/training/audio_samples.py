"""Audio samples: the same few texts, spoken anew at each validation, beside the log."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from xcodec2 import XCodec2Model
from xcodec2.audio.io import save_audio
from xcodec2.errors import LlasaError, XCodec2Error
from xcodec2.llasa.backends.base import Sampling
from xcodec2.llasa.backends.local import InProcess
from xcodec2.llasa.lm import LanguageModel, LlasaMetadata
from xcodec2.llasa.prompts import Prompts
from xcodec2.llasa.track import Track
from xcodec2.llasa.training.data import row_texts
from xcodec2.llasa.training.recipe import LlasaRecipe
from xcodec2.llasa.training.rows import Rows


class AudioSamplesCallback(TrainerCallback):
    """Writes OUT/samples/STEP/N.wav, and samples.tsv with the texts and lengths; in the main
    process only.

    Args:
        recipe: Of the run.
        prompts: Of its tokenizer.
        metadata: Of the finished model.
        rows: Whose texts are spoken.
        finished: A model as it is trained → one that speaks.
    """

    def __init__(
        self,
        recipe: LlasaRecipe,
        prompts: Prompts,
        metadata: LlasaMetadata,
        rows: list[Rows],
        finished: Callable[[Any], Any] = lambda model: model,
    ) -> None:
        self.recipe, self.prompts, self.metadata = recipe, prompts, metadata
        self.finished, self.spoken_at = finished, -1
        track = Track.of(prompts) if metadata.track else None
        self.texts = row_texts(rows, prompts, recipe.audio_samples, track)
        name = recipe.codec or (metadata.codec.model if metadata.codec else None)
        try:
            self.codec = XCodec2Model.from_pretrained(name or "", decoder_only=True).eval()
        except XCodec2Error as problem:
            raise LlasaError(
                "for audio samples at each validation name the codec as codec=..., or set "
                f"audio_samples=0 ({problem})"
            ) from problem

    def on_evaluate(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Speak the texts into `samples/STEP`, in the first process alone."""
        if not state.is_world_process_zero or model is None or state.global_step == self.spoken_at:
            return
        self.spoken_at = state.global_step  # once, however many losses a validation has
        folder = Path(self.recipe.out) / "samples" / f"{state.global_step:06d}"
        folder.mkdir(parents=True, exist_ok=True)
        model = getattr(model, "module", model)
        was_training = model.training
        whole = self.finished(model.eval()).eval()
        backend = InProcess(LanguageModel("training", whole, self.prompts, self.metadata))
        asked = [self.prompts.prompt(text) for text in self.texts]
        sampling = Sampling(max_tokens=500)
        spoken = backend.generate(asked, list(range(len(asked))), sampling)
        with open(folder / "samples.tsv", "w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, delimiter="\t")
            table.writerow(["file", "tokens", "finished", "text"])
            for number, (text, item) in enumerate(zip(self.texts, spoken, strict=True)):
                waveform = self.codec.decode(torch.from_numpy(item.codes))
                save_audio(folder / f"{number}.wav", waveform.clamp(-1, 1), self.codec.sample_rate)
                table.writerow([f"{number}.wav", len(item.codes), item.finished, text])
        model.train(was_training)
