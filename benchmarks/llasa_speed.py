"""How fast codes are generated: by this package, transformers' own generate and llama.cpp.

    python benchmarks/llasa_speed.py                                  # the bundled model, one core
    python benchmarks/llasa_speed.py --before ../before/src           # beside another checkout
    python benchmarks/llasa_speed.py --kinds package llama.cpp        # 8-bit weights, agreement
    python benchmarks/llasa_speed.py --shape 1b --threads 2 --clock wall --batch 1 --tokens 40 \\
        --kinds package transformers llama.cpp --dtype float32

All are asked in turn, so that other users of the machine disturb all alike; shown are medians of
CPU time, or of wall time on a machine that is otherwise idle. Codes at temperature 0 are compared.
Beside another checkout, the model is the one that that checkout bundles, which both can read.
--shape 1b makes random bfloat16 weights in the shape of Llasa-1B in a temporary folder (3 GB).
llama.cpp runs in its process (xllamacpp) with Q8_0 weights; its agreement is the share of codes
that it gives after the same codes as the package.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

KINDS = ("package", "before", "transformers", "llama.cpp")
ONE_BY_ONE = ("transformers", "llama.cpp")  # batches are not asked of them
SOURCE = str(Path(__file__).resolve().parents[1] / "src")
CLOCKS = {"cpu": time.process_time, "wall": time.perf_counter}
WARM_UP = 20  # codes before the clock starts
BUNDLED = Path("xcodec2", "models", "llasa")
TEXTS = (
    "Please hold while we try to connect you.",
    "Your call cannot be completed as dialed.",
    "The leader has left the conference.",
)


def main() -> None:
    """Parse, ask in turn, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", help="src of another checkout of this package")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["package", "transformers"])
    parser.add_argument("--shape", choices=["bundled", "1b"], default="bundled")
    parser.add_argument("--layers", type=int, default=16, help="of the shape 1b (%(default)s)")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=CLOCKS, default="cpu")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the model is made, and kept")
    parser.add_argument("--bundled", help=argparse.SUPPRESS)
    parser.add_argument("--serve", choices=[*KINDS, "prepare"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.before and "before" not in args.kinds:
        args.kinds.append("before")
    args.bundled = args.bundled or str(Path(args.before or SOURCE, BUNDLED).resolve())
    if args.serve == "prepare":
        prepare(args)
    elif args.serve:
        serve(args)
    else:
        with tempfile.TemporaryDirectory() as name:
            args.folder = args.folder or Path(name)
            start("prepare", args).wait()
            compare(args)


def compare(args: argparse.Namespace) -> None:
    """Start one process for each, and ask them in turn."""
    workers = {kind: start(kind, args) for kind in args.kinds}
    for worker in workers.values():
        ask(worker, batch=1, tokens=1)  # until all are loaded
    for batch in args.batch:
        figures: dict[str, list[float]] = {}
        codes: dict[str, list[list[int]]] = {}
        for _ in range(args.rounds):
            for kind, worker in workers.items():
                if kind not in ONE_BY_ONE or batch == 1:
                    answer = ask(worker, batch=batch, tokens=args.tokens)
                    figures.setdefault(kind, []).append(answer["rate"])
                    codes[kind] = answer["codes"]
        ours = statistics.median(figures[args.kinds[0]])
        for kind, given in codes.items():
            told = ask(workers[kind], after=codes[args.kinds[0]])
            rate = statistics.median(figures[kind])
            print(
                f"batch {batch:<3}{kind:<14}{rate:8.2f} codes/s{rate / ours:7.2f}x  "
                f"{told['memory']:.2f} GiB  "
                f"{'same' if given == codes[args.kinds[0]] else 'other'} codes"
                + (f", agreement {told['agreement']:.3f}" if "agreement" in told else ""),
                flush=True,
            )
    for worker in workers.values():
        worker.stdin.close()
        worker.wait()


def start(kind: str, args: argparse.Namespace) -> subprocess.Popen:
    """A process that generates when it is asked."""
    source = args.before if kind == "before" else SOURCE
    names = ("shape", "layers", "dtype", "threads", "clock", "folder", "bundled")
    options = [part for name in names for part in (f"--{name}", str(getattr(args, name)))]
    kinds = ["--kinds", *args.kinds]
    return subprocess.Popen(
        [sys.executable, __file__, "--serve", kind, *options, *kinds],
        env=os.environ
        | {"PYTHONPATH": os.path.abspath(source), "OMP_NUM_THREADS": str(args.threads)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def ask(worker: subprocess.Popen, **question: object) -> dict:
    """One round of one process."""
    worker.stdin.write(json.dumps(question) + "\n")
    worker.stdin.flush()
    return json.loads(worker.stdout.readline())


def serve(args: argparse.Namespace) -> None:
    """Answer lines; the first codes of each round are a warm-up."""
    make = {"transformers": generate_by_transformers, "llama.cpp": generate_by_llama_cpp}
    generate, agreement = make.get(args.serve, generate_by_package)(args)
    clock = CLOCKS[args.clock]
    for line in sys.stdin:
        question = json.loads(line)
        if "after" in question:
            told = {"memory": peak_memory()}
            if agreement:
                told["agreement"] = agreement(question["after"][0])
        else:
            generate(question["batch"], min(question["tokens"], WARM_UP))
            began = clock()
            codes = generate(question["batch"], question["tokens"])
            took = (clock() - began) / (args.threads if args.clock == "cpu" else 1)
            told = {"rate": sum(map(len, codes)) / took, "codes": codes}
        print(json.dumps(told), flush=True)


def peak_memory() -> float:
    """GiB of this process at most, files that it maps included."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**20


def source_of(args: argparse.Namespace) -> str:
    """The model's folder."""
    return str(args.folder / "model")


def asked_of(owner, row: int):
    """The prompt (L,) of one of the texts for a model or a backend."""
    text = TEXTS[row % len(TEXTS)]
    try:
        from xcodec2.llasa.reading import as_prompted
    except ImportError:  # an older checkout's models read texts as they are
        return owner.prompts.prompt(text)
    return owner.prompts.prompt(as_prompted(text, owner.metadata))


def generate_by_package(args: argparse.Namespace):
    """This package, or another checkout of it, as it speaks."""
    import torch

    from xcodec2.llasa import lm as models
    from xcodec2.llasa.backends.base import Sampling
    from xcodec2.llasa.backends.local import InProcess

    torch.set_num_threads(args.threads)
    load = getattr(models, "load_for_speech", models.load_lm)
    backend = InProcess(load(source_of(args), dtype=getattr(torch, args.dtype)))

    def generate(batch: int, tokens: int) -> list[list[int]]:
        asked = [asked_of(backend, row) for row in range(batch)]
        sampling = Sampling(temperature=0, max_tokens=tokens)
        made = backend.generate(asked, list(range(batch)), sampling)
        return [item.codes.tolist() for item in made]

    return generate, None


def generate_by_transformers(args: argparse.Namespace):
    """transformers' own, with a static cache: as fast as it is without a compiler."""
    import torch

    from xcodec2.llasa.lm import load_lm

    torch.set_num_threads(args.threads)
    lm = load_lm(source_of(args), dtype=getattr(torch, args.dtype))
    vocabulary = lm.prompts.vocabulary
    end, spoken = vocabulary.speech_end, set(vocabulary.code_ids.tolist())

    def generate(batch: int, tokens: int) -> list[list[int]]:
        ids = torch.from_numpy(asked_of(lm, 0))
        made = lm.model.generate(
            input_ids=ids[None],
            attention_mask=torch.ones_like(ids)[None],
            do_sample=False,
            max_new_tokens=tokens,
            eos_token_id=end,
            pad_token_id=0,
            cache_implementation="static",
            disable_compile=True,
        )[0, len(ids) :].tolist()
        return [vocabulary.to_codes([id for id in made if id in spoken]).tolist()]

    return generate, None


def generate_by_llama_cpp(args: argparse.Namespace):
    """llama.cpp in this process, with 8-bit weights."""
    import xllamacpp

    from xcodec2.llasa.lm import load_metadata, load_tokenizer
    from xcodec2.llasa.prompts import Prompts
    from xcodec2.llasa.reading import as_prompted

    params = xllamacpp.CommonParams()
    params.model.path = str(args.folder / "q8.gguf")
    params.hostnames, params.port = ["127.0.0.1"], 0
    params.n_ctx, params.n_parallel = 1024, 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = args.threads
    params.warmup = False
    server = xllamacpp.Server(params)
    prompts = Prompts.of(load_tokenizer(source_of(args)), "llama.cpp")
    prompt = prompts.prompt(as_prompted(TEXTS[0], load_metadata(source_of(args)))).tolist()

    def continued(ids: list[int], tokens: int) -> list[int]:
        question = {"prompt": ids, "max_tokens": tokens, "temperature": 0, "top_k": 1}
        answer = server.handle_completions(question | {"cache_prompt": True})
        return [int(code) for code in re.findall(r"<\|s_(\d+)\|>", answer["choices"][0]["text"])]

    def generate(batch: int, tokens: int) -> list[list[int]]:
        return [continued(prompt, tokens)]

    def agreement(codes: list[int]) -> float:
        ids = prompts.vocabulary.code_ids[codes].tolist()
        equal = [continued(prompt + ids[:n], 1) == codes[n : n + 1] for n in range(len(codes))]
        return sum(equal) / len(equal)

    return generate, agreement


def prepare(args: argparse.Namespace) -> None:
    """The model's folder, and its GGUF where it is needed."""
    import torch

    from xcodec2.llasa.export.gguf import write_gguf
    from xcodec2.llasa.lm import load_lm

    folder, quantized = args.folder / "model", args.folder / "q8.gguf"
    if not folder.exists():
        shutil.copytree(args.bundled, folder)
        if args.shape == "1b":
            write_large(folder, args.layers)
    if "llama.cpp" in args.kinds and not quantized.exists():
        write_gguf(load_lm(folder, dtype=torch.bfloat16), quantized, q8=True)


def write_large(folder: Path, layers: int) -> None:
    """Random weights in the shape of Llasa-1B in place of a model's own."""
    import numpy as np
    import torch
    from safetensors.torch import save_file
    from transformers import LlamaConfig, LlamaForCausalLM

    from xcodec2.llasa.lm import load_tokenizer
    from xcodec2.llasa.prompts import Prompts

    config = LlamaConfig(
        vocab_size=193800,
        hidden_size=2048,
        intermediate_size=8192,
        num_hidden_layers=layers,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=64,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 500000.0},
        dtype="bfloat16",
    )
    with torch.device("meta"):
        shapes = LlamaForCausalLM(config).bfloat16().state_dict()
    shapes.pop("lm_head.weight")
    random = np.random.default_rng(0)

    def numbers(shape: torch.Size) -> torch.Tensor:
        """Small and uniform, which takes a quarter of the time of normal ones."""
        spread = 2 * (3 / shape[1]) ** 0.5
        return torch.from_numpy((random.random(shape, np.float32) - 0.5) * spread).bfloat16()

    weights = {
        name: numbers(tensor.shape) if tensor.ndim > 1 else torch.ones_like(tensor, device="cpu")
        for name, tensor in shapes.items()
    }
    spoken = torch.zeros(config.vocab_size, dtype=torch.bool)
    spoken[Prompts.of(load_tokenizer(folder), "large").vocabulary.code_ids] = True
    weights["model.embed_tokens.weight"][~spoken] *= 0.01  # nothing but codes is likely
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    config.save_pretrained(folder)


if __name__ == "__main__":
    main()
