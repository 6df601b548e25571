"""The GPU's activation where there is no GPU: Triton interprets the kernels on the CPU, and
compiles them for one.
"""

from __future__ import annotations

import importlib
import inspect

import pytest
import torch
from test_snake_kernel import activation, assert_near, by_torch

from xcodec2.codec import snake
from xcodec2.codec.kernels import snake_triton

pytest.importorskip("triton", reason="Triton exists for Linux alone")


@pytest.fixture
def interpreted(monkeypatch):
    """The activation by the interpreted kernels, for tensors on the CPU."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    module = importlib.import_module("xcodec2.codec.kernels.snake_triton_kernels")
    monkeypatch.setattr(snake_triton, "kernels", lambda: importlib.reload(module))
    monkeypatch.setattr(snake_triton, "BLOCK", 64)
    monkeypatch.setattr(
        snake_triton, "can_run", lambda x: x.dtype in snake_triton.TYPES
    )  # not float64: by_torch
    monkeypatch.setattr(snake.snake_cpu, "can_run", lambda x: False)
    yield
    monkeypatch.delenv("TRITON_INTERPRET")
    importlib.reload(module)


@pytest.mark.parametrize(
    ("batch", "channels", "size"), [(1, 3, 200), (2, 5, 64), (1, 1, 1), (2, 2, 3), (1, 2, 65)]
)
def test_equals_torch(interpreted, batch, channels, size):
    x, module = 3 * torch.randn(batch, channels, size), activation(channels)
    with torch.no_grad():
        result = module(x)
    assert_near(result, by_torch(module, x))


def test_the_ends_of_ragged_items(interpreted):
    x, module, lengths = torch.randn(5, 4, 130), activation(4), torch.tensor([1, 2, 64, 65, 130])
    with torch.no_grad():
        result = module(x, lengths)
    for row, whole, length in zip(result, x, lengths, strict=True):
        assert_near(row[:, :length], by_torch(activation(4), whole[None, :, :length])[0])
        assert not row[:, length:].any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_types_are_computed_in_float32(interpreted, dtype):
    x, module = torch.randn(1, 3, 100).to(dtype), activation(3).to(dtype)
    with torch.no_grad():
        result = module(x)
    assert result.dtype == dtype
    rounding = (
        2 * torch.finfo(dtype).eps
    )  # of the output, and of the exponentials of the parameters
    torch.testing.assert_close(result.float(), by_torch(module, x), rtol=rounding, atol=rounding)


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_compiles_for_gpus(capability, dtype):
    """To machine code, for A100 and H100, with an accurate sine."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from xcodec2.codec.kernels import snake_triton_kernels as module

    sizes = {"channels": "i32", "values": "i32", "plane": "i32", "block": "constexpr"}
    pointers = {"alpha": "*fp32", "beta": "*fp32", "taps": "*fp32", "lengths": "*i64"}
    signatures = {
        module.rise: {"x": f"*{dtype}", "doubled": "*fp32", **pointers, **sizes},
        module.fall: {
            "doubled": "*fp32",
            "out": f"*{dtype}",
            "taps": "*fp32",
            "lengths": "*i64",
            **sizes,
        },
    }
    if "constexprs" not in inspect.signature(ASTSource.__init__).parameters:
        pytest.skip("Triton before 3.3 is asked otherwise for machine code of an absent GPU")
    for kernel, signature in signatures.items():
        source = ASTSource(kernel, signature=signature, constexprs={"block": snake_triton.BLOCK})
        compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32))
        assert compiled.asm["cubin"].startswith(b"\x7fELF")
        assert "sin.approx" not in compiled.asm["ptx"]
