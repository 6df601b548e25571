"""Training the CTC model on an extraction with phonemes and words: minutes on a CPU core.

Every epoch has another order; batches hold codes of similar lengths. A checkpoint has weights,
optimizer and step, and all randomness comes of seed and step, so a run that was killed goes on as
if it had not been.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F

from xcodec2.codec.defaults import float32_parameters
from xcodec2.corpus.extraction import open_extraction
from xcodec2.errors import TranscriptionError
from xcodec2.files import replacing
from xcodec2.identity import CodecIdentity
from xcodec2.transcribe.decoding import BLANK
from xcodec2.transcribe.network import CtcConfig, CtcNetwork, Emissions
from xcodec2.transcribe.transcriber import Transcriber

CHECKPOINT = "checkpoint.pt"
MODEL = "ctc.safetensors"
CHARACTERS = " 'abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class CtcRecipe:
    """Every number of a run.

    Attributes:
        steps: Of the optimizer.
        batch: Codes in a batch, padding included.
        learning_rate: At its highest, after `warmup` steps; falls as a cosine to a tenth.
        warmup: Steps.
        weight_decay: Of AdamW.
        hide: Share of the codes that are hidden, in spans of `span`.
        span: Codes in a hidden span.
        seed: Of weights, order and hidden spans.
        save_every: Steps between checkpoints.
        width: Of the network; see `CtcConfig`.
        blocks: Of the network.
        kernel: Of the network.
        dropout: Of the network.
        precision: Of matrix products.
    """

    steps: int = 4000
    batch: int = 8000
    learning_rate: float = 2e-3
    warmup: int = 200
    weight_decay: float = 0.01
    hide: float = 0.1
    span: int = 5
    seed: int = 0
    save_every: int = 200
    width: int = 256
    blocks: int = 10
    kernel: int = 11
    dropout: float = 0.1
    precision: Literal["float32", "bfloat16"] = "float32"


@dataclass(frozen=True)
class Utterance:
    """One utterance: codes (T,), and its symbols as both outputs number them."""

    codes: np.ndarray
    phones: tuple[int, ...]
    characters: tuple[int, ...]


def train_ctc(
    source: str | Sequence[str],
    out: str | Path,
    recipe: CtcRecipe | None = None,
    *,
    report: Callable[[int, float], None] = lambda step, loss: None,
) -> Transcriber:
    """Train on an extraction with the columns `phonemes` and `words`.

    A run that was interrupted goes on from its checkpoint in OUT.

    Args:
        source: What `scripts/prepare_llasa_corpus.py` wrote, or any extraction with these columns;
            several of one codec together.
        out: Folder for the checkpoint and the finished model, OUT/ctc.safetensors.
        recipe: Every number of the run.
        report: Is called with each step and its loss per symbol.

    Returns:
        The finished model.

    Raises:
        TranscriptionError: There is nothing to learn, the folder holds another run, or the loss is
            not finite.
    """
    recipe, out = recipe or CtcRecipe(), Path(out)
    out.mkdir(parents=True, exist_ok=True)
    sources = [source] if isinstance(source, str) else list(source)
    read = [labeled_codes(one) for one in sources]
    codec = read[0][1]
    for name, (_, other) in zip(sources[1:], read[1:], strict=True):
        other.check(codec, name, sources[0])
    rows = [row for some, _ in read for row in some]
    phones = "".join(sorted({one for _, heard, _ in rows for one in heard}))
    examples = [
        Utterance(codes, indices(heard, phones), indices(words, CHARACTERS))
        for codes, heard, words in rows
    ]
    examples = [item for item in examples if fits(item)]
    if not examples:
        raise TranscriptionError(
            f"{', '.join(sources)}: no row has codes, phonemes and words to learn from"
        )
    torch.manual_seed(recipe.seed)
    sizes = (codec.codebook_size, recipe.width, recipe.blocks, recipe.kernel)
    with float32_parameters():
        network = CtcNetwork(CtcConfig(phones, CHARACTERS, *sizes, dropout=recipe.dropout))
    optimizer = torch.optim.AdamW(
        network.parameters(), recipe.learning_rate, (0.9, 0.98), weight_decay=recipe.weight_decay
    )
    identity = {"recipe": asdict(recipe), "codec": asdict(codec), "phones": phones}
    first = resume(out / CHECKPOINT, identity, network, optimizer)
    for step, batch in enumerate(batches(examples, recipe, first), first):
        loss = ctc_step(network, optimizer, batch, recipe, step)
        report(step, loss)
        if (step + 1) % recipe.save_every == 0 or step + 1 == recipe.steps:
            write_checkpoint(out / CHECKPOINT, identity, network, optimizer, step + 1)
    made = Transcriber(network.eval(), codec)
    made.save(out / MODEL)
    return made


def labeled_codes(source: str) -> tuple[list[tuple[np.ndarray, str, str]], CodecIdentity]:
    """(codes, phonemes, words) of every row without an error, and whose codes they are."""
    found = open_extraction(source, columns=("codes", "phonemes", "words"))
    facts = found.facts
    codec = CodecIdentity(
        model=facts.get("model"),
        weights_hash=facts.get("weights_hash"),
        codebook_size=int(facts.get("codebook_size", CodecIdentity.codebook_size)),
        frame_rate=int(float(facts.get("frame_rate", CodecIdentity.frame_rate))),
    )
    kind = np.uint16 if codec.codebook_size <= 1 << 16 else np.uint32
    rows = []
    for shard in found.shards():
        for row in shard.rows(["codes", "phonemes", "words"]):
            if row["codes"] and row["phonemes"] and row["words"]:
                codes = np.asarray(row["codes"], kind)
                rows.append((codes, str(row["phonemes"]), str(row["words"]).lower()))
    return rows, codec


def indices(text: str, symbols: str) -> tuple[int, ...]:
    """Numbers of a text's symbols, from 1; what is no symbol is left out."""
    numbers = {symbol: place for place, symbol in enumerate(symbols, 1)}
    letters = unicodedata.normalize("NFKD", text)  # é is an e with an accent that is no symbol
    bare = "".join(one for one in letters if one in numbers or one in " -").replace("-", " ")
    return tuple(numbers[one] for one in " ".join(bare.split()) if one in numbers)


def fits(item: Utterance) -> bool:
    """Whether CTC can align the symbols to the codes: one code each, and a blank between equals."""

    def needed(symbols: tuple[int, ...]) -> int:
        return len(symbols) + sum(one == two for one, two in pairwise(symbols))

    return all(0 < needed(part) <= len(item.codes) for part in (item.phones, item.characters))


def batches(examples: list[Utterance], recipe: CtcRecipe, first: int) -> Iterator[list[Utterance]]:
    """Batches of the steps from `first` on."""
    step = epoch = 0
    while step < recipe.steps:
        for batch in epoch_batches(examples, recipe, epoch):
            if step == recipe.steps:
                return
            if step >= first:
                yield batch
            step += 1
        epoch += 1


def epoch_batches(
    examples: list[Utterance], recipe: CtcRecipe, epoch: int
) -> list[list[Utterance]]:
    """One epoch: sorted by length with some noise, cut into batches, which are shuffled."""
    rng = np.random.default_rng([recipe.seed, epoch])
    noisy = [len(item.codes) * rng.uniform(0.9, 1.1) for item in examples]
    found: list[list[Utterance]] = [[]]
    longest = 0
    for place in np.argsort(noisy):
        longest = max(longest, len(examples[place].codes))
        if found[-1] and longest * (len(found[-1]) + 1) > recipe.batch:
            found.append([])
            longest = len(examples[place].codes)
        found[-1].append(examples[place])
    return [found[place] for place in rng.permutation(len(found))]


def ctc_step(
    network: CtcNetwork,
    optimizer: torch.optim.Optimizer,
    batch: list[Utterance],
    recipe: CtcRecipe,
    step: int,
) -> float:
    """One step; the loss in nats per symbol, phones and characters together.

    Raises:
        TranscriptionError: The loss is not finite; the weights are those of before.
    """
    generator = torch.Generator().manual_seed(recipe.seed * 1_000_003 + step)
    torch.manual_seed(recipe.seed * 1_000_003 + step)  # of dropout
    lengths = torch.tensor([len(item.codes) for item in batch], device="cpu")
    codes = torch.zeros(len(batch), int(lengths.max()), dtype=torch.int64, device="cpu")
    for row, item in enumerate(batch):
        codes[row, : len(item.codes)] = torch.from_numpy(item.codes.astype(np.int64))
    dice = torch.rand(codes.shape, generator=generator, dtype=torch.float32, device="cpu")
    begins = dice < recipe.hide / recipe.span
    hidden = F.max_pool1d(begins.float(), recipe.span, 1, recipe.span // 2)[:, : codes.shape[1]] > 0
    network.train()
    with torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "bfloat16"):
        emissions = network(codes, lengths, hidden)
    loss = ctc_loss(emissions, lengths, batch)
    if not torch.isfinite(loss):
        raise TranscriptionError(f"the loss of step {step} is not finite: lower learning_rate")
    for group in optimizer.param_groups:
        group["lr"] = recipe.learning_rate * schedule(step, recipe)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()
    return float(loss.detach())


def ctc_loss(emissions: Emissions, lengths: torch.Tensor, batch: list[Utterance]) -> torch.Tensor:
    """Mean over symbols of the two outputs' losses."""
    total = torch.zeros((), dtype=torch.float32, device="cpu")
    for log_probabilities, targets in (
        (emissions.phones, [item.phones for item in batch]),
        (emissions.characters, [item.characters for item in batch]),
    ):
        flat = torch.tensor([symbol for target in targets for symbol in target], device="cpu")
        sizes = torch.tensor(list(map(len, targets)), device="cpu")
        summed = F.ctc_loss(
            log_probabilities.transpose(0, 1), flat, lengths, sizes, BLANK, reduction="sum"
        )
        total = total + summed / len(flat)
    return total / 2


def schedule(step: int, recipe: CtcRecipe) -> float:
    """Share of the learning rate: up in a line, down as a cosine to a tenth."""
    if step < recipe.warmup:
        return (step + 1) / recipe.warmup
    done = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return 0.55 + 0.45 * math.cos(math.pi * min(1.0, done))


def resume(
    path: Path, identity: dict[str, Any], network: CtcNetwork, optimizer: torch.optim.Optimizer
) -> int:
    """The step to go on from, with weights and optimizer of then; 0 without a checkpoint.

    Raises:
        TranscriptionError: The checkpoint is of another run, or damaged.
    """
    if not path.is_file():
        return 0
    try:
        state = torch.load(path, weights_only=True)
        if state["identity"] != identity:
            raise TranscriptionError(
                f"{path}: of a run with another recipe, codec or corpus; choose another OUT"
            )
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        return int(state["step"])
    except TranscriptionError:
        raise
    except Exception as problem:  # torch.load raises many types
        raise TranscriptionError(f"{path}: damaged ({type(problem).__name__})") from problem


def write_checkpoint(
    path: Path,
    identity: dict[str, Any],
    network: CtcNetwork,
    optimizer: torch.optim.Optimizer,
    step: int,
) -> None:
    """Whole or not at all."""
    state = {
        "identity": identity,
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "step": step,
    }
    with replacing(path, TranscriptionError) as file:
        torch.save(state, file)
