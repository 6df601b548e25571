"""Training on a track of phonemes with their durations."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from talkers import CODEBOOK, TEACHING, write_utterances

from xcodec2.errors import LlasaError
from xcodec2.llasa.backends.base import Sampling
from xcodec2.llasa.backends.local import InProcess
from xcodec2.llasa.lm import load_lm, load_tokenizer
from xcodec2.llasa.prompts import Prompts
from xcodec2.llasa.track import Track, phoneme_tokenizer
from xcodec2.llasa.training.data import WrongText, row_texts
from xcodec2.llasa.training.packs import Packs
from xcodec2.llasa.training.prepare import prepare
from xcodec2.llasa.training.recipe import LlasaRecipe
from xcodec2.llasa.training.rows import Rows, example
from xcodec2.llasa.training.train import train


def run(out: Path, rows: Path, **changes) -> Path:
    return train(LlasaRecipe(out=str(out), rows=[str(rows)], **{**TEACHING, **changes}))


def spoken_rows(folder: Path, count: int = 8, **changes) -> Path:
    """Rows of made-up phonemes on a track, each phoneme with codes of its own."""
    rng = np.random.default_rng(0)
    records = []
    for number in range(count):
        said = "".join(rng.choice(list("abdfhijk"), 6))
        steps = rng.integers(1, 4, len(said) + 2)
        sounds = np.repeat([0, *(ord(one) % 32 + 1 for one in said), 0], steps)
        records.append(
            {
                "id": str(number),
                "text": said,
                "codes": sounds.tolist(),
                "phonemes": said,
                "durations": " ".join(map(str, steps)),
            }
        )
    metadata = {"xcodec2.codebook_size": str(CODEBOOK)}
    table = pyarrow.Table.from_pylist(records).replace_schema_metadata(metadata)
    pyarrow.parquet.write_table(table, folder / "spoken.parquet")
    settings = {"length": 128, "validation": 0.3, "track": True}
    prepare(
        folder / "spoken.parquet",
        folder / "spoken",
        phoneme_tokenizer(CODEBOOK),
        **settings | changes,
    )
    return folder / "spoken"


@pytest.mark.slow
def test_a_track_is_trained_and_right_and_wrong_text_are_told_apart(tmp_path):
    rows = spoken_rows(tmp_path, 150)
    changes = {"code_rows": "bytes", "validate_every": 500, "audio_samples": 0, "length": 256}
    folder = run(tmp_path / "run", rows, steps=500, copy_steps=20, **changes, learning_rate=1e-2)
    lm = load_lm(folder)
    assert (lm.metadata.track, lm.metadata.phonemes, lm.metadata.one_voice) == (True, True, True)
    (state,) = (tmp_path / "run").glob("checkpoint-500/trainer_state.json")
    told = json.loads(state.read_text())["log_history"]
    losses = {name: value for line in told for name, value in line.items() if "loss" in name}
    assert losses["eval_codes_loss"] < 1.5  # of 3.1 nats for one of 22 at random
    assert losses["eval_wrong_text_loss"] > losses["eval_codes_loss"] + 0.8
    (made,) = InProcess(lm).generate([lm.prompts.prompt("kab")], [0], Sampling(temperature=0))
    assert made.finished
    assert len(made.codes)


def test_wrong_text_changes_what_is_said_and_not_how_it_sounds(tmp_path):
    rows = Rows(spoken_rows(tmp_path), "train")
    own = Prompts.of(load_tokenizer(tmp_path / "spoken"))
    track = Track.of(own)
    change, before = WrongText(own, track), None
    for number in range(len(rows)):
        row = example(rows[number], own.vocabulary, track.ids)
        changed = change(row)
        said = "".join(one.text for one in track.times(row[own.answer_start(row) + 1 : -1]))
        if before is None:
            assert changed is None
        else:
            wrong = changed[own.answer_start(changed) + 1 : -1]
            assert "".join(one.text for one in track.times(wrong)) == before
            assert track.codes(wrong).tolist() == track.codes(row).tolist()
            assert own.tokenizer.decode(changed[1 : own.answer_start(changed) - 1]) == before
        before = said
    with pytest.raises(LlasaError, match="copy_steps needs rows of"):
        run(tmp_path / "run", write_utterances(tmp_path), copy_steps=1)


@pytest.mark.parametrize("training", [True, False])
def test_sets_of_rows_are_mixed(tmp_path, training):
    """One behind the other, the last one would be what is remembered, and never validated."""
    rows, read = Rows(spoken_rows(tmp_path, 40), "train"), []

    class Named:
        def __init__(self, name: str) -> None:
            self.name = name

        def __len__(self) -> int:
            return len(rows)

        def __getitem__(self, index: int) -> np.ndarray:
            read.append((self.name, index))
            return rows[index]

    own = Prompts.of(load_tokenizer(tmp_path / "spoken"))
    recipe = LlasaRecipe("o", ["r"], 3, 1.0, shape={"hidden_size": 8}, length=128)
    packs = Packs([Named("a"), Named("b")], own, recipe, None, Track.of(own), training=training)
    next(islice(packs.once(0), 19, None))
    assert 4 < sum(name == "a" for name, _ in read) < 16
    assert list(packs.once(0))
    assert sorted(read[20:]) == [(name, index) for name in "ab" for index in range(len(rows))]
    read.clear()
    next(iter(packs))
    assert {name for name, _ in read} == {"a", "b"}
    assert set(row_texts([rows, rows], own, 2, Track.of(own))) == set(
        row_texts([rows], own, 1, Track.of(own))
    )


def test_copying_comes_first(tmp_path):
    rows = [Rows(spoken_rows(tmp_path, 40), "train")]
    own = Prompts.of(load_tokenizer(tmp_path / "spoken"))
    recipe = LlasaRecipe("o", ["r"], 3, 1.0, shape={"hidden_size": 8}, copy_steps=2, length=128)
    packs = iter(Packs(rows, own, recipe, None, Track.of(own), training=True))
    coded = [bool(own.vocabulary.is_code(next(packs)["labels"].numpy()).any()) for _ in range(4)]
    assert coded == [False, False, True, True]
