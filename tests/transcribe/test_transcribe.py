"""CTC over codes: what is taught is read with its times, in any batch; runs resume exactly."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from talkers import small_codec

from xcodec2 import Codes
from xcodec2.cli import xcodec2
from xcodec2.errors import CodesError, LlasaError, TranscriptionError, XCodec2Error
from xcodec2.identity import CodecIdentity
from xcodec2.llasa.speaker import Speaker
from xcodec2.llasa.verifiers import CtcVerifier, verifier
from xcodec2.transcribe import CtcConfig, CtcNetwork, CtcRecipe, Timed, Transcriber, train_ctc
from xcodec2.transcribe import Transcript as TranscriptOf
from xcodec2.transcribe.decoding import greedy, log_likelihood, words_of
from xcodec2.transcribe.formats import clock, cues, format_transcript
from xcodec2.transcribe.measuring import Rate, rate, text_in_codes
from xcodec2.transcribe.network import depthwise
from xcodec2.transcribe.training import Utterance, epoch_batches, fits, indices

SMALL = CtcRecipe(
    steps=110, batch=600, learning_rate=5e-3, warmup=20, width=48, blocks=2, kernel=5, dropout=0.0,
    hide=0.0, save_every=55,
)  # fmt: skip
WORDS = {"red": "ɹˈɛd", "dog": "dˈɔɡ", "sun": "sˈʌn", "cup": "kˈʌp", "a": "ɐ"}
CODES_A_LETTER, SIZE = 4, 1024


def codes_of(word: str) -> list[int]:
    """A made-up language's sounds: each letter has codes of its own, beyond one byte."""
    letters = [[37 * (ord(one) - 96)] * CODES_A_LETTER for one in word]
    return [0, 0, *itertools.chain(*letters), 0, 0]


def utterance(words: tuple[str, ...]) -> dict[str, object]:
    return {
        "id": " ".join(words),
        "codes": [code for word in words for code in codes_of(word)],
        "words": " ".join(words).capitalize() + ".",
        "phonemes": " ".join(WORDS[word] for word in words) + ".",
    }


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("corpus") / "codes.parquet"
    rows = [utterance(words) for words in itertools.product(WORDS, repeat=3)]
    rows += [{"id": "broken", "codes": None, "words": "red", "phonemes": "ɹˈɛd"}]
    fields = [("id", pyarrow.string()), ("codes", pyarrow.list_(pyarrow.uint16()))]
    fields += [("words", pyarrow.string()), ("phonemes", pyarrow.string())]
    facts = {
        "xcodec2.model": "made up",
        "xcodec2.weights_hash": "f" * 16,
        "xcodec2.codebook_size": str(SIZE),
    }
    table = pyarrow.Table.from_pylist(rows, pyarrow.schema(fields, facts))
    pyarrow.parquet.write_table(table, path)
    return str(path)


@pytest.fixture(scope="module")
def taught(corpus: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ctc")
    train_ctc(corpus, out, SMALL)
    return out / "ctc.safetensors"


# --- what is taught -------------------------------------------------------------------------------


def test_what_is_taught_is_read_with_its_times(taught):
    words = ("sun", "dog", "a", "cup", "red")  # longer than any that was taught
    codes = np.array(utterance(words)["codes"])
    found = Transcriber.load(taught).transcribe(codes)
    assert found.text == " ".join(words)
    assert "".join(phone.text for phone in found.phones) == "sʌndɔɡɐkʌpɹɛd"
    begin = 0
    for word, timed in zip(words, found.words, strict=True):
        end = begin + len(codes_of(word))
        assert begin <= timed.start * 50 < timed.end * 50 <= end
        begin = end


def test_a_text_is_likelier_for_its_own_codes(taught):
    transcriber = Transcriber.load(taught)
    spoken = {
        words: np.array(utterance(words)["codes"]) for words in itertools.permutations(WORDS, 2)
    }
    for words, codes in spoken.items():
        scores = {
            other: transcriber.score_phones(codes, str(utterance(other)["phonemes"]))
            for other in spoken
        }
        assert max(scores, key=scores.__getitem__) == words
        written = {other: transcriber.score_words(codes, " ".join(other)) for other in spoken}
        assert max(written, key=written.__getitem__) == words
        assert written[words] > -0.1 > -1 > max(written[one] for one in spoken if one != words)
    assert transcriber.score_words(codes[:3], "red dog") == -np.inf
    assert transcriber.score_words(codes[:0], "red dog") == -np.inf
    with pytest.raises(TranscriptionError, match="no letter of '7'"):
        transcriber.score_words(codes, "7")
    assert transcriber.score_phones(codes[:3], "ɹˈɛd dˈɔɡ.") == -np.inf
    with pytest.raises(TranscriptionError, match="no phone of 'ʒ'"):
        transcriber.score_phones(codes, "ʒ")


def test_likelihood_is_summed_over_all_alignments():
    torch.manual_seed(0)
    log_probabilities = torch.randn(4, 3).log_softmax(-1)
    total = 0.0
    for path in itertools.product(range(3), repeat=4):
        collapsed = [one for one, _ in itertools.groupby(path) if one]
        if collapsed == [1, 2]:
            total += float(
                sum(log_probabilities[place, one] for place, one in enumerate(path)).exp()
            )
    assert log_likelihood(log_probabilities, [1, 2]) == pytest.approx(np.log(total), abs=1e-5)


def test_rows_of_a_batch_are_what_they_are_alone():
    torch.manual_seed(0)
    network = CtcNetwork(CtcConfig("abc", "xyz", SIZE, 16, 3, 5)).eval()
    codes, lengths = torch.randint(SIZE, (3, 40)), torch.tensor([40, 7, 23])
    together = network(codes, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = network(codes[row : row + 1, :length], lengths[row : row + 1])
        for name in ("phones", "characters"):
            both = getattr(together, name)[row, :length], getattr(alone, name)[0]
            torch.testing.assert_close(*both, atol=1e-5, rtol=1e-4)


def test_mixing_in_time_is_the_convolution_whatever_the_products_precision_is():
    mix = torch.nn.Conv1d(6, 6, 5, padding=2, groups=6)
    x = torch.randn(2, 6, 9)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = depthwise(x.bfloat16(), mix)
    assert mixed.dtype == torch.float32
    assert torch.allclose(mixed, mix(x.bfloat16().float()), atol=1e-6)


def test_products_in_bfloat16_learn_the_same(corpus, tmp_path, taught):
    recipe = dataclasses.replace(SMALL, precision="bfloat16")
    made = train_ctc(corpus, tmp_path / "run", recipe)
    assert all(p.dtype == torch.float32 for p in made.network.parameters())
    codes = utterance(("red", "sun"))["codes"]
    assert made.transcribe(codes).text == "red sun"
    exact = Transcriber.load(taught).network
    assert not torch.equal(made.network.phones.weight, exact.phones.weight)


def test_outputs_depend_on_the_stated_reach_alone():
    torch.manual_seed(0)
    config = CtcConfig("abc", "xyz", SIZE, 16, 3, 5)
    network = CtcNetwork(config).eval()
    codes, length = torch.randint(SIZE, (1, 60)), torch.tensor([60])
    other = codes.clone()
    other[0, 30] = (other[0, 30] + 1) % SIZE
    changed = (network(codes, length).phones != network(other, length).phones)[0].any(-1)
    places = changed.nonzero().flatten().tolist()
    assert places == list(range(30 - config.reach, 31 + config.reach))


@pytest.mark.parametrize(("size", "count"), [(2, 1), (256, 1), (257, 2), (65_536, 2), (65_537, 3)])
def test_codes_are_told_apart_by_as_many_bytes_as_it_takes(size, count):
    assert CtcConfig("a", "b", size).bytes_per_code == count
    assert len(CtcNetwork(CtcConfig("a", "b", size, 4, 1, 3)).embeddings) == count


def test_the_default_has_2_to_5_million_parameters():
    network = CtcNetwork(CtcConfig("a" * 50, "b" * 28))
    assert 2e6 < sum(weight.numel() for weight in network.parameters()) < 5e6


# --- decoding -------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=30))
def test_greedy_drops_repeats_and_blanks(path):
    emissions = torch.nn.functional.one_hot(torch.tensor(path, dtype=torch.int64), 4).float()
    found = greedy(emissions, "ab ", 50)
    expected = ["ab "[one - 1] for one, _ in itertools.groupby(path) if one]
    assert [item.text for item in found] == expected
    assert all(a.end <= b.start for a, b in itertools.pairwise(found))
    for item in found:
        part = path[round(item.start * 50) : round(item.end * 50)]
        assert part == ["ab ".index(item.text) + 1] * len(part)
    assert " ".join(word.text for word in words_of(found)) == " ".join("".join(expected).split())


def test_transcripts_are_written():
    words = [Timed("one", 0.5, 0.8), Timed("two", 0.9, 1.25), Timed("three", 3661.5, 3662.0)]
    spoken = TranscriptOf(words, [Timed("w", 0.5, 0.6)])
    assert format_transcript(spoken, "text") == "one two three\n"
    facts = json.loads(format_transcript(spoken, "json"))
    assert facts["text"] == "one two three"
    assert facts["words"][1] == {"text": "two", "start": 0.9, "end": 1.25}
    assert format_transcript(spoken, "srt") == (
        "1\n00:00:00,500 --> 00:00:01,250\none two\n\n2\n01:01:01,500 --> 01:01:02,000\nthree\n"
    )
    assert format_transcript(spoken, "vtt").startswith(
        "WEBVTT\n\n00:00:00.500 --> 00:00:01.250\none two\n"
    )
    assert clock(59.9996, ".") == "00:01:00.000"
    long = [Timed("word", place / 5, place / 5 + 0.2) for place in range(100)]
    assert all(cue.end - cue.start <= 6 and len(cue.text) <= 80 for cue in cues(long))
    assert " ".join(cue.text for cue in cues(long)) == " ".join(["word"] * 100)


# --- training -------------------------------------------------------------------------------------


def test_a_run_that_was_killed_ends_as_if_it_had_not_been(corpus, tmp_path):
    short = replace(SMALL, steps=9, save_every=4, dropout=0.2, hide=0.2)
    train_ctc(corpus, tmp_path / "whole", short)

    class KilledError(Exception):
        pass

    def kill(step, loss):
        if step == 6:
            raise KilledError

    with pytest.raises(KilledError):
        train_ctc(corpus, tmp_path, short, report=kill)
    steps = []
    train_ctc(corpus, tmp_path, short, report=lambda step, loss: steps.append(step))
    assert steps == list(range(4, 9))
    one, two = (folder / "ctc.safetensors" for folder in (tmp_path, tmp_path / "whole"))
    assert one.read_bytes() == two.read_bytes()
    with pytest.raises(TranscriptionError, match="choose another OUT"):
        train_ctc(corpus, tmp_path, replace(short, seed=1))
    (tmp_path / "checkpoint.pt").write_bytes(b"no checkpoint")
    with pytest.raises(TranscriptionError, match="damaged"):
        train_ctc(corpus, tmp_path, short)


def test_every_example_is_in_each_epoch_once():
    examples = [Utterance(np.zeros(5 + place), (1,), (1,)) for place in range(40)]
    one, two = (epoch_batches(examples, SMALL, epoch) for epoch in (0, 1))
    for batches in (one, two):
        assert sorted(len(item.codes) for batch in batches for item in batch) == list(range(5, 45))
        assert all(len(b) * max(len(i.codes) for i in b) <= SMALL.batch for b in batches)
    assert [len(batch) for batch in one] != [len(batch) for batch in two] or one != two


def test_symbols_are_numbered_and_what_does_not_fit_is_left_out():
    assert indices("A-b é!", " abe") == (3, 1, 4)
    assert fits(Utterance(np.zeros(4), (1, 1, 2), (1,)))
    assert not fits(Utterance(np.zeros(3), (1, 1, 2), (1,)))
    assert not fits(Utterance(np.zeros(3), (), (1,)))


def test_nothing_to_learn_from_is_an_error(tmp_path):
    fields = [("codes", pyarrow.list_(pyarrow.uint16()))]
    fields += [("words", pyarrow.string()), ("phonemes", pyarrow.string())]
    empty = pyarrow.Table.from_pylist([], pyarrow.schema(fields))
    pyarrow.parquet.write_table(empty, tmp_path / "c.parquet")
    with pytest.raises(TranscriptionError, match="no row has codes, phonemes and words"):
        train_ctc(str(tmp_path / "c.parquet"), tmp_path / "out")


def test_error_rates_are_of_all_rows_together(corpus, taught):
    transcriber = Transcriber.load(taught)
    found = text_in_codes(transcriber, corpus)
    assert found.rows == len(WORDS) ** 3
    assert found.phone_error_rate.value < 0.02
    assert found.word_error_rate.low <= found.word_error_rate.value <= found.word_error_rate.high
    deaf = replace(transcriber, network=CtcNetwork(transcriber.network.config).eval())
    with torch.no_grad():
        for head in (deaf.network.phones, deaf.network.characters):
            head.bias[0] = 100.0  # nothing but blanks
    assert text_in_codes(deaf, corpus).word_error_rate == Rate(1.0, 1.0, 1.0)
    counted = rate([(1, 4), (0, 4), (5, 2)])
    assert counted.value == 0.6
    assert 0 <= counted.low < 0.6 < counted.high <= 2.5
    other = replace(transcriber, codec=replace(transcriber.codec, weights_hash="0" * 16))
    with pytest.raises(CodesError, match="the CTC model's codec"):
        text_in_codes(other, corpus)


# --- codes, files and searches --------------------------------------------------------------------


def test_codes_of_another_codec_are_refused(taught):
    transcriber = Transcriber.load(taught)
    codes = torch.tensor(utterance(("red",))["codes"])
    own = Codes(codes, codebook_size=SIZE, weights_hash="f" * 16)
    assert transcriber.transcribe(own).text == "red"
    with pytest.raises(CodesError, match="this speech"):
        transcriber.transcribe(replace(own, weights_hash="0" * 16))
    with pytest.raises(TranscriptionError, match=r"outside of 0…1023"):
        transcriber.transcribe([0, SIZE])
    assert transcriber.transcribe([]).text == ""


@pytest.mark.parametrize("content", [b"", b"junk", b"\x02\x00\x00\x00\x00\x00\x00\x00{}"])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(TranscriptionError, match="not a model that"):
        Transcriber.load(tmp_path / "x.safetensors")


def test_a_search_scores_codes_without_decoding(tmp_path):
    codec = small_codec()
    network = CtcNetwork(CtcConfig("kætˈ.", " act", codec.codebook_size, 8, 1, 3)).eval()
    Transcriber(network, codec.identity).save(tmp_path / "c.safetensors")
    verify = verifier(f"ctc-{tmp_path}/c.safetensors", load=True)
    assert isinstance(verify, CtcVerifier)
    speaker = Speaker.__new__(Speaker)
    speaker.codec = SimpleNamespace(identity=codec.identity)  # which cannot decode
    codes = np.arange(20) % codec.codebook_size
    score = speaker.scorer(verify, "cat", None)
    assert score(codes) == verify.transcriber.score_words(codes, "cat")
    assert score(codes[:2]) == -np.inf
    with pytest.raises(LlasaError, match="reads codes, not sound"):
        verify("cat", np.zeros(16_000), None)
    speaker.codec = SimpleNamespace(identity=CodecIdentity("other", "1" * 16, 64))
    with pytest.raises(CodesError, match="the verifier"):
        speaker.scorer(verify, "cat", None)


# --- the commands ---------------------------------------------------------------------------------


def run(*arguments: object):
    return CliRunner().invoke(xcodec2, list(map(str, arguments)))


def test_the_commands_train_and_transcribe(corpus, tmp_path):
    small = ("--steps", 3, "--width", 16, "--blocks", 1)
    done = run("llasa", "ctc", corpus, tmp_path / "run", *small, "--heldout", corpus)
    assert done.exit_code == 0, done.output
    assert re.search(r"word error rate +1\.000 \[", done.output)
    assert "ctc.safetensors, 0.0 M parameters" in done.output


def test_codes_files_are_transcribed(taught, tmp_path):
    for name in ("red", "dog"):
        codes = torch.tensor(utterance((name, "sun"))["codes"])
        Codes(codes, codebook_size=SIZE, weights_hash="f" * 16).save(tmp_path / f"{name}.npz")
    one, two = tmp_path / "red.npz", tmp_path / "dog.npz"
    assert run("transcribe", one, "--ctc", taught).output == "red sun\n"
    assert (
        run("transcribe", one, two, "--ctc", taught).output == f"{one}\tred sun\n{two}\tdog sun\n"
    )
    run("transcribe", one, two, "--ctc", taught, "--format", "vtt", "-o", tmp_path / "out")
    assert (tmp_path / "out" / "dog.vtt").read_text().startswith("WEBVTT\n\n00:00:00.")
    done = run("transcribe", one, two, "--ctc", taught, "--format", "srt")
    assert done.exit_code == 2
    assert "need -o FOLDER" in done.output


def test_codes_are_known_by_their_content(taught, tmp_path):
    codes = utterance(("red", "sun"))["codes"]
    np.save(tmp_path / "array.npy", codes)
    (tmp_path / "tokens.txt").write_text("".join(f"<|s_{code}|>" for code in codes))
    Codes(torch.tensor(codes), codebook_size=SIZE).save(tmp_path / "no_suffix")
    for name in ("array.npy", "tokens.txt", "no_suffix"):
        assert run("transcribe", tmp_path / name, "--ctc", taught).output == "red sun\n"
        piped = (tmp_path / name).read_bytes()
        done = CliRunner().invoke(xcodec2, ["transcribe", "-", "--ctc", str(taught)], input=piped)
        assert done.output == "red sun\n"


def test_a_bad_file_costs_the_others_nothing_and_no_input_is_overwritten(taught, tmp_path):
    good, bad = tmp_path / "good.npy", tmp_path / "b\x1bd.txt"
    np.save(good, utterance(("red", "sun"))["codes"])
    bad.write_text("<|s_1|> and more")
    done = run("transcribe", bad, good, "--ctc", taught)
    assert done.exit_code == 1
    assert f"{good}\tred sun\n" in done.output
    assert "1 of 2 files failed" in done.output
    assert "\x1b" not in done.output
    assert run("transcribe", good, "--ctc", taught, "-o", good).exit_code == 2
    assert run("transcribe", good, "--ctc", taught, "-o", tmp_path).exit_code == 0
    assert (tmp_path / "good.txt").read_text() == "red sun\n"


def test_a_codec_that_is_not_found_says_which_option_names_it(taught):
    from paths import ROOT

    done = run("transcribe", ROOT / "src/xcodec2/assets/demo.flac", "--ctc", taught)
    assert isinstance(done.exception, XCodec2Error)
    assert "made up" in str(done.exception)
    assert "--model" in str(done.exception)


def test_audio_is_encoded_by_the_codec_of_the_model(tmp_path):
    from paths import ROOT

    speech = ROOT / "src/xcodec2/assets/demo.flac"
    identity = CodecIdentity("nano", None, 65_536, 50)
    network = CtcNetwork(CtcConfig("a", " ab", 65_536, 8, 1, 3)).eval()
    Transcriber(network, identity).save(tmp_path / "c.safetensors")
    done = run("transcribe", speech, "--ctc", tmp_path / "c.safetensors", "--format", "json")
    assert done.exit_code == 0, done.output
    assert set(json.loads(done.output)) == {"text", "words", "phones"}
