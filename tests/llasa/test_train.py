"""Training: recipes, new rows, resuming, LoRA, samples to listen to.

What is learned is tested where it is spoken.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import soundfile
import torch
from paths import HELPERS
from talkers import (
    FEW,
    TEACHING,
    base_tokenizer,
    small_codec,
    small_llama,
    speech_tokenizer,
    teach,
    write_utterances,
)
from transformers import AutoModelForCausalLM

from xcodec2.errors import LlasaError
from xcodec2.identity import CodecIdentity
from xcodec2.llasa.backends.base import Sampling
from xcodec2.llasa.backends.local import InProcess
from xcodec2.llasa.lm import LlasaMetadata, load_lm, load_tokenizer
from xcodec2.llasa.prompts import Prompts
from xcodec2.llasa.training.compact_vocabulary import CompactVocabulary
from xcodec2.llasa.training.data import speech_examples
from xcodec2.llasa.training.model import add_rows, build_model
from xcodec2.llasa.training.packing import pack
from xcodec2.llasa.training.packs import tensors
from xcodec2.llasa.training.recipe import LlasaRecipe, read_llasa_recipe
from xcodec2.llasa.training.rows import Refused, Rows
from xcodec2.llasa.training.train import train
from xcodec2.llasa.vocabulary import extend_tokenizer


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_utterances(tmp_path_factory.mktemp("rows"))


def run(out: Path, rows: Path, resume: bool = False, **changes) -> Path:
    return train(
        LlasaRecipe(out=str(out), rows=[str(rows)], **{**TEACHING, **changes}), resume=resume
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"precision": "bfloat16"}, "set precision=auto, or trainer.use_cpu=true"),
        ({"precision": "float16"}, "needs a GPU, and there is none here: set precision=auto$"),
        ({"trainer": {"fsdp": True}}, "accelerate launch .* or set trainer.fsdp=false"),
        ({"trainer": {"no_such": 1}}, "not possible here .*no_such"),
    ],
)
def test_recipes_that_cannot_run_say_what_to_set(tmp_path, rows, changes, words):
    recipe = LlasaRecipe(
        out=str(tmp_path / "o"), rows=[str(rows)], **{**TEACHING, "trainer": {}, **changes}
    )
    with pytest.raises(LlasaError, match=words):
        train(recipe)
    assert not list(tmp_path.iterdir())


def test_the_small_recipe_runs_on_a_cpu(tmp_path, rows):
    """With a narrower model, and all else as it is."""
    changes = [f'rows=["{rows}"]', f"out={tmp_path / 'o'}", "steps=1", "batch=1", "length=256"]
    shape = ["shape.hidden_size=48", "shape.num_hidden_layers=1", "shape.intermediate_size=48"]
    folder = train(read_llasa_recipe("small", [*changes, *shape]))
    assert load_lm(folder).model.config.hidden_size == 48


def test_rows_of_another_tokenizer_than_the_base_are_refused(tmp_path, rows):
    base = base_tokenizer()  # Llama 3's tokens, where the rows have another end
    small_llama().save_pretrained(tmp_path / "base")
    base.save_pretrained(tmp_path / "base")
    with pytest.raises(LlasaError, match=r"another tokenizer than .*prepare --tokenizer"):
        run(tmp_path / "run", rows, base=str(tmp_path / "base"), shape={}, steps=1)


def test_missing_rows_are_told(tmp_path):
    with pytest.raises(LlasaError, match=r"no rows in .*xcodec2 llasa prepare"):
        run(tmp_path / "run", tmp_path / "none", steps=1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("tied", [True, False])
def test_new_rows_lie_among_the_old(tied):
    model = small_llama(tied=tied)
    old = len(model.get_input_embeddings().weight)
    with torch.no_grad():
        for head in (model.get_input_embeddings(), model.get_output_embeddings()):
            head.weight.copy_(torch.randn(head.weight.shape) * 0.3 + 1)
            head.weight[old - 4 :] = 100  # rows that the base has to spare
    known = model.get_output_embeddings().weight[: old - 4].clone()
    add_rows(model, old + 60, list(range(old - 4, old + 60)))
    for head in (model.get_input_embeddings(), model.get_output_embeddings()):
        new = head.weight[old - 4 :]
        assert len(head.weight) == old + 60
        assert abs(new.mean() - 1) < 0.05
        assert 0.1 < new.std() < 0.2
        assert len(new.unique(dim=0)) == 64
    assert torch.equal(model.get_output_embeddings().weight[: old - 4], known)
    assert (model.get_output_embeddings().weight is model.get_input_embeddings().weight) == tied


def test_a_base_is_extended_and_learns(tmp_path, rows):
    base = tmp_path / "base"
    tokenizer = base_tokenizer(None, llama=False)
    model = small_llama()
    model.resize_token_embeddings(len(tokenizer))
    model.save_pretrained(base)
    tokenizer.save_pretrained(base)
    lm = load_lm(run(tmp_path / "run", rows, base=str(base), shape={}, steps=2))
    extend_tokenizer(tokenizer, 64)
    assert lm.model.get_input_embeddings().num_embeddings == len(tokenizer)
    assert lm.metadata.codec.weights_hash == small_codec().weights_hash


def test_resumed_training_gives_the_same_weights(tmp_path, rows):
    whole = load_lm(run(tmp_path / "a", rows, steps=6, save_every=3)).model.state_dict()
    with pytest.raises(LlasaError, match="go on with --resume"):
        run(tmp_path / "a", rows, steps=6)
    (tmp_path / "b").mkdir()
    shutil.copytree(tmp_path / "a" / "checkpoint-3", tmp_path / "b" / "checkpoint-3")
    resumed = load_lm(
        run(tmp_path / "b", rows, resume=True, steps=6, save_every=3)
    ).model.state_dict()
    other = load_lm(run(tmp_path / "c", rows, steps=6, seed=1)).model.state_dict()
    for name, tensor in whole.items():
        assert torch.equal(tensor, resumed[name]), name
    assert not torch.equal(whole["model.embed_tokens.weight"], other["model.embed_tokens.weight"])
    with pytest.raises(LlasaError, match="no checkpoint to resume from"):
        run(tmp_path / "d", rows, resume=True)


IN_PROCESSES = """
import sys
from talkers import TEACHING
from xcodec2.llasa.training.recipe import LlasaRecipe
from xcodec2.llasa.training.train import train
settings = TEACHING | {"steps": 4, "save_every": 2}
recipe = LlasaRecipe(out=sys.argv[1], rows=[sys.argv[2]], **settings)
train(recipe, resume=len(sys.argv) > 3)
"""


@pytest.mark.slow
def test_two_processes_learn_what_one_learns_from_twice_the_batch_and_resume(tmp_path, rows):
    script = tmp_path / "script.py"
    script.write_text(IN_PROCESSES)
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", str(script)]
    paths = os.pathsep.join([str(HELPERS), os.environ.get("PYTHONPATH", "")])

    def run_two(out: Path, *more: str) -> dict[str, torch.Tensor]:
        command = [*launch, str(out), str(rows), *more]
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONPATH": paths},
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return load_lm(out / "model").model.state_dict()

    one = load_lm(run(tmp_path / "one", rows, steps=4, batch=2)).model.state_dict()
    half = load_lm(run(tmp_path / "half", rows, steps=4, batch=1)).model.state_dict()
    two = run_two(tmp_path / "two")
    name = "model.embed_tokens.weight"
    assert torch.allclose(one[name], two[name], atol=1e-5)
    assert not torch.allclose(half[name], two[name], atol=1e-3)
    (tmp_path / "cut").mkdir()
    shutil.copytree(tmp_path / "two" / "checkpoint-2", tmp_path / "cut" / "checkpoint-2")
    cut = run_two(tmp_path / "cut", "resume")
    assert all(torch.equal(two[name], cut[name]) for name in two)


def test_lora_is_merged_into_the_finished_model(tmp_path, rows, taught):
    lora = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]}
    tuned = run(tmp_path, rows, base=str(taught), shape={}, lora=lora, steps=3, learning_rate=1e-2)
    before, after = (
        AutoModelForCausalLM.from_pretrained(folder).state_dict() for folder in (taught, tuned)
    )
    changed = {name.split(".")[-2] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"q_proj", "v_proj"}
    assert before.keys() == after.keys()


def test_validation_is_heard(tmp_path, taught):
    codec = tmp_path / "codec"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        small_codec().save_pretrained(codec)
    rows = write_utterances(tmp_path)
    for name in ("input_ids.memmap", "input_ids_shape.npy"):
        shutil.copy(rows / f"train_{name}", rows / f"val_{name}")
    changes = {
        "base": str(taught),
        "shape": {},
        "steps": 2,
        "validate_every": 2,
        "audio_samples": 2,
        "learning_rate": 0.0,
    }
    with pytest.raises(LlasaError, match="name the codec as codec="):
        run(tmp_path / "run", rows, **changes, codec="none")
    run(tmp_path / "run", rows, **changes, codec=str(codec))
    lines = (tmp_path / "run" / "samples" / "000002" / "samples.tsv").read_text().splitlines()
    assert [line.split("\t")[3] for line in lines] == ["text", *FEW[:2]]
    for number, line in enumerate(lines[1:]):
        sound = soundfile.info(tmp_path / "run" / "samples" / "000002" / f"{number}.wav")
        assert sound.frames == 320 * int(line.split("\t")[1]) > 0


@pytest.mark.parametrize("tied", [True, False])
def test_one_row_for_all_unseen_tokens_gives_the_loss_of_all_rows(rows, tied):
    """The model with all rows, which the finished one is, has the loss that was trained on."""
    tokenizer = load_tokenizer(rows)
    made, splits = Prompts.of(tokenizer), [Rows(rows, "train")]
    seen = CompactVocabulary.of(splits, made, 512)
    assert 40 < len(seen.ids) < len(tokenizer) - 20
    recipe = LlasaRecipe(
        "o",
        ["r"],
        1,
        1.0,
        shape={**TEACHING["shape"], "tie_word_embeddings": tied},
        audio_samples=0,
        compact_vocabulary=True,
    )
    compact = build_model(recipe, made, seen)
    full = seen.expand(compact)
    full.config.use_cache = False
    assert full.get_input_embeddings().num_embeddings == len(tokenizer)
    for item in iter_packs(splits, made):
        losses = []
        for model, one in ((compact, seen.remap(item)), (full, item)):
            with torch.no_grad():
                losses.append(
                    model(**{name: value[None] for name, value in tensors(one).items()}).loss
                )
        assert abs(losses[0] - losses[1]) < 1e-5


def iter_packs(splits, made):
    examples = speech_examples(splits[0], made, 512, iter(range(len(splits[0]))), Refused())
    return pack(examples, 512, made.tokenizer.eos_token_id)


def test_a_model_of_seen_tokens_only_is_an_ordinary_one(tmp_path, rows):
    lm = load_lm(run(tmp_path, rows, steps=2, compact_vocabulary=True, audio_samples=0))
    assert lm.model.get_input_embeddings().num_embeddings == len(lm.prompts.tokenizer)
    (made,) = InProcess(lm).generate([lm.prompts.prompt("abc")], [0], Sampling(max_tokens=5))
    assert len(made.codes) <= 5


def test_rows_that_teach_nothing_are_an_error(tmp_path, rows):
    with pytest.raises(LlasaError, match="no row can be trained on: 5 × longer than the context"):
        run(tmp_path / "a", rows, length=20)
    with pytest.raises(LlasaError, match="no model has this shape"):
        run(tmp_path / "b", rows, shape={"hidden_size": 7, "num_attention_heads": 2})


def test_a_model_says_what_it_speaks(tmp_path):
    assert LlasaMetadata.load(tmp_path) == LlasaMetadata()
    about = LlasaMetadata(CodecIdentity("nano", "0" * 16), one_voice=True)
    about.save(tmp_path)
    assert LlasaMetadata.load(tmp_path) == about
    (tmp_path / "llasa.json").write_text("{}")
    with pytest.raises(LlasaError, match="not what"):
        LlasaMetadata.load(tmp_path)


@pytest.mark.slow
def test_text_is_mixed_in_and_learned(tmp_path):
    (tmp_path / "a.txt").write_text("the cat sat on the mat\n" * 3)
    for name in ("plain", "mixed"):
        (tmp_path / name).mkdir()
    plain = teach(tmp_path / "plain", steps=40)
    mixed = teach(tmp_path / "mixed", steps=40, text=[str(tmp_path / "a.txt")], text_share=0.5)
    ids = torch.tensor(speech_tokenizer()("the cat sat on the mat")["input_ids"])[None]
    losses = [
        AutoModelForCausalLM.from_pretrained(folder)(ids, labels=ids).loss
        for folder in (plain, mixed)
    ]
    assert losses[1] < 0.5 * losses[0]


# --- rows of parts, tracks, tasks -----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["bytes", "digits"])
def test_rows_of_parts_are_trained_resumed_and_written_out(tmp_path, rows, kind):
    changes = {"code_rows": kind, "save_every": 3}
    folder = run(tmp_path / "a", rows, steps=6, **changes)
    lm = load_lm(folder)
    assert type(lm.model).__name__ == "LlamaForCausalLM"
    assert lm.model.get_input_embeddings().num_embeddings == len(lm.prompts.tokenizer)
    table = lm.model.get_input_embeddings().weight[lm.prompts.vocabulary.code_ids]
    low = table[1] - table[0]  # the same step of the lowest part, whatever the others are
    assert torch.allclose(table[9] - table[8], low, atol=1e-6)
    assert not torch.allclose(table[10] - table[9], low, atol=1e-2)
    (tmp_path / "b").mkdir()
    shutil.copytree(tmp_path / "a" / "checkpoint-3", tmp_path / "b" / "checkpoint-3")
    again = load_lm(run(tmp_path / "b", rows, resume=True, steps=6, **changes))
    for name, tensor in lm.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name]), name
    tuned = {"base": str(folder), "shape": {}, "code_rows": kind, "learning_rate": 0.0}
    same = load_lm(run(tmp_path / "c", rows, steps=1, **tuned)).model.state_dict()
    assert all(torch.allclose(same[n], t, atol=1e-5) for n, t in lm.model.state_dict().items())
    lora = {"r": 2, "target_modules": ["q_proj"]}
    adapted = run(tmp_path / "d", rows, steps=1, **tuned, lora=lora)
    assert load_lm(adapted).model.state_dict().keys() == same.keys()
