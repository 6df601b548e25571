"""`encode - --stream` and `decode - --stream`: pipes."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from tiny import SPECTROGRAM, random_model, speech

from xcodec2 import Codes, XCodec2Model
from xcodec2.cli import main
from xcodec2.errors import CodesError
from xcodec2.token_stream import codes_of_text, tokens_as_text

CONFIG = replace(SPECTROGRAM, attention_window=(6, 0), semantic_layers=1, layers=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny model with a finite receptive field."""
    path = tmp_path_factory.mktemp("model")
    with pytest.warns(UserWarning, match="spectrogram"):
        random_model(CONFIG).save_pretrained(path)
    return str(path)


def pcm(samples: int) -> np.ndarray:
    return (speech()[5_000 : 5_000 + samples].numpy() * 32_768).astype("<i2")


def run(*arguments: str, given: bytes) -> tuple[bytes, str, int]:
    """Standard output, standard error and exit code."""
    out, err = io.BytesIO(), io.StringIO()
    stdout = io.TextIOWrapper(out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        patch.setattr(sys, "stdout", stdout)
        patch.setattr(sys, "stderr", err)
        with pytest.raises(SystemExit) as stop:
            main(list(arguments))
    stdout.flush()
    return out.getvalue(), err.getvalue(), int(stop.value.code or 0)


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_pipes_give_what_the_whole_gives(folder: str, rate: int) -> None:
    model, samples = XCodec2Model.from_pretrained(folder), pcm(9_999)
    whole = model.encode(samples, rate)
    options = ("--stream", "--model", folder)
    text, _, code = run(
        "encode", "-", *options, "--sample-rate", str(rate), given=samples.tobytes()
    )
    assert code == 0
    assert Codes.from_text(text.decode()).codes.tolist() == whole.codes.tolist()
    sound, _, code = run("decode", "-", *options, given=text)
    assert code == 0
    expected = model.decode(whole.codes.tolist()).numpy()
    found = np.frombuffer(sound, "<i2")
    assert len(found) == len(expected)
    assert np.abs(found / 32_768 - expected.clip(-1, 1)).max() < 1.1 / 32_768


def test_pipes_of_a_small_model_with_a_finite_field_leave_pytorch_alone(folder: str) -> None:
    code = (
        "import sys; sys.argv[0] = 'xcodec2'; from xcodec2.cli import main\n"
        "try: main()\nfinally: assert 'torch' not in sys.modules"
    )

    def piped(verb: str, given: bytes) -> bytes:
        command = [sys.executable, "-c", code, verb, "-", "--stream", "--model", folder]
        return subprocess.run(command, input=given, capture_output=True, check=True).stdout

    assert len(piped("decode", piped("encode", pcm(16_000).tobytes()))) == 2 * 51 * 320


@pytest.mark.parametrize(
    ("arguments", "given", "code", "message"),
    [
        ("encode - --stream", b"\0" * 5, 1, "middle of a 16-bit sample"),
        ("encode - --stream", b"", 1, "no audio samples"),
        ("encode - --stream", b"RIFF\0\0\0\0WAVE", 1, "header"),
        ("encode - --stream -o x.npz", b"", 2, "standard output"),
        ("encode - --stream --channel 1", b"", 2, "--channel"),
        ("encode - --sample-rate 8000 -o x.npz", b"", 2, "--stream"),
        ("encode -", b"", 2, "-o"),
        ("decode - --stream", b"<|s_1|><|s_", 1, "middle of a token"),
        ("decode - --stream", b"", 1, "no speech tokens"),
        ("decode - --stream", b"<|s_1|> hello <|s_2|>", 1, "hello"),
        ("decode - --stream", b"x" * 100, 1, "not speech tokens"),
        ("decode - --stream", b"<|s_65536|>", 1, "65535"),
        ("decode - --stream --format wav", b"", 2, "--format"),
        ("decode -", b"", 2, "-o"),
    ],
)
def test_what_is_wrong_is_one_line(
    folder: str, arguments: str, given: bytes, code: int, message: str
) -> None:
    _, said, found = run(*arguments.split(), "--model", folder, given=given)
    assert found == code
    assert message in said
    assert "Traceback" not in said


def test_a_recording_of_one_sample_is_one(folder: str) -> None:
    text, _, code = run("encode", "-", "--stream", "--model", folder, given=b"\1\0")
    assert code == 0
    assert len(Codes.from_text(text.decode())) == 1


def test_tokens_may_be_cut_anywhere() -> None:
    codes = Codes(codes=[3, 60_001, 17])
    text = f"<|SPEECH_GENERATION_START|>\n {tokens_as_text(codes.codes)} \n".encode()
    for size in (1, 7, 1_000):
        pieces = [text[i : i + size] for i in range(0, len(text), size)]
        found = [code for chunk in codes_of_text(pieces, 65_536) for code in chunk.tolist()]
        assert found == codes.codes.tolist()
    with pytest.raises(CodesError, match="no speech tokens"):
        list(codes_of_text([b"<|SPEECH_GENERATION_START|>"], 65_536))


@pytest.mark.slow
def test_pipes_give_what_is_final_while_more_is_to_come(folder: str) -> None:
    command = [sys.executable, "-m", "xcodec2.cli", "{}", "-", "--stream", "--model", folder]
    samples = pcm(16_000).tobytes()
    for verb, given, size in (("encode", samples, 5), ("decode", b"<|s_7|>" * 40, 640)):
        command[3] = verb
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert isinstance(process.stdin, io.BufferedWriter)
            assert process.stdout is not None
            process.stdin.write(given)
            process.stdin.flush()
            assert len(process.stdout.read(size)) == size  # the input is still open
            process.stdin.close()
            process.stdout.read()
        assert process.returncode == 0
