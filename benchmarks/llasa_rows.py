"""How rows composed of bytes or digits learn beside the full table, at equal CPU time.

    python benchmarks/llasa_rows.py rows --seconds 60
    python benchmarks/llasa_rows.py rows --seconds 60 --recipe phonemes shape.num_hidden_layers=4

Each kind trains a model of the recipe's shape on the same packs, in the same order, until its
process has computed for so long, and is then asked for the loss of validation packs: bits for a
code, with the right text and with another row's. Timings of one machine; the ratios are the point.
"""

import argparse
import json
import math
import time
from dataclasses import replace
from pathlib import Path

import torch

from xcodec2.llasa.track import Track
from xcodec2.llasa.training.model import build_model, small_table
from xcodec2.llasa.training.packs import VIEWS, Packs
from xcodec2.llasa.training.recipe import LlasaRecipe, read_llasa_recipe
from xcodec2.llasa.training.train import prompts_of, rows_codec, rows_metadata, splits

KINDS = ("free", "bytes", "digits")


def learn(recipe: LlasaRecipe, seconds: float) -> dict:
    """Train for so many CPU seconds; what came of it."""
    torch.manual_seed(recipe.seed)
    codec = rows_codec(recipe)
    prompts = prompts_of(recipe, codec)
    table = small_table(recipe, prompts, [])
    track = Track.of(prompts) if rows_metadata(recipe, codec, ()).track else None
    model = build_model(recipe, prompts, table)
    optimizer = torch.optim.AdamW(
        model.parameters(), recipe.learning_rate, recipe.betas, weight_decay=recipe.weight_decay
    )
    packs = iter(Packs(splits(recipe, "train"), prompts, recipe, table, track, training=True))
    start, steps = time.process_time(), 0
    while time.process_time() - start < seconds:
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * min(1.0, (steps + 1) / 20)
        loss_of(model, next(packs)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        steps += 1
    took = time.process_time() - start
    bits = {}
    for view in VIEWS[1:]:
        held = Packs(splits(recipe, "val"), prompts, recipe, table, track, view=view)
        with torch.inference_mode():
            losses = [float(loss_of(model, pack)) for pack in held]
        bits[view] = sum(losses) / len(losses) / math.log(2)
    count = sum(weight.numel() for weight in model.parameters())
    rate = steps * recipe.length / took
    return {"steps": steps, "tokens_per_second": round(rate), "parameters": count, "bits": bits}


def loss_of(model: torch.nn.Module, pack: dict[str, torch.Tensor]) -> torch.Tensor:
    """The mean of a pack's labels in nats, in bfloat16."""
    with torch.autocast("cpu", torch.bfloat16):
        return model(**{name: tensor[None] for name, tensor in pack.items()}).loss


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", type=Path)
    parser.add_argument("--seconds", type=float, default=60, help="of CPU time for each kind")
    parser.add_argument("--recipe", default="phonemes")
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("changes", nargs="*", help="KEY=VALUE changes of the recipe")
    args = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    changes = [f'rows=["{args.rows}"]', "copy_steps=0", *args.changes]
    recipe = read_llasa_recipe(args.recipe, changes)
    for kind in args.kinds:
        found = learn(replace(recipe, code_rows=kind), args.seconds)
        print(json.dumps({"rows": kind, **found}), flush=True)


if __name__ == "__main__":
    main()
