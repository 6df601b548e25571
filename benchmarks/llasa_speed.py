"""How fast codes are generated, by this package and by transformers' own generate, on one core.

    python benchmarks/llasa_speed.py                                  # the bundled model
    python benchmarks/llasa_speed.py --before ../before/src           # beside another checkout
    python benchmarks/llasa_speed.py --shape 1b --layers 2 --dtype bfloat16 --threads 2

All are asked in turn, so that other users of the machine disturb all alike, and the CPU time of a
round counts; shown are medians. Codes are compared at temperature 0. --shape 1b makes random
weights in the shape of Llasa-1B, with as many of its 16 layers as are asked for, in a temporary
folder.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROMPT = 40  # ids, where there is no text to ask for


def main() -> None:
    """Parse, ask in turn, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", help="src of another checkout of this package")
    parser.add_argument("--shape", choices=["bundled", "1b"], default="bundled")
    parser.add_argument("--layers", type=int, default=2, help="of the shape 1b")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args)
        return
    with tempfile.TemporaryDirectory() as folder:
        if args.shape == "1b":
            write_large(Path(folder), args.layers)
        compare(args, folder if args.shape == "1b" else "")


def compare(args: argparse.Namespace, folder: str) -> None:
    """Start one process for each, and ask them in turn."""
    sources: dict[str, str | None] = {"package": None, "transformers": None}
    if args.before:
        sources["before"] = args.before
    workers = {kind: start(kind, source, args, folder) for kind, source in sources.items()}
    for batch in args.batch:
        figures: dict[str, list[float]] = {}
        codes: dict[str, list] = {}
        for _ in range(args.rounds):
            for kind, worker in workers.items():
                if kind == "transformers" and batch > 1:
                    continue
                answer = ask(worker, [batch, args.tokens])
                figures.setdefault(kind, []).append(answer["rate"])
                codes[kind] = answer["codes"]
                peak = answer["peak"]
                figures.setdefault(f"{kind} peak", []).append(peak)
        for kind in codes:
            rate = statistics.median(figures[kind])
            ours = statistics.median(figures["package"])
            equal = "same codes" if codes[kind] == codes["package"] else "other codes"
            print(
                f"batch {batch:<3}{kind:<14}{rate:8.1f} codes/s{ours / rate:7.2f}x  "
                f"{max(figures[f'{kind} peak']):.2f} GiB  {equal}"
            )
    for worker in workers.values():
        worker.stdin.close()
        worker.wait()


def start(kind: str, source: str | None, args: argparse.Namespace, folder: str) -> subprocess.Popen:
    """A process that generates when it is asked."""
    path = source or str(Path(__file__).parents[1] / "src")
    threads = str(args.threads)
    command = [sys.executable, __file__, "--serve", f"{kind}:{folder}", "--dtype", args.dtype]
    return subprocess.Popen(
        [*command, "--threads", threads],
        env=os.environ | {"PYTHONPATH": os.path.abspath(path), "OMP_NUM_THREADS": threads},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def ask(worker: subprocess.Popen, question: list[int]) -> dict:
    """One round of one process."""
    worker.stdin.write(json.dumps(question) + "\n")
    worker.stdin.flush()
    return json.loads(worker.stdout.readline())


def serve(args: argparse.Namespace) -> None:
    """Answer [batch, tokens] lines; the first round of each is a warm-up."""
    import torch

    kind, _, folder = args.serve.partition(":")
    torch.set_num_threads(args.threads)
    dtype = getattr(torch, args.dtype)
    make = generate_by_transformers if kind == "transformers" else generate_by_package
    generate = make(folder, dtype)
    for line in sys.stdin:
        batch, tokens = json.loads(line)
        generate(batch, min(tokens, 20))
        began = time.process_time()
        codes = generate(batch, tokens)
        took = time.process_time() - began
        took /= args.threads if folder else 1
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        rate = sum(map(len, codes)) / took
        print(json.dumps({"rate": rate, "peak": peak, "codes": codes}), flush=True)


def generate_by_package(folder: str, dtype):
    """This package, or another checkout of it."""
    from xcodec2.llasa.backends.base import Sampling

    if folder:
        import numpy as np

        from xcodec2.llasa.decoding.base import Choices
        from xcodec2.llasa.decoding.files import read_llama

        decoder = read_llama(Path(folder), dtype)
        choices = Choices(np.arange(128261, 128264 + 65536))

        def large(batch: int, tokens: int) -> list[list[int]]:
            states = [decoder.new_state() for _ in range(batch)]
            unread = [np.arange(PROMPT) + row for row in range(batch)]
            made: list[list[int]] = [[] for _ in range(batch)]
            for _ in range(tokens):
                places = decoder.likeliest(decoder.advance(states, unread), choices)
                unread = [choices.ids[place : place + 1] for place in places]
                for row, place in zip(made, places, strict=True):
                    row.append(int(choices.ids[place]))
            return made

        return large
    from xcodec2.llasa.backends.local import InProcess
    from xcodec2.llasa.lm import load_lm

    backend = InProcess(load_lm(None))
    texts = backend.metadata.texts

    def generate(batch: int, tokens: int) -> list[list[int]]:
        asked = [backend.prompts.prompt(texts[row % len(texts)]) for row in range(batch)]
        sampling = Sampling(temperature=0, max_tokens=tokens)
        made = backend.generate(asked, list(range(batch)), sampling)
        return [item.codes.tolist() for item in made]

    return generate


def generate_by_transformers(folder: str, dtype):
    """transformers' own, with a static cache: as fast as it is without a compiler."""
    import torch
    from transformers import AutoModelForCausalLM

    from xcodec2.llasa.lm import load_lm

    if folder:
        model, end = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval(), None
    else:
        lm = load_lm(None, dtype=dtype)
        model, end = lm.model, lm.prompts.vocabulary.speech_end

    def generate(batch: int, tokens: int) -> list[list[int]]:
        ids = torch.arange(PROMPT)
        if not folder:
            ids = torch.from_numpy(lm.prompts.prompt(lm.metadata.texts[0]))
        made = model.generate(
            input_ids=ids[None],
            attention_mask=torch.ones_like(ids)[None],
            do_sample=False,
            max_new_tokens=tokens,
            eos_token_id=end,
            pad_token_id=0,
            cache_implementation="static",
            disable_compile=True,
        )[0, len(ids) :].tolist()
        if folder:
            return [made]
        return [lm.prompts.vocabulary.to_codes([id for id in made if id != end]).tolist()]

    return generate


def write_large(folder: Path, layers: int) -> None:
    """Random weights in the shape of Llasa-1B, with fewer layers."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
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
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)


if __name__ == "__main__":
    main()
