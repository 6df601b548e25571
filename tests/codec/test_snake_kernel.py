"""The compiled activation: equal to PyTorch's, in whatever shape, and only where it may run."""

from __future__ import annotations

import shutil
import stat

import pytest
import torch
from tiny import XCODEC2, random_model, speech
from torch import Tensor

from xcodec2.codec.kernels import build, snake_cpu
from xcodec2.codec.snake import AntiAliasedSnake

TOLERANCE = 3e-6  # of the largest value: a few roundings of float32


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Path of the library, freshly compiled: an installed one could be older than the source."""
    if not (shutil.which("cc") or shutil.which("gcc")):
        pytest.skip("no C compiler on this machine")
    library = tmp_path_factory.mktemp("kernel") / "libsnake.so"
    assert build.compile_library(library) is None
    return library


@pytest.fixture
def kernel(compiled, monkeypatch):
    """The kernel loaded from there."""
    monkeypatch.setattr(snake_cpu, "LIBRARY", compiled)
    snake_cpu.load_library.cache_clear()
    if snake_cpu.load_library() is None:
        pytest.skip("this processor lacks AVX2")
    yield snake_cpu
    snake_cpu.load_library.cache_clear()


def activation(channels: int, seed: int = 0) -> AntiAliasedSnake:
    module = AntiAliasedSnake(channels)
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        # Logarithms: α/β, by which the activation multiplies roundings of what it is given, stays
        # small.
        parameter.data.copy_(0.5 * torch.randn(channels, generator=generator))
    return module


def by_torch(module: AntiAliasedSnake, x: Tensor, lengths: Tensor | None = None) -> Tensor:
    """In float64, which the kernel leaves alone."""
    with torch.no_grad():
        return module.double()(x.double(), lengths).float()


def assert_near(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(
        actual, expected, rtol=0, atol=TOLERANCE * float(expected.abs().max().clamp(min=1))
    )


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("with_openmp", [True, False])
@pytest.mark.parametrize(
    ("batch", "channels", "size"),
    [(1, 48, 1000), (3, 16, 96), (2, 5, 97), (1, 1, 1), (2, 40, 3), (1, 33, 500)],
)
def test_equals_torch(kernel, monkeypatch, batch, channels, size, threads, with_openmp):
    if not with_openmp:
        monkeypatch.setattr(kernel, "openmp_parallel", lambda: None)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        x, module = 3 * torch.randn(batch, channels, size), activation(channels)
        with torch.no_grad():
            result = module(x)
        assert result.transpose(1, 2).is_contiguous()  # channels side by side: the kernel made it
        assert_near(result, by_torch(module, x))
    finally:
        torch.set_num_threads(before)


def test_the_ends_of_ragged_items(kernel):
    x, module, lengths = torch.randn(4, 20, 300), activation(20), torch.tensor([1, 96, 97, 300])
    with torch.no_grad():
        result = module(x, lengths)
    for row, whole, length in zip(result, x, lengths, strict=True):
        assert_near(row[:, :length], by_torch(activation(20), whole[None, :, :length])[0])
        assert not row[:, length:].any()


@pytest.mark.parametrize("loudness", [1e-6, 1.0, 1e3, 1e5, 1e30])
def test_any_loudness(kernel, loudness):
    """Large angles leave the vectors for the C library's sine; neither way may lose more than the
    angle's rounding.
    """
    x, module = loudness * torch.randn(1, 16, 200), activation(16)
    with torch.no_grad():
        result = module(x)
    expected = by_torch(activation(16), x)
    sizes = [parameter.detach().exp() for parameter in activation(16).parameters()]
    angle = 10 * loudness * float(sizes[0].max())
    swing = min(1.0, angle * 1e-6) / float(
        sizes[1].min()
    )  # of sin²(αx)/β, when αx has float32's last bits wrong
    assert float((result - expected).abs().max()) <= TOLERANCE * float(expected.abs().max()) + swing


@pytest.mark.parametrize("value", [20_000.5, 30_000.5, 200_000.5])
def test_large_angles(kernel, value):
    """A constant stays one, so the angle is known but for a few of float32's last bits."""
    x, module = torch.full((1, 16, 200), value), AntiAliasedSnake(16)
    with torch.no_grad():
        result = module(x).double()
    assert float((result - value - x.double().sin().square()).abs().max()) < 1e-6 * value


def test_nan_and_infinity_come_through(kernel):
    x = torch.zeros(1, 16, 100)
    x[0, 3, 50], x[0, 4, 50] = float("nan"), float("inf")
    with torch.no_grad():
        result = activation(16)(x)
    assert not result[0, 3, 50].isfinite()
    assert not result[0, 4, 50].isfinite()
    assert result[0, 5].isfinite().all()


def test_gradients_go_through_torch(kernel):
    x, module = torch.randn(1, 8, 50, requires_grad=True), activation(8)
    assert not kernel.can_run(x)
    module(x).sum().backward()
    assert x.grad.abs().sum() > 0
    assert module.act.alpha.grad.abs().sum() > 0


def test_codes_are_the_same_with_and_without(kernel, monkeypatch):
    model = random_model(XCODEC2)
    items = [speech(), speech()[:20_000], speech()[5_000:30_123]]
    ours = model.encode(items, 16_000)
    calls: list = []
    monkeypatch.setattr(snake_cpu, "can_run", lambda x: calls.append(x))
    theirs = model.encode(items, 16_000)
    assert calls
    wrong = sum(int((a.codes != b.codes).sum()) for a, b in zip(ours, theirs, strict=True))
    assert wrong <= 0.0005 * sum(map(len, theirs))


def test_without_a_compiler_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    (tmp_path / "old.so").write_bytes(b"stale")
    assert build.compile_library(tmp_path / "old.so") == "no C compiler was found"
    assert not (tmp_path / "old.so").exists()


def test_a_failing_compiler_is_quoted(tmp_path, monkeypatch):
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\necho 'cannot make code' >&2\nexit 1\n")
    compiler.chmod(compiler.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("CC", str(compiler))
    assert build.compile_library(tmp_path / "x.so") == f"{compiler} failed: cannot make code"


def test_without_the_library_torch_runs(monkeypatch, tmp_path):
    monkeypatch.setattr(snake_cpu, "LIBRARY", tmp_path / "not there.so")
    snake_cpu.load_library.cache_clear()
    try:
        x, module = torch.randn(1, 8, 50), activation(8)
        with pytest.warns(RuntimeWarning, match="not compiled; install a C compiler"):
            assert snake_cpu.load_library() is None
        with torch.no_grad():
            assert not snake_cpu.can_run(x)
            result = module(x)
        assert_near(result, by_torch(module, x))
    finally:
        snake_cpu.load_library.cache_clear()
