"""Does a change leave every code, sample and weight as it was? Two checkouts, bit for bit.

    git worktree add ../before v0.1.0
    # the compiled activation
    (cd ../before && PYTHONPATH=src python -m xcodec2.codec.kernels.build)
    python scripts/compare_states.py ../before .
    python scripts/compare_states.py ../before . --only nano onnx  # parts of it, in seconds

Each checkout runs the same battery in a process of its own, with one thread: nano on real speech
(one by one, mixed lengths, windows over long audio, streams, bfloat16, int8); XCodec2, NeuCodec and
the spectrogram encoder at small sizes with the tests' random weights, with gradients, too;
checkpoints in every form that is written; ONNX; extraction; and training of codec and semantic
encoder, resumed once. What comes out is compared bit for bit, or, with a number for how far apart
it is, listed. The exit status is 1 if anything differs.

Only public names are called, the tests' helpers of each checkout, and few inner modules, by any of
the names that they have had: so a checkout of years ago can stand on one side.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

RATE = 16_000
PIECES = ((0, 16_000), (3000, 4000), (5000, 45_123), (20_000, 20_320), (100, 50_000), (0, 16_000))
STEPS = 4  # of training
AUGMENTATION = ("tempo", "pitch", "reverb", "band")  # beside that of the tests' recipe
Results = Iterator[tuple[str, Any]]


# ---- the battery ---------------------------------------------------------------------------------


def speech() -> np.ndarray:
    """(N,) float32 at 16 kHz: the clip in the package, the same in every checkout."""
    from tiny import speech

    return speech().numpy()


def round_trip(model: Any) -> Results:
    """Codes and waveforms of one model, by every way through the public interface."""
    import torch

    whole = speech()
    pieces = [whole[start:stop] for start, stop in PIECES]
    codes = model.encode(whole, RATE)
    together = model.encode(pieces, RATE)
    yield "codes", codes.codes
    yield "codes of a mixed batch", [item.codes for item in together]
    yield "codes one by one", [model.encode(piece, RATE).codes for piece in pieces]
    yield "waveform", model.decode(codes)
    yield "waveforms of a mixed batch", model.decode(together)
    yield "stream", list(model.stream_decode(codes.codes.split(7), step=10, look_back=30))
    rows = torch.from_numpy(np.stack([whole[:20_000], whole[10_000:30_000]]))
    yield "encode_code", model.encode_code(rows)
    yield "decode_code", model.decode_code(model.encode_code(rows))


def long_audio(model: Any) -> Results:
    """More than a minute: windows."""
    repeated = np.tile(speech(), -(-62 * RATE // len(speech())))
    codes = model.encode(repeated, RATE)
    yield "codes of a minute and more", codes.codes
    yield "waveform of a minute and more", model.decode(codes)


def gradients(model: Any) -> Results:
    """The whole network with gradients, as training runs it."""
    import torch

    waveform = torch.from_numpy(speech()[None, :16_000])
    made = model.train(False)(waveform)
    made.square().mean().backward()
    yield "reconstruction with gradients", made.detach()
    yield "gradients", {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()


def nano() -> Results:
    import torch

    from xcodec2 import XCodec2Model

    model = XCodec2Model.from_pretrained()
    yield "hash of the weights", model.weights_hash
    yield from round_trip(model)
    yield from long_audio(model)
    codes = model.encode(speech(), RATE)
    for dtype in (torch.bfloat16, torch.int8):
        low = XCodec2Model.from_pretrained(dtype=dtype)
        yield f"{dtype} codes", low.encode(speech(), RATE).codes
        yield f"{dtype} waveform", low.decode(codes)
        yield f"{dtype} batch", low.decode([codes.codes[:40], codes.codes[10:30]])
    yield "decoder only", XCodec2Model.from_pretrained(decoder_only=True).decode(codes)


def small(name: str) -> Callable[[], Results]:
    def results() -> Results:
        import tiny

        model = tiny.random_model(getattr(tiny, name))
        yield "random weights", dict(model.state_dict())
        yield from round_trip(model)
        yield from long_audio(model)
        yield from gradients(model)
        yield from checkpoints(model)

    return results


def checkpoints(model: Any) -> Results:
    """What is written, and what is read from it again."""
    from xcodec2 import XCodec2Model

    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(f"{folder}/saved")
        yield "saved", file_hashes(Path(folder, "saved"))
        yield "read", dict(XCodec2Model.from_pretrained(f"{folder}/saved").state_dict())
        if model.config.acoustic_encoder == "waveform":
            command("convert", f"{folder}/saved", f"{folder}/original", "--to", "original")
            yield "original's form", file_hashes(Path(folder, "original"))
            back = XCodec2Model.from_pretrained(f"{folder}/original")
            yield "read from the original's form", back.encode(speech(), RATE).codes


def onnx() -> Results:
    import tiny

    from xcodec2.onnx import OnnxCodec
    from xcodec2.onnx.export import export

    with tempfile.TemporaryDirectory() as folder:
        for name in ("nano", "XCODEC2", "NEUCODEC"):
            source = name
            if name != "nano":
                source = f"{folder}/{name}"
                tiny.random_model(getattr(tiny, name)).save_pretrained(source)
            export(source, f"{folder}/onnx-{name}")
            codec = OnnxCodec(f"{folder}/onnx-{name}", threads=1)
            codes = codec.encode(speech(), RATE)
            yield f"{name} codes", np.asarray(codes)
            yield f"{name} waveform", np.asarray(codec.decode(codes))


def extraction() -> Results:
    import tiny
    import torch

    from xcodec2 import XCodec2Model

    encoding = importlib.import_module("xcodec2.extract.encoding")
    encode = getattr(encoding, "encode_exactly", None) or encoding.encode  # its name before
    generator = np.random.default_rng(0)
    starts = generator.integers(0, len(speech()) - 30_000, 40)
    pieces = [speech()[s : s + generator.integers(3000, 30_000)] for s in starts]
    for name, model in (
        ("nano", XCodec2Model.from_pretrained()),
        ("XCODEC2", tiny.random_model(tiny.XCODEC2)),
        ("NEUCODEC", tiny.random_model(tiny.NEUCODEC)),
    ):
        yield name, encode(model, [torch.from_numpy(piece) for piece in pieces], 40.0)
    rows = torch.from_numpy(np.stack([speech()[s : s + 16_000] for s in starts[:8]]))
    certain = encoding.certain_codes(XCodec2Model.from_pretrained(), list(rows))
    yield "which rows of a batch are certain", [codes is not None for codes in certain]


def training() -> Results:
    import training as helpers

    from xcodec2 import XCodec2Model

    with same_folder() as folder:
        recipe = helpers.write_recipe(folder)
        lines = recipe.read_text().splitlines(keepends=True)  # but a loss that 0.1.0 did not have
        recipe.write_text("".join(line for line in lines if not line.startswith("consistency")))
        for run, steps in (("whole", STEPS), ("resumed", STEPS // 2)):
            command("train", str(recipe), *settings(folder / run, steps))
        command("train", str(recipe), *settings(folder / "resumed", STEPS), "--resume")
        for run in ("whole", "resumed"):
            yield f"{run}: state", states(folder / run)
        yield "resumed is whole", states(folder / "whole") == states(folder / "resumed")
        augmented = [f"data.augment.{name}=0.5" for name in AUGMENTATION]
        command("train", str(recipe), *settings(folder / "augmented", 2), *augmented)
        yield "augmented: state", states(folder / "augmented")
        yield from started(folder, recipe, XCodec2Model)


def started(folder: Path, recipe: Path, model: Any) -> Results:
    """From a checkpoint with the waveform encoder, whose weight norm is parted for training."""
    import tiny

    tiny.random_model(tiny.XCODEC2).save_pretrained(folder / "start")
    table = recipe.read_text().partition("[model]")[0]
    recipe.write_text(table + f'[start]\ncheckpoint = "{folder / "start"}"\n')
    command("train", str(recipe), *settings(folder / "started", 2))
    yield "from a checkpoint: state", states(folder / "started")
    for written in sorted((folder / "started").rglob("model.safetensors")):
        yield f"from a checkpoint: {written.parent.name}", file_hashes(written.parent)


def distillation() -> Results:
    import training as helpers

    with same_folder() as folder:
        helpers.write_speech(folder / "speech", count=2)
        (folder / "features").mkdir()
        generator = np.random.default_rng(0)
        for clip in ("0.flac", "1.flac"):
            np.save(folder / "features" / f"{clip}.npy", generator.standard_normal((21, 4)))
        recipe = folder / "recipe.toml"
        parts = (
            helpers if hasattr(helpers, "TEACHER") else importlib.import_module("test_train_parts")
        )
        recipe.write_text(parts.TEACHER.format(folder=folder) + helpers.MODEL)
        command("train", str(recipe), "run.steps=3", 'teacher.phones=""')
        yield "state", states(folder / "run")


PARTS: dict[str, Callable[[], Results]] = {
    "nano": nano,
    "xcodec2": small("XCODEC2"),
    "neucodec": small("NEUCODEC"),
    "spectrogram": small("SPECTROGRAM"),
    "onnx": onnx,
    "extraction": extraction,
    "training": training,
    "distillation": distillation,
}


def settings(out: Path, steps: int) -> list[str]:
    return [f"run.out={out}", f"run.steps={steps}", "run.save_every=1"]


def command(*arguments: str) -> None:
    """The command line of the checkout that is on the path."""
    run = subprocess.run(
        [sys.executable, "-m", "xcodec2.cli", *arguments], capture_output=True, text=True
    )
    if run.returncode:
        raise RuntimeError(f"xcodec2 {' '.join(arguments)}: {run.stderr.strip()[-2000:]}")


@contextlib.contextmanager
def same_folder() -> Iterator[Path]:
    """An empty folder whose name is the same on both sides: crops of recordings depend on it."""
    folder = Path("run").resolve()
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


def states(run: Path) -> str:
    """One hash over the tensors of a run's newest checkpoint, whatever their names there."""
    import torch

    newest = max(run.rglob("step-*.pt"))
    state = torch.load(newest, map_location="cpu", weights_only=True)
    found = sorted(digest(leaf) for leaf in leaves(state) if isinstance(leaf, torch.Tensor))
    return f"{len(found)} tensors, {hashlib.sha256(' '.join(found).encode()).hexdigest()[:16]}"


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, (dict, list, tuple)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from leaves(part)
    else:
        yield value


def digest(tensor: Any) -> str:
    """Shape, type and content, however the numbers lie in memory."""
    array = to_array(tensor)
    content = f"{array.dtype}{array.shape}".encode() + array.tobytes()
    return hashlib.sha256(content).hexdigest()[:16]


def to_array(tensor: Any) -> np.ndarray:
    if isinstance(tensor, np.ndarray):
        return tensor
    tensor = tensor.detach().cpu().contiguous()
    return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()


def file_hashes(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        for path in sorted(folder.iterdir())
    }


# ---- one checkout, in its own process ------------------------------------------------------------


def run_battery(parts: list[str], out: Path) -> None:
    """Write what `parts` give on this process's path to `out`, an .npz with one array an entry."""
    import torch

    torch.set_num_threads(1)
    arrays: dict[str, np.ndarray] = {}
    for part in parts:
        began = time.perf_counter()
        for name, value in PARTS[part]():
            for place, leaf in entries(value):
                arrays[f"{part}: {name}{place}"] = (
                    to_array(leaf) if hasattr(leaf, "shape") else np.asarray(str(leaf))
                )
        print(f"  {part}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    np.savez(out, **arrays)


def entries(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """What a result consists of, each with its place in it."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from entries(part, f"{place} {key}")
    elif isinstance(value, (list, tuple)):
        for number, part in enumerate(value):
            yield from entries(part, f"{place} [{number}]")
    else:
        yield place, value


def results_of(checkout: Path, parts: list[str], out: Path) -> dict[str, np.ndarray]:
    print(f"{checkout}", file=sys.stderr)
    tests = [str(checkout / folder) for folder in ("tests", "tests/helpers")]
    path = os.pathsep.join([str(checkout / "src"), *tests])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    subprocess.run(
        [sys.executable, __file__, "--battery", str(out), "--only", *parts],
        env=environment, cwd=out.parent, check=True,
    )  # fmt: skip
    with np.load(out, allow_pickle=False) as arrays:
        return dict(arrays)


def differences(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> Iterator[str]:
    """A line for each entry that is not the same in both, bit for bit."""
    for name in sorted(before.keys() | after.keys()):
        if name not in before or name not in after:
            yield f"{name}: only {'after' if name in after else 'before'}"
            continue
        old, new = before[name], after[name]
        if (old.dtype, old.shape) != (new.dtype, new.shape):
            yield f"{name}: {old.dtype}{old.shape} became {new.dtype}{new.shape}"
        elif old.tobytes() != new.tobytes():
            if old.dtype.kind in "fiu":
                apart = np.abs(old.astype(np.float64) - new.astype(np.float64))
                yield f"{name}: {(apart > 0).mean():.2%} differ, by {apart.max():.3g} at most"
            else:
                yield f"{name}: {old} became {new}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before", type=Path, nargs="?", help="a checkout")
    parser.add_argument("after", type=Path, nargs="?", help="another")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--battery", type=Path, help=argparse.SUPPRESS)  # how it calls itself
    options = parser.parse_args()
    if options.battery:
        run_battery(options.only, options.battery)
        return
    if not options.before or not options.after:
        parser.error("give two checkouts")
    with tempfile.TemporaryDirectory() as folder:
        both = [
            results_of(checkout.resolve(), options.only, Path(folder, f"{name}.npz"))
            for name, checkout in (("before", options.before), ("after", options.after))
        ]
    for part in options.only:
        before, after = (
            {name: array for name, array in side.items() if name.startswith(f"{part}: ")}
            for side in both
        )
        found = list(differences(before, after))
        size = sum(array.nbytes for array in after.values())
        state = f"{len(found)} DIFFER" if found else "the same"
        print(f"{part:<14}{len(after):>6} entries {size:>12,} bytes   {state}")
        for line in found[:40]:
            print(f"    {line}")
    sys.exit(any(differences(*both)))


if __name__ == "__main__":
    main()
