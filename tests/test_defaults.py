"""The process's default dtype and device are other libraries' business: codes and sound stay."""

from __future__ import annotations

import ast
import contextlib
import copy
from pathlib import Path

import pytest
import safetensors.torch
import torch
from tiny import SPECTROGRAM, XCODEC2, random_model, speech
from training import toy_recipe

import xcodec2
from xcodec2 import XCodec2Model
from xcodec2.codec.cached_tensor import cached_tensor
from xcodec2.codec.defaults import current_device
from xcodec2.train import losses

CLIP = speech()[:12_000]
# What makes a new tensor of a type or on a device of the process's choice; the former by its
# values.
OF_INTEGERS = {
    f"torch.{name}" for name in ("arange", "tensor", "as_tensor", "asarray", "randint", "randperm")
}
FACTORIES = OF_INTEGERS | {
    f"torch.{name}"
    for name in (
        *("zeros", "ones", "empty", "full", "eye", "linspace", "logspace", "rand", "randn"),
        *("hann_window", "kaiser_window", "hamming_window", "scalar_tensor"),
    )
}


@contextlib.contextmanager
def defaults(dtype: torch.dtype = torch.float32, device: str | None = None):
    """Both as a program around ours may have set them; nothing cached from before."""
    forget_cached()
    torch.set_default_dtype(dtype)
    set_default_device(device)
    try:
        yield
    finally:
        set_default_device(None)
        torch.set_default_dtype(torch.float32)
        forget_cached()


def set_default_device(device: str | None) -> None:
    """PyTorch 2.6 cannot be asked for its default device any more, by transformers for one, once
    that was set to None.
    """
    torch.set_default_device(device)
    context = getattr(torch, "_GLOBAL_DEVICE_CONTEXT", None)
    if getattr(context, "device_context", context) is None:
        del context.device_context


def forget_cached() -> None:
    """Filters that another test made would hide how they are made."""
    from xcodec2.codec import features, quantizer, snake

    for module in (features, quantizer, snake):
        for function in vars(module).values():
            if getattr(function, "__wrapped__", None) and function.__closure__:
                for cell in function.__closure__:
                    if isinstance(cell.cell_contents, dict):
                        cell.cell_contents.clear()


def results(folder: Path) -> dict[str, torch.Tensor]:
    """What each way in and out gives; models with random weights from one seed."""
    found = {}
    nano = XCodec2Model.from_pretrained()
    codes = nano.encode([CLIP, CLIP[:5000], CLIP.numpy()[:7000]], 16_000)
    found |= {f"codes {i}": item.codes for i, item in enumerate(codes)}
    found |= {f"waveform {i}": made for i, made in enumerate(nano.decode(codes))}
    found["stream"] = torch.cat(list(nano.stream_decode(codes[0], step=10, look_back=10)))
    found["encode_code"] = nano.encode_code(CLIP[None])
    for dtype in (torch.bfloat16, torch.int8):
        low = XCodec2Model.from_pretrained(dtype=dtype)
        found[f"{dtype}"] = low.decode(codes[0].codes.tolist())
    nano.save_pretrained(folder)
    found |= safetensors.torch.load_file(folder / "model.safetensors", device="cpu")
    for name, config in (("waveform", XCODEC2), ("spectrogram", SPECTROGRAM)):
        torch.manual_seed(0)
        model = XCodec2Model(config).eval()
        found |= {f"{name} {key}": tensor for key, tensor in model.state_dict().items()}
        made = model(CLIP[None])
        made.mean().backward()
        found[f"{name} gradient"] = model.fc_encoder.weight.grad
        found[f"{name} codes"] = model.encode(CLIP, 16_000).codes
    pair = CLIP[None, :8000], CLIP[None, 4000:]
    found["mel loss"] = losses.mel_loss(*pair, 512, 16_000)
    found["convergence"] = losses.spectral_convergence(*pair, 512)
    found["balance"] = losses.level_balance(CLIP[:8000].view(1, -1, 8))
    return found


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return results(tmp_path_factory.mktemp("expected"))


@pytest.mark.filterwarnings("ignore:written in open-xcodec2's own form")
@pytest.mark.filterwarnings("ignore:PyTorch finds no instructions")
@pytest.mark.parametrize(
    ("dtype", "device"),
    [
        (torch.float16, None),
        (torch.bfloat16, "cpu"),
        (torch.float64, None),
        (torch.float32, "meta"),
    ],
)
def test_nothing_depends_on_the_processs_defaults(expected, tmp_path, dtype, device):
    with defaults(dtype, device):
        found = results(tmp_path)
        assert torch.get_default_dtype() == dtype
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        assert tensor.dtype == expected[name].dtype, name
        assert tensor.device.type == "cpu", name
        assert torch.equal(tensor, expected[name]), name


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_training_begins_with_the_same_weights(tmp_path, dtype):
    from accelerate import Accelerator

    from xcodec2.train.tasks.codec import starting_state

    recipe = toy_recipe(tmp_path)
    expected = starting_state(recipe, Accelerator(cpu=True)).state_dict()
    with defaults(dtype):
        found = starting_state(recipe, Accelerator(cpu=True)).state_dict()
    for part in ("generator", "discriminators", "ema_weights"):
        for name, tensor in expected[part].items():
            assert found[part][name].dtype == tensor.dtype
            assert torch.equal(found[part][name], tensor)


@pytest.mark.parametrize(
    ("dtype", "device"),
    [(torch.float16, None), (torch.float64, None), (torch.float32, "meta")],
)
def test_evaluators_and_probes_do_not_depend_on_them(dtype, device, monkeypatch):
    from xcodec2.evaluate.probing.linear import fit
    from xcodec2.evaluators import weights
    from xcodec2.evaluators.distillmos import DistillMOSPredictor, Network
    from xcodec2.evaluators.resemblyzer import Resemblyzer

    torch.manual_seed(0)
    lstm, linear = torch.nn.LSTM(40, 256, 3), torch.nn.Linear(256, 256)
    linear.bias.data.fill_(1.0)
    state = {f"lstm.{name}": tensor for name, tensor in lstm.state_dict().items()}
    state |= {f"linear.{name}": tensor for name, tensor in linear.state_dict().items()}
    saved = {
        "model_state": state,
        "model": {f"cnn.{name}": tensor for name, tensor in Network().state_dict().items()},
    }
    monkeypatch.setattr(weights, "find", lambda *_: "")
    monkeypatch.setattr(torch, "load", lambda *_, **__: saved)
    points, classes = torch.randn(40, 3), torch.arange(40) % 2

    def found() -> list[torch.Tensor]:
        score = DistillMOSPredictor().score(CLIP.numpy())
        speaker = torch.from_numpy(Resemblyzer().embed(CLIP.numpy()))
        return [
            torch.full((1,), score, dtype=torch.float64, device="cpu"),
            speaker,
            *fit(points, classes, 2),
        ]

    expected = found()
    with defaults(dtype, device):
        for tensor, wanted in zip(found(), expected, strict=True):
            assert tensor.dtype == wanted.dtype
            # Not every bit: within a block that names a device, torch takes another way through
            # attention.
            torch.testing.assert_close(tensor, wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.filterwarnings("ignore:the model did not end by itself")
@pytest.mark.parametrize(
    ("dtype", "device"),
    [(torch.float16, None), (torch.bfloat16, None), (torch.float64, None), (torch.float32, "meta")],
)
def test_speech_and_new_language_models_do_not_depend_on_them(taught, dtype, device):
    from talkers import TEACHING, prompts, small_codec

    from xcodec2.llasa import Sampling, Speaker
    from xcodec2.llasa.training.model import add_rows, build_model
    from xcodec2.llasa.training.recipe import LlasaRecipe

    def found() -> dict[str, torch.Tensor]:
        speaker = Speaker.from_pretrained(taught, small_codec())
        sampling = Sampling(temperature=0.9, top_k=9, top_p=0.9, max_tokens=12)
        spoken = speaker.speak("Red car.", sampling=sampling, seed=3)
        torch.manual_seed(0)
        model = build_model(LlasaRecipe(out="x", rows=["x"], **TEACHING), prompts())
        add_rows(model, 400, [380, 390])
        weights = model.state_dict()
        return {"waveform": spoken.waveform, "codes": torch.from_numpy(spoken.codes), **weights}

    expected = found()
    with defaults(dtype, device):
        made = found()
    assert made.keys() == expected.keys()
    for name, tensor in made.items():
        assert (tensor.dtype, tensor.device) == (expected[name].dtype, torch.device("cpu")), name
        assert torch.equal(tensor, expected[name]), name


def test_a_block_that_names_a_device_is_heard():
    with torch.device("meta"):
        assert XCodec2Model(SPECTROGRAM).device.type == "meta"
    assert XCodec2Model(SPECTROGRAM, device="meta").device.type == "meta"
    with defaults(device="meta"), torch.device("cpu"):
        assert XCodec2Model(SPECTROGRAM).device.type == "cpu"


def test_a_default_device_may_have_been_taken_back():
    with defaults(device="meta"):
        torch.set_default_device(None)
        assert random_model(SPECTROGRAM).fc_encoder.weight.device.type == "cpu"
        with torch.device("meta"):
            assert current_device().type == "meta"


def test_tensors_are_made_of_a_type_on_a_device_that_the_code_names():
    """So that the next line that makes one does not depend on the process again."""
    for path in sorted(Path(xcodec2.__file__).parent.rglob("*.py")):
        calls = [
            node
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        ]
        # built under float32_parameters
        weights = {id(arg) for call in calls if call.func.attr == "Parameter" for arg in call.args}
        for call in calls:
            if id(call) in weights or ast.unparse(call.func) not in FACTORIES:
                continue
            if ast.unparse(call) == "torch.empty(0)":  # asks where tensors are made
                continue
            named = {keyword.arg for keyword in call.keywords}
            if None in named:  # **settings, which the other test sees
                continue
            where = f"{path.name}:{call.lineno}: {ast.unparse(call.func)}"
            assert "device" in named, where
            assert "dtype" in named or ast.unparse(call.func) in OF_INTEGERS, where


def test_weights_lie_channels_last_and_are_contiguous_in_the_state_dict(tmp_path):
    """Hugging Face's Trainer and safetensors take contiguous tensors alone."""
    model = random_model(XCODEC2)
    state = model.state_dict()
    assert any(not parameter.is_contiguous() for parameter in model.parameters())
    assert all(tensor.is_contiguous() for tensor in state.values())
    assert state.keys() == dict(model.named_parameters()).keys()
    safetensors.torch.save_file(state, tmp_path / "model.safetensors")
    strides = {name: parameter.stride() for name, parameter in model.named_parameters()}
    model.load_state_dict(safetensors.torch.load_file(tmp_path / "model.safetensors"))
    assert strides == {name: parameter.stride() for name, parameter in model.named_parameters()}
    model.acoustic_encoder.add_weight_norm()
    assert all(tensor.is_contiguous() for tensor in model.state_dict().values())
    assert all(tensor.is_contiguous() for tensor in model.acoustic_decoder.state_dict().values())
    kept = model.state_dict(keep_vars=True)
    assert all(kept[name] is parameter for name, parameter in model.named_parameters())


def test_a_copy_of_a_model_gives_the_same():
    model = random_model(XCODEC2)
    codes = model.encode(CLIP, 16_000).codes
    assert torch.equal(copy.deepcopy(model).encode(CLIP, 16_000).codes, codes)


def test_filters_are_cached_as_they_are_made():
    with defaults(torch.float64):
        made = cached_tensor(lambda: torch.ones(2, dtype=torch.float32, device="cpu"))
        assert made().dtype == torch.float32


class WithLoss(torch.nn.Module):
    """A model as Hugging Face's Trainer trains one."""

    def __init__(self, codec: XCodec2Model) -> None:
        super().__init__()
        self.codec = codec

    def forward(self, waveform: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss": self.codec(waveform).square().mean()}


@pytest.mark.slow
def test_hugging_faces_trainer_saves_it(tmp_path):
    from transformers import Trainer, TrainingArguments

    options = TrainingArguments(
        output_dir=str(tmp_path), max_steps=1, save_steps=1, use_cpu=True, report_to="none",
        per_device_train_batch_size=1,
    )  # fmt: skip
    model = WithLoss(random_model(XCODEC2))
    Trainer(model, options, train_dataset=[{"waveform": CLIP[:4000]}]).train()
    saved = safetensors.torch.load_file(tmp_path / "checkpoint-1" / "model.safetensors")
    assert torch.equal(saved["codec.fc_encoder.weight"], model.codec.fc_encoder.weight)
