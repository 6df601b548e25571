"""Train nano, the model inside the package, by plain reconstruction.

    python scripts/prepare_nano_data.py
    torchrun --nproc-per-node 2 scripts/train_nano.py --out runs/nano --steps 6000
    torchrun --nproc-per-node 2 scripts/train_nano.py --out runs/nano --steps 6000    # after an interruption: resumes
    python scripts/train_nano.py --out runs/nano --export src/xcodec2/models/nano

One process a core is faster than one process with all of them; without torchrun it runs as one. Learning rate:
warm-up, constant, and a linear descent over the last quarter, so that a run can be prolonged from a checkpoint
made before the descent.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import time
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
import torch.distributed as dist
from torch import Tensor

from xcodec2 import XCodec2Config, XCodec2Model
from xcodec2.train.losses import (
    MEL_WINDOWS,
    level_balance,
    log_magnitude_loss,
    mel_loss,
    spectral_convergence,
)

NANO = XCodec2Config(
    semantic_width=192,
    semantic_layers=3,
    semantic_heads=3,
    semantic_ffn=768,
    acoustic_encoder="spectrogram",
    spectrogram_layers=3,
    width=256,
    layers=6,
    heads=4,
    ffn=1024,
    dropout=0.0,
)
LINEAR_WINDOWS = (512, 1024, 2048)
WEIGHTS = {"mel": 1.0, "convergence": 0.2, "log_magnitude": 0.2, "balance": 0.1}
PEAK_RATE, FINAL_SHARE, WARM_UP, DESCENT = 1e-3, 0.03, 200, 0.25
EMA_DECAY = 0.999
VALIDATION_CLIPS = 12


class Crops:
    """Random augmented crops from a manifest's files, all held in memory as 16-bit samples."""

    def __init__(self, manifest: Path, samples: int) -> None:
        self.samples = samples
        self.by_source: dict[str, list[np.ndarray]] = {}
        with manifest.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                waveform, _ = soundfile.read(manifest.parent / row["path"], dtype="int16")
                self.by_source.setdefault(row["source"], []).append(waveform)
        self.sources = sorted(self.by_source)
        sizes = [sum(map(len, self.by_source[source])) for source in self.sources]
        self.shares = [size**0.5 for size in sizes]  # between equal and proportional: no source dominates
        self.lengths = {source: [len(w) for w in self.by_source[source]] for source in self.sources}

    def batch(self, size: int, rng: random.Random) -> Tensor:
        return torch.stack([self.crop(rng) for _ in range(size)])

    def crop(self, rng: random.Random) -> Tensor:
        """Speed, and with it pitch, changed by up to 18 %; level by -18 … +6 dB, without clipping."""
        source = rng.choices(self.sources, self.shares)[0]
        waveform = rng.choices(self.by_source[source], self.lengths[source])[0]
        speed = rng.uniform(0.85, 1.18) if rng.random() < 0.7 else 1.0
        wanted = int(self.samples * speed) + 1
        start = rng.randrange(max(len(waveform) - wanted, 0) + 1)
        piece = waveform[start : start + wanted].astype(np.float32) / 32768
        if speed != 1.0:
            piece = soxr.resample(piece, speed * 16_000, 16_000, "MQ")
        gain = min(10 ** (rng.uniform(-18, 6) / 20), 0.99 / max(float(np.abs(piece).max()), 1e-3))
        out = np.zeros(self.samples, np.float32)
        out[: len(piece)] = gain * piece[: self.samples]
        return torch.from_numpy(out)


def losses(model: XCodec2Model, target: Tensor, rng: random.Random) -> dict[str, Tensor]:
    with torch.autocast(target.device.type, torch.bfloat16):
        latent = model.latent(model.pad(target))
        vectors, _ = model.quantizer(latent)
        predicted = model.acoustic_decoder(vectors)[:, : target.shape[-1]]
    mel_windows, linear_window = rng.sample(MEL_WINDOWS, 3), rng.choice(LINEAR_WINDOWS)
    mels = [mel_loss(predicted, target, window, model.sample_rate) for window in mel_windows]
    with torch.autocast(target.device.type, enabled=False):
        balance = level_balance(model.quantizer.project(latent.float()))
    return {
        "mel": torch.stack(mels).mean(),
        "convergence": spectral_convergence(predicted, target, linear_window),
        "log_magnitude": log_magnitude_loss(predicted, target, linear_window),
        "balance": balance,
    }


def quiet_start(model: XCodec2Model) -> None:
    """Begin with speech's level and phases all around the circle; from PyTorch's own start, 100 steps go on that."""
    head = model.acoustic_decoder.head.linear
    bins = head.out_features // 2
    with torch.no_grad():
        head.bias[:bins] -= 4
        head.weight[bins:] *= 4


def average_gradients(model: XCodec2Model, world: int) -> None:
    """One gradient for all processes."""
    if world > 1:
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient) / world)


def follow(average: Tensor, current: Tensor, updates: Tensor) -> Tensor:
    """Exponential moving average whose memory grows with what there is to remember."""
    decay = torch.minimum(torch.tensor(EMA_DECAY), (1 + updates) / (10 + updates))
    return torch.lerp(current, average, decay.to(average.device))


def rate_at(step: int, steps: int) -> float:
    descent = max(0.0, 1 - (steps - step) / (DESCENT * steps))
    return PEAK_RATE * min(1.0, (step + 1) / WARM_UP) * (1 - (1 - FINAL_SHARE) * descent)


def validate(model: XCodec2Model, manifest: Path) -> dict[str, float]:
    from pystoi import stoi

    with manifest.open(encoding="utf-8", newline="") as file:
        paths = [manifest.parent / row["path"] for row in csv.DictReader(file, delimiter="\t")]
    plain, extended, codes = [], [], []
    model.eval()
    for path in paths[:: max(1, len(paths) // VALIDATION_CLIPS)]:
        original, rate = soundfile.read(path, dtype="float32")
        encoded = model.encode(original, rate)
        decoded = model.decode(encoded).numpy()
        codes.append(encoded.codes)
        plain.append(stoi(original, decoded, rate))
        extended.append(stoi(original, decoded, rate, extended=True))
    model.train()
    joined = torch.cat(codes)
    return {
        "stoi": float(np.mean(plain)),
        "estoi": float(np.mean(extended)),
        "distinct": joined.unique().numel() / joined.numel(),
    }


def train(args: argparse.Namespace) -> None:
    world, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    if world > 1:
        dist.init_process_group("gloo")
        torch.set_num_threads(1)
    torch.manual_seed(args.seed)  # the same start in every process
    model = XCodec2Model(NANO).to(args.device).train()
    quiet_start(model)
    average = torch.optim.swa_utils.AveragedModel(model, avg_fn=follow)
    optimizer = torch.optim.AdamW(model.parameters(), PEAK_RATE, betas=(0.9, 0.98), weight_decay=0.01)
    first, checkpoint = 0, args.out / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True, map_location=args.device)
        first = saved["step"]
        model.load_state_dict(saved["model"])
        average.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
    crops = Crops(args.data / "train" / "manifest.tsv", args.crop)
    began, heard, sums = time.monotonic(), 0.0, dict.fromkeys(WEIGHTS, 0.0)
    for step in range(first, args.steps):
        rng = random.Random(f"{args.seed} {step} {rank}")  # a step's data depends on nothing but its number
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, args.steps)
        terms = losses(model, crops.batch(args.batch, rng).to(args.device), rng)
        total = sum((WEIGHTS[name] * term for name, term in terms.items()), torch.zeros((), device=args.device))
        if not total.isfinite():
            raise SystemExit(f"step {step}: the loss is {total.item()}; the last checkpoint is {checkpoint}")
        optimizer.zero_grad()
        total.backward()
        average_gradients(model, world)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        average.update_parameters(model)
        if rank:
            continue
        heard += world * args.batch * args.crop / 16_000
        sums = {name: sums[name] + terms[name].item() for name in sums}
        if (step + 1) % args.log_every == 0:
            means = {name: round(total / args.log_every, 4) for name, total in sums.items()}
            log(
                args.out,
                step=step + 1,
                **means,
                audio_per_second=round(heard / (time.monotonic() - began), 1),
            )
            sums = dict.fromkeys(sums, 0.0)
        if (step + 1) % args.save_every == 0 or step + 1 == args.steps:
            state = {"step": step + 1, "model": model.state_dict(), "average": average.state_dict()}
            save(checkpoint, state | {"optimizer": optimizer.state_dict()})
            log(args.out, step=step + 1, **validate(average.module, args.data / "valid" / "manifest.tsv"))


def save(path: Path, state: dict) -> None:
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.replace(path)


def log(folder: Path, **values: float) -> None:
    line = json.dumps(values)
    print(line, flush=True)
    with (folder / "log.jsonl").open("a") as file:
        file.write(line + "\n")


def export(args: argparse.Namespace) -> None:
    """The averaged weights, as float16 safetensors."""
    saved = torch.load(args.out / "checkpoint.pt", weights_only=True, map_location="cpu")
    weights = {key.removeprefix("module."): value for key, value in saved["average"].items() if key != "n_averaged"}
    model = XCodec2Model(NANO)
    model.load_state_dict(weights)
    model.half().save_pretrained(args.export)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/nano"), help="what prepare_nano_data.py wrote")
    parser.add_argument("--out", type=Path, default=Path("runs/nano"), help="checkpoint and log; resumed if present")
    parser.add_argument("--steps", type=int, default=12_000)
    parser.add_argument("--batch", type=int, default=8, help="crops per step")
    parser.add_argument("--crop", type=int, default=30_719, help="samples per crop")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log-every", type=int, default=50)
    parser.add_argument("--save-every", type=int, default=500)
    parser.add_argument("--export", type=Path, help="write the averaged weights to this folder and stop")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    export(args) if args.export else train(args)


if __name__ == "__main__":
    main()
