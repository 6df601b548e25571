"""Moonshine, an English recogniser (Jeffries et al., 2024), quantised ONNX, run greedily."""

from __future__ import annotations

import math

import numpy as np

from xcodec2.evaluators import weights
from xcodec2.evaluators.onnx import session
from xcodec2.evaluators.waveform import SAMPLE_RATE, checked
from xcodec2.extras import require

SHAPES = {"base": (8, 8, 52), "tiny": (6, 8, 36)}  # layers, heads, head width
START, END = 1, 2
MAX_TOKENS = 192
TOKENS_PER_SECOND = 13  # twice what fast speech needs: a decoder that repeats itself stops early
LONGEST = 30 * SAMPLE_RATE  # of one piece; the model takes 64 s and is best on less


class Moonshine:
    languages: frozenset[str] | None = frozenset({"en"})

    def __init__(self, size: str = "base") -> None:
        tokenizers = require("tokenizers", extra="evaluate", purpose="Moonshine")
        self.name = f"Moonshine {size}"
        self.implementation = f"{size}, quantised, {weights.MOONSHINE.described}"
        folder = f"package/dist/model/{size}/quantized"
        self.encoder = session(weights.find(weights.MOONSHINE, f"{folder}/encoder_model.onnx"))
        self.decoder = session(
            weights.find(weights.MOONSHINE, f"{folder}/decoder_model_merged.onnx")
        )
        tokens = weights.find(weights.MOONSHINE_TOKENIZER, "moonshine_onnx/assets/tokenizer.json")
        self.tokenizer = tokenizers.Tokenizer.from_file(str(tokens))
        self.layers, self.heads, self.width = SHAPES[size]

    def transcribe(self, waveform: np.ndarray) -> str:
        """(N,) at 16 kHz → text; speech over 30 s is cut at its quietest moments."""
        pieces = cut_at_pauses(checked(waveform, min_seconds=0.1))
        return " ".join(
            text
            for piece in pieces
            if (text := self.tokenizer.decode(self.generate(piece)).strip())
        )

    def generate(self, samples: np.ndarray) -> list[int]:
        """(N,) → tokens with start and, when it was reached, end."""
        encoded = self.encoder.run(None, {"input_values": samples[None]})[0]
        cache = self.empty_cache()
        tokens = [START]
        most = min(MAX_TOKENS, 8 + math.ceil(TOKENS_PER_SECOND * len(samples) / SAMPLE_RATE))
        while len(tokens) <= most and tokens[-1] != END:
            first = len(tokens) == 1
            inputs = {
                "input_ids": [tokens[-1:]],
                "encoder_hidden_states": encoded,
                "use_cache_branch": [not first],
            }
            logits, *present = self.decoder.run(None, inputs | cache)
            tokens.append(int(logits[0, -1].argmax()))
            for key, value in zip(list(cache), present, strict=True):
                if first or ".decoder." in key:  # what was heard does not change
                    cache[key] = value
        return tokens

    def negative_log_likelihood(self, samples: np.ndarray, tokens: list[int]) -> float:
        """Of the tokens behind the first after (N,) of speech, their mean in nats: all of them in
        one pass.
        """
        encoded = self.encoder.run(None, {"input_values": samples[None]})[0]
        inputs = {
            "input_ids": [tokens[:-1]],
            "encoder_hidden_states": encoded,
            "use_cache_branch": [False],
        }
        logits = self.decoder.run(None, inputs | self.empty_cache())[0][0].astype(np.float64)
        highest = logits.max(-1, keepdims=True)
        logarithms = logits - highest - np.log(np.exp(logits - highest).sum(-1, keepdims=True))
        return -float(logarithms[np.arange(len(tokens) - 1), tokens[1:]].mean())

    def empty_cache(self) -> dict[str, np.ndarray]:
        empty = np.zeros((0, self.heads, 1, self.width), np.float32)
        return {
            f"past_key_values.{layer}.{side}.{part}": empty
            for layer in range(self.layers)
            for side in ("decoder", "encoder")
            for part in ("key", "value")
        }


def cut_at_pauses(samples: np.ndarray) -> list[np.ndarray]:
    """Pieces of at most 30 s, each cut in its last third where 50 ms are quietest."""
    pieces = []
    window = SAMPLE_RATE // 20
    while len(samples) > LONGEST:
        late = samples[2 * LONGEST // 3 : LONGEST]
        energy = np.add.reduceat(late.astype(np.float64) ** 2, np.arange(0, len(late), window))
        cut = 2 * LONGEST // 3 + int(energy.argmin()) * window + window // 2
        pieces.append(samples[:cut])
        samples = samples[cut:]
    if len(samples) >= SAMPLE_RATE // 10:
        pieces.append(samples)
    return pieces
