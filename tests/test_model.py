"""The public interface: what goes in, what comes out, what is refused."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import NEUCODEC, SPECTROGRAM, XCODEC2, random_model, speech
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from xcodec2 import Codes, XCodec2Error
from xcodec2.codec.cached_tensor import cached_tensor

MODEL = random_model(SPECTROGRAM)
NARROW = dict.fromkeys(("semantic_width", "semantic_ffn", "width", "ffn"), 32)
NARROW |= {"semantic_layers": 1, "layers": 1, "acoustic_channels": 2, "head_width": 4}


def test_the_original_packages_example_runs_unchanged(tmp_path):
    random_model().save_pretrained(tmp_path)
    from xcodec2.modeling_xcodec2 import XCodec2Model

    model = XCodec2Model.from_pretrained(tmp_path)
    model.eval()
    wav = speech()[None].repeat(2, 1)
    vq_code = model.encode_code(input_waveform=wav)
    assert vq_code.shape == (2, 1, wav.shape[1] // 320 + 1)
    assert vq_code.dtype == torch.int32
    recon = model.decode_code(vq_code)
    assert recon.shape == (2, 1, 320 * vq_code.shape[-1])
    assert recon.dtype == torch.float32
    assert torch.equal(vq_code[0], vq_code[1])
    assert torch.equal(vq_code[0, 0], model.encode(speech(), 16_000).codes)


def near(count: int) -> list[int]:
    """Lengths up to `count` near to a frame of features, 160 samples, or to half of one."""
    return [n for n in range(1, count + 1) if (n + 2) % 80 < 5]


@pytest.mark.parametrize(
    ("config", "lengths"),
    [(XCODEC2, range(1, 2001)), (NEUCODEC, near(2000)), (SPECTROGRAM, near(2000))],
    ids=["xcodec2", "neucodec", "spectrogram"],
)
def test_every_length_up_to_2000(config, lengths):
    """T = N//320 + 1, NeuCodec N//320; decoded length is the input's at the model's rate.

    The other two, whose lengths go through the same functions, at the lengths where they change.
    """
    model = random_model(replace(config, **NARROW))
    lengths = [n for n in lengths if config.feature_padding or n >= 320]
    encoded = model.encode([speech()[5000 : 5000 + n] for n in lengths], 16_000)
    for n, codes in zip(lengths, encoded, strict=True):
        assert len(codes) == n // 320 + (1 if config.feature_padding else 0)
        assert codes.num_samples == n
    for n, waveform in zip(lengths, model.decode(encoded), strict=True):
        whole = model.config.frames(n) * model.config.output_hop
        assert len(waveform) == min(round(n * model.sample_rate / 16_000), whole)


@given(frames=st.integers(1, 12), extra=st.integers(-1, 1))
@settings(max_examples=20, deadline=None)
def test_multiples_of_the_hop_get_one_frame_more(frames, extra):
    n = 320 * frames + extra
    assert len(MODEL.encode(speech()[3000 : 3000 + n], 16_000)) == n // 320 + 1


def test_neucodec_needs_one_whole_frame():
    model = random_model(NEUCODEC)
    with pytest.raises(XCodec2Error, match=r"319 samples.*at least 320"):
        model.encode(speech()[:319], 16_000)


def test_types_and_channels_of_the_same_sound_give_the_same_codes():
    pcm = (speech()[:16_000] * 32_768).round().clamp(-32_768, 32_767)
    expected = MODEL.encode(pcm / 32_768, 16_000).codes
    wide = {
        "int16": pcm.to(torch.int16),
        "int32": (pcm * 65_536).to(torch.int32),
        "float64": pcm.double() / 32_768,
    }
    for name, samples in wide.items():
        for form in (
            samples,
            samples.numpy(),
            torch.stack([samples, samples]),
            samples.numpy()[None],
        ):
            assert torch.equal(MODEL.encode(form, 16_000).codes, expected), name
    file = io.BytesIO()
    soundfile.write(file, pcm.to(torch.int16).numpy(), 16_000, format="FLAC")
    for form in (file, file.getvalue(), bytearray(file.getvalue())):
        assert torch.equal(MODEL.encode(form).codes, expected)


def test_other_rates_are_converted_and_remembered(tmp_path):
    import soxr

    samples = soxr.resample(speech().numpy(), 16_000, 44_100)
    soundfile.write(tmp_path / "a.wav", samples, 44_100, subtype="FLOAT")
    codes = MODEL.encode(tmp_path / "a.wav")
    assert (codes.num_samples, codes.sample_rate) == (len(samples), 44_100)
    assert torch.equal(codes.codes, MODEL.encode(str(tmp_path / "a.wav"), 44_100).codes)
    assert torch.equal(codes.codes, MODEL.encode(samples, 44_100).codes)
    assert len(MODEL.decode(codes)) == round(len(samples) * 16_000 / 44_100)
    with pytest.raises(XCodec2Error, match="44100"):
        MODEL.encode(tmp_path / "a.wav", 16_000)


def test_results_describe_themselves(tmp_path):
    codes = MODEL.encode(speech(), 16_000)
    assert (codes.frame_rate, codes.codebook_size) == (50, 65_536)
    assert (codes.model, codes.weights_hash) == (MODEL.model_id, MODEL.weights_hash)
    codes.save(tmp_path / "codes.npz")
    back = Codes.load(tmp_path / "codes.npz")
    assert back == codes
    assert torch.equal(MODEL.decode(back), MODEL.decode(codes))


BAD_AUDIO = {
    "empty": (np.zeros(0, np.float32), 16_000),
    "no samples": (np.zeros((2, 0), np.float32), 16_000),
    "NaN": (np.array([0.1, np.nan], np.float32), 16_000),
    "infinity": (np.array([0.1, np.inf]), 16_000),
    "bool": (np.array([True, False]), 16_000),
    "complex": (np.zeros(400, np.complex64), 16_000),
    "no rate": (np.zeros(400, np.float32), None),
    "three dimensions": (np.zeros((1, 1, 400), np.float32), 16_000),
    "channels last": (np.zeros((4000, 2), np.float32), 16_000),
    "rate of zero": (np.zeros(400, np.float32), 0),
    "negative rate": (np.zeros(400, np.float32), -16_000),
    "text": (np.array(["a"]), 16_000),
    "None": (None, 16_000),
    "number": (7, 16_000),
    "no such file": ("nowhere.wav", None),
    "not audio": (b"not a sound file at all", None),
}


@pytest.mark.parametrize("case", BAD_AUDIO)
def test_bad_audio_raises_one_clear_error(case):
    audio, rate = BAD_AUDIO[case]
    with pytest.raises(XCodec2Error) as error:
        MODEL.encode(audio, rate)
    assert 10 < len(str(error.value)) < 300
    assert "\n" not in str(error.value)
    with pytest.raises(XCodec2Error):
        MODEL.encode([audio, audio], rate)


BAD_CODES = {
    "empty": [],
    "too large": [1, 65_536],
    "negative": torch.tensor([3, -1]),
    "floats": torch.tensor([1.0, 2.0]),
    "bool": torch.tensor([True]),
    "two dimensions": torch.zeros(2, 3, dtype=torch.long),
    "text": "abc",
    "None": None,
    "of another codebook": Codes(codes=[1], codebook_size=1024),
}


@pytest.mark.parametrize("case", BAD_CODES)
def test_bad_codes_raise_one_clear_error(case):
    with pytest.raises(XCodec2Error) as error:
        MODEL.decode(BAD_CODES[case]) if case != "empty" else MODEL.decode(
            torch.empty(0, dtype=torch.long)
        )
    assert "\n" not in str(error.value)


def test_compatible_calls_check_their_shapes():
    with pytest.raises(XCodec2Error, match=r"\(B, N\)"):
        MODEL.encode_code(torch.zeros(100))
    with pytest.raises(XCodec2Error, match="16000 Hz, not 24000"):
        MODEL.encode_code(torch.zeros(1, 100), sample_rate=24_000)
    with pytest.raises(XCodec2Error, match=r"\(B, 1, T\)"):
        MODEL.decode_code(torch.zeros(3, dtype=torch.long))
    with pytest.raises(XCodec2Error, match="65535"):
        MODEL.decode_code(torch.full((1, 1, 3), 65_536))


def test_inference_has_no_gradients_and_training_has():
    assert not MODEL.decode(MODEL.encode(speech(), 16_000)).requires_grad
    model = random_model(replace(XCODEC2, layers=1, semantic_layers=1)).train()
    model.acoustic_encoder.add_weight_norm()
    reconstruction = model(speech()[None, :8000])
    assert reconstruction.shape == (1, 26 * 320)
    reconstruction.square().mean().backward()
    untouched = [
        name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum()
    ]
    assert untouched == []


def test_a_model_in_training_encodes_and_decodes_as_if_it_were_not():
    model = random_model(replace(SPECTROGRAM, dropout=0.5))
    codes = model.encode(speech(), 16_000)
    expected = [model.decode(codes), torch.cat(list(model.stream_decode(codes.codes.split(50))))]
    model.train()
    found = [model.decode(codes), torch.cat(list(model.stream_decode(codes.codes.split(50))))]
    assert model.training
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
    assert not torch.equal(model(speech()[None, :3200]), model(speech()[None, :3200]))


def test_a_cached_tensor_made_in_inference_mode_can_take_part_in_training():
    filters = cached_tensor(lambda size: torch.ones(size))
    with torch.inference_mode():
        filters(3)
    weight = torch.ones(3, requires_grad=True)
    (weight * filters(3)).sum().backward()
    assert torch.equal(weight.grad, torch.ones(3))


def test_a_cached_tensor_made_while_a_graph_is_traced_is_not_kept():
    filters = cached_tensor(lambda size: torch.ones(size))
    with FakeTensorMode():
        assert isinstance(filters(3), FakeTensor)
    assert torch.equal(filters(3), torch.ones(3))
    assert filters(3) is filters(3)


def test_the_same_input_gives_the_same_output():
    first, second = (MODEL.encode(speech(), 16_000) for _ in range(2))
    assert torch.equal(first.codes, second.codes)
    assert torch.equal(MODEL.decode(first), MODEL.decode(second))


def test_importing_the_package_does_not_import_torch():
    code = (
        "import sys, xcodec2; assert 'torch' not in sys.modules; "
        "xcodec2.XCodec2Model; assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(ImportError):
        from xcodec2 import nothing  # noqa: F401


def test_no_heavy_library_at_run_time():
    code = (
        "import sys; from xcodec2 import XCodec2Model\n"
        "bad = {'transformers', 'torchaudio', 'torchtune', 'vector_quantize_pytorch', 'scipy'}\n"
        "bad |= {'librosa'}\n"
        "assert not bad & set(sys.modules), bad & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
