"""A network as a list of operations for the engine (engine.c), and what they are run on.

`Program` collects operations; `Program.run` computes some new frames of streams, or a whole. Arrays
are NumPy's: nothing here imports PyTorch.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcodec2.codec.compiled.library import engine, reads_half

Array = NDArray[Any]

PANEL = 16  # outputs whose weights lie side by side, as in engine.c
SLACK = 64  # rows that attention holds beyond those it looks back to; no step has more
LINEAR, LAYER_NORM, ROOT_NORM, GROUP_NORM, DEPTHWISE, ATTENTION, PLACE, GATE = range(8)
ACTIVATIONS = {"": 0, "silu": 1, "gelu": 2, "relu": 3}
POINTER = ctypes.c_void_p


class Operation(ctypes.Structure):
    """`struct op` of engine.c."""

    _fields_ = [
        *((name, ctypes.c_int32) for name in ("kind", "act", "half", "inputs", "out", "kernel")),
        *((name, ctypes.c_int32) for name in ("ahead", "lag", "fewer", "heads", "back")),
        *((name, ctypes.c_int32) for name in ("left", "right", "pitch", "column")),
        *((name, ctypes.c_float) for name in ("eps", "scale")),
        *((name, ctypes.c_int64) for name in ("source", "target", "skip", "cache")),
        *((name, POINTER) for name in ("weight", "bias", "table")),
    ]


class CallArguments(ctypes.Structure):
    """`struct run` of engine.c."""

    _fields_ = [
        *((name, POINTER) for name in ("arena", "scratch", "rows")),
        *((name, ctypes.c_int64) for name in ("streams", "frames")),
        *((name, POINTER) for name in ("start", "length", "state", "filled")),
        *((name, ctypes.c_int64) for name in ("reach", "slack")),
        ("whole", ctypes.c_int),
    ]


@dataclass(frozen=True)
class Register:
    """Where an operation reads or writes: some values of every row.

    Attributes:
        place: Of the first value in the arena, in values a row.
        width: Values a row.
    """

    place: int
    width: int


@dataclass
class ProgramState:
    """What the operations keep of one stream.

    Attributes:
        values: (n,) float32, all caches in a row.
        filled: Rows in the buffers of attention.
    """

    values: Array
    filled: int


@dataclass
class Way:
    """A way through the network: how late its frames are, and how many fewer there are on it."""

    lag: int = 0
    fewer: int = 0

    def branch(self, fewer: int = 0) -> Way:
        """Another way from the same frames."""
        return Way(self.lag, self.fewer + fewer)


@dataclass
class Program:
    """The operations of a network, in order.

    Args:
        window: Frames back and ahead that attention sees; () is no limit, and then only wholes can
            be run.
    """

    window: tuple[int, ...]
    operations: list[Operation] = field(default_factory=list)
    held: list[Array] = field(default_factory=list)  # what operations point to
    width: int = 0  # of the arena, in values a row
    widest: list[tuple[int, int]] = field(default_factory=list)  # kernel and inputs
    cached: int = 0  # values of a stream's caches
    array: Any = ()

    # ---- building -------------------------------------------------------------------------------

    def register(self, width: int) -> Register:
        """A new one."""
        found = Register(self.width, width)
        self.width += width
        return found

    def linear(
        self,
        source: Register,
        target: Register,
        weight: Array,
        bias: Array | None = None,
        *,
        act: str = "",
        skip: Register | None = None,
        scale: float = 1.0,
        way: Way | None = None,
        ahead: int = 0,
    ) -> None:
        """target = skip + scale · act(weight · source + bias).

        Args:
            source: What is multiplied.
            target: (out,) a row.
            weight: (out, inputs), or of a convolution (out, inputs, kernel).
            bias: (out,).
            act: "silu", "gelu", "relu" or nothing.
            skip: Added, where there is one.
            scale: Of what is added to it.
            way: Of a convolution, which makes it later.
            ahead: Frames that a convolution sees ahead.
        """
        kernel = weight.shape[2] if weight.ndim == 3 else 1
        out, inputs = len(weight), weight.shape[1]
        flat = weight.transpose(0, 2, 1) if weight.ndim == 3 else weight
        packed, half = in_panels(flat.reshape(out, -1))
        rest = self.convolution(kernel, inputs, way, ahead)
        self.add(
            LINEAR, source, target, act=ACTIVATIONS[act], half=half, scale=scale, **rest,
            weight=self.hold(packed), skip=skip.place if skip else -1,
            bias=None if bias is None else self.hold(whole_panels(bias.astype(np.float32))),
        )  # fmt: skip
        if way:
            way.lag += ahead

    def depthwise(
        self, source: Register, target: Register, weight: Array, bias: Array | None, way: Way,
        ahead: int,
    ) -> None:  # fmt: skip
        """A convolution (channels, 1, kernel) of each channel alone."""
        rest = self.convolution(weight.shape[2], len(weight), way, ahead)
        self.add(
            DEPTHWISE, source, target, **rest, weight=self.plain(weight[:, 0].T),
            bias=None if bias is None else self.plain(bias),
        )  # fmt: skip
        way.lag += ahead

    def convolution(self, kernel: int, inputs: int, way: Way | None, ahead: int) -> dict[str, int]:
        """The fields of what looks sideways, and a cache for it."""
        self.widest.append((kernel, inputs))
        way = way or Way()
        return {
            "kernel": kernel, "ahead": ahead, "lag": way.lag, "fewer": way.fewer,
            "cache": self.cache((kernel - 1) * inputs),
        }  # fmt: skip

    def norm(
        self, source: Register, target: Register, weight: Array, bias: Array | None, eps: float,
        *, act: str = "", groups: int = 0,
    ) -> None:  # fmt: skip
        """LayerNorm, RMSNorm without a bias, or with `groups` GroupNorm over channels and time."""
        kind = GROUP_NORM if groups else ROOT_NORM if bias is None else LAYER_NORM
        self.add(
            kind, source, target, act=ACTIVATIONS[act], heads=groups, eps=eps,
            weight=self.plain(weight), bias=None if bias is None else self.plain(bias),
        )  # fmt: skip

    def attention(
        self, source: Register, target: Register, heads: int, way: Way,
        table: Array | None = None, sides: tuple[int, int] = (0, 0),
    ) -> None:  # fmt: skip
        """Queries, keys and values side by side → what the queries find.

        Args:
            source: 3 · width a row.
            target: Width a row.
            heads: Of equal widths.
            way: It makes it later by what the window sees ahead.
            table: (left + right + 1, width of a head), added to keys by their distance.
            sides: Left and right.
        """
        back, ahead = self.window or (-1, 0)
        size = (back + ahead + SLACK) * source.width if self.window else 0
        self.add(
            ATTENTION, source, target, heads=heads, back=back, ahead=ahead,
            left=sides[0], right=sides[1], lag=way.lag, fewer=way.fewer, cache=self.cache(size),
            table=None if table is None else self.plain(table),
        )  # fmt: skip
        way.lag += ahead

    def place(self, source: Register, target: Register, column: int = 0, later: int = 0) -> None:
        """Copy into the columns of a register from one on, some frames later."""
        cache = self.cache(later * source.width)
        self.add(PLACE, source, target, ahead=later, column=column, cache=cache)

    def gate(self, source: Register, target: Register) -> None:
        """First half times the sigmoid of the second."""
        self.add(GATE, source, target)

    def add(self, kind: int, source: Register, target: Register, **fields: Any) -> None:
        """Append an operation."""
        settings: dict[str, Any] = {"skip": -1, "kernel": 1, "scale": 1.0, "out": target.width}
        places = {"source": source.place, "target": target.place}
        sizes = {"inputs": source.width, "pitch": target.width}
        self.operations.append(Operation(kind=kind, **(settings | places | sizes | fields)))

    def cache(self, size: int) -> int:
        """Where so many values of a stream's state begin."""
        self.cached += size
        return self.cached - size

    def plain(self, values: Array) -> int:
        """The address of float32 values."""
        return self.hold(np.ascontiguousarray(values, np.float32))

    def hold(self, values: Array) -> int:
        """The address of an array that stays."""
        self.held.append(values)
        return int(values.ctypes.data)

    # ---- running --------------------------------------------------------------------------------

    def begin(self) -> ProgramState:
        """A stream of which nothing came yet."""
        return ProgramState(np.zeros(self.cached, np.float32), sum(self.window))

    def run(
        self,
        given: Sequence[tuple[Register, Array]],
        wanted: Register,
        states: Sequence[ProgramState] | None = None,
        start: Sequence[int] = (0,),
        length: Sequence[int] | None = None,
    ) -> Array:
        """Compute new frames of streams, or a whole.

        Args:
            given: Registers, and what they begin with: (B, t, width) float32.
            wanted: What is read.
            states: Of each stream, changed; None for a whole.
            start: Frames of each that were given before.
            length: Frames of each recording; t without.

        Returns:
            (B, t, width) float32.
        """
        streams, frames = given[0][1].shape[:2]
        rows = streams * frames
        arena = np.empty(self.width * rows, np.float32)
        for register, values in given:
            self.view(arena, register, rows)[:] = values.reshape(rows, -1)
        scratch = np.empty(max(self.laid_out(frames), default=0) * streams, np.float32)
        pointers = np.empty(rows, np.uintp)
        starts = np.array(start, np.int64)
        lengths = np.array([frames] * streams if length is None else length, np.int64)
        held = states or []
        filled = np.array([state.filled for state in held], np.int64)
        caches = np.array([state.values.ctypes.data for state in held], np.uintp)
        call = CallArguments(
            *(values.ctypes.data for values in (arena, scratch, pointers)), streams, frames,
            *(values.ctypes.data for values in (starts, lengths, caches, filled)),
            sum(self.window), SLACK, states is None,
        )  # fmt: skip
        engine().xcodec2_run(self.listed(), len(self.operations), ctypes.byref(call))
        for state, number in zip(held, filled.tolist(), strict=True):
            state.filled = number
        return self.view(arena, wanted, rows).reshape(streams, frames, -1)

    def view(self, arena: Array, register: Register, rows: int) -> Array:
        """(rows, width): a register in an arena."""
        first = register.place * rows
        return arena[first : first + register.width * rows].reshape(rows, register.width)

    def laid_out(self, frames: int) -> list[int]:
        """Values that each convolution lays out of a stream."""
        return [(kernel - 1 + frames) * inputs for kernel, inputs in self.widest]

    def listed(self) -> Any:
        """The operations side by side in memory."""
        if len(self.array) != len(self.operations):
            self.array = (Operation * len(self.operations))(*self.operations)
        return self.array


def in_panels(weight: Array) -> tuple[Array, int]:
    """(out, inputs) → panels (out / 16, inputs, 16), and whether they are float16, which then holds
    them exactly.
    """
    with np.errstate(over="ignore"):
        half = weight.astype(np.float16)
    exact = reads_half() and np.array_equal(half.astype(np.float32), weight)
    panels = whole_panels(half if exact else weight.astype(np.float32)).reshape(
        -1, PANEL, weight.shape[1]
    )
    return np.ascontiguousarray(panels.transpose(0, 2, 1)), int(exact)


def whole_panels(rows: Array) -> Array:
    """(out, …) with zeros up to whole panels."""
    missing = -len(rows) % PANEL
    return np.pad(rows, [(0, missing), *[(0, 0)] * (rows.ndim - 1)]) if missing else rows
