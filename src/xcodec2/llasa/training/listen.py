"""Validation by listening: the same few texts, spoken anew at each validation, as audio beside the
log.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from xcodec2 import XCodec2Model
from xcodec2.audio.io import save_audio
from xcodec2.errors import XCodec2Error
from xcodec2.llasa.backends.local import InProcess, Sampling
from xcodec2.llasa.lm import About, LanguageModel
from xcodec2.llasa.prompts import Prompts
from xcodec2.llasa.training.recipe import Recipe
from xcodec2.llasa.training.rows import Rows, example
from xcodec2.llasa.vocabulary import LlasaError


class Listen(TrainerCallback):
    """Writes OUT/samples/STEP/N.wav, and samples.tsv with the texts and lengths; in the main
    process only.
    """

    def __init__(self, recipe: Recipe, prompts: Prompts, about: About, rows: list[Rows]) -> None:
        self.recipe, self.prompts, self.about = recipe, prompts, about
        self.texts = texts(rows, prompts, recipe.listen)
        name = recipe.codec or (about.codec.model if about.codec else None)
        try:
            self.codec = XCodec2Model.from_pretrained(name or "", decoder_only=True).eval()
        except XCodec2Error as problem:
            raise LlasaError(
                f"to listen, name the codec as codec=..., or set listen=0 ({problem})"
            ) from problem

    def on_evaluate(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        if not state.is_world_process_zero or model is None:
            return
        folder = Path(self.recipe.out) / "samples" / f"{state.global_step:06d}"
        folder.mkdir(parents=True, exist_ok=True)
        model = getattr(model, "module", model)
        was_training = model.training
        backend = InProcess(LanguageModel("training", model.eval(), self.prompts, self.about))
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


def texts(rows: list[Rows], prompts: Prompts, count: int) -> list[str]:
    """The texts of the first good validation rows."""
    found: list[str] = []
    for split in rows:
        for index in range(len(split)):
            if len(found) == count:
                return found
            try:
                ids = example(split[index], prompts.vocabulary)
            except LlasaError:
                continue
            end = int((ids == prompts.vocabulary.text_end).argmax())
            found.append(str(prompts.tokenizer.decode(ids[1:end])))
    return found
