"""Draw the codec's architecture with the shapes and sizes that the code itself has.

    python scripts/draw_architecture.py

writes docs/pictures/architecture.svg. A test fails when the picture is older than the code.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from xcodec2.codec.config import XCodec2Config
from xcodec2.codec.network import CodecNetwork

PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "architecture.svg"
WIDTH, HEIGHT = 1185, 360
BOX_HEIGHT = 74
STYLE = """
  text { font: 13px system-ui, sans-serif; text-anchor: middle; fill: #1c2733 }
  .name { font-weight: 600 } .note { font-size: 11px; fill: #51606f }
  .shape { font: 11px ui-monospace, monospace; fill: #51606f }
  .box { rx: 8; stroke-width: 1.5 } .semantic { fill: #e6f0fb; stroke: #3b7dc4 }
  .acoustic { fill: #fdf0e1; stroke: #d08a2e } .codes { fill: #e9f6ea; stroke: #4a9a52 }
  .plain { fill: #f3f5f7; stroke: #8a97a5 }
  .arrow { stroke: #51606f; stroke-width: 1.5; fill: none; marker-end: url(#tip) }
"""


@dataclass(frozen=True)
class Box:
    """One part of the network, where it stands, and what it says of itself."""

    x: int
    y: int
    width: int
    kind: str
    name: str
    notes: tuple[str, ...] = ()

    def svg(self) -> str:
        """The box with its lines of text, as SVG elements."""
        middle = self.x + self.width / 2
        lines = [f'<text class="name" x="{middle}" y="{self.y + 24}">{self.name}</text>']
        lines += [
            f'<text class="note" x="{middle}" y="{self.y + 42 + 16 * row}">{note}</text>'
            for row, note in enumerate(self.notes)
        ]
        return (
            f'<rect class="box {self.kind}" x="{self.x}" y="{self.y}" width="{self.width}" '
            f'height="{BOX_HEIGHT}"/>' + "".join(lines)
        )


def millions(module: torch.nn.Module) -> str:
    """The module's number of parameters: ``"387.1 M"``."""
    return f"{sum(p.numel() for p in module.parameters()) / 1e6:.1f} M parameters"


def shape(tensor: torch.Tensor) -> str:
    """Of one second of speech, with the batch left open: ``"(B, 51, 2048)"``."""
    return f"(B, {', '.join(map(str, tensor.shape[1:]))})"


def draw(config: XCodec2Config) -> str:
    """The picture, as SVG.

    Args:
        config: Sizes of the codec that is drawn.
    """
    with FakeTensorMode(
        allow_non_fake_inputs=True
    ):  # shapes alone: nothing is allocated or computed
        network = CodecNetwork(config).eval()
        second = torch.zeros(1, config.input_rate)
        padded = network.pad(second)
        features, _ = network.features(padded)
        encoded = network.encode_features(padded)
        quantized = network.quantize(encoded.latent)
        waveform = network.decode_vectors(quantized.vectors).waveform
    top, bottom, middle = 60, 250, 155
    boxes = [
        Box(10, middle, 110, "plain", "waveform", (f"{config.input_rate:,} Hz",)),
        Box(180, top, 130, "semantic", "filter bank", ("80 mel bins × 2", "normalized")),
        Box(
            350,
            top,
            160,
            "semantic",
            "semantic encoder",
            (f"{config.semantic_layers} conformer layers", millions(network.semantic_encoder)),
        ),
        Box(
            550,
            top,
            120,
            "semantic",
            "adapter",
            ("4 convolutions", millions(network.semantic_adapter)),
        ),
        Box(
            350,
            bottom,
            160,
            "acoustic",
            "acoustic encoder",
            (f"strides {', '.join(map(str, config.strides))}", millions(network.acoustic_encoder)),
        ),
        Box(
            725,
            middle,
            130,
            "codes",
            "quantizer",
            (f"{len(config.levels)} digits of {config.levels[0]} levels", "fc_encoder, FSQ"),
        ),
        Box(
            905,
            middle,
            150,
            "acoustic",
            "acoustic decoder",
            (f"{config.layers} transformer layers", millions(network.acoustic_decoder)),
        ),
        Box(1090, middle, 85, "plain", "waveform", (f"{config.sample_rate:,} Hz",)),
    ]
    center = middle + BOX_HEIGHT // 2
    upper, lower = top + BOX_HEIGHT // 2, bottom + BOX_HEIGHT // 2
    arrows = [
        f"M120 {center} H150 V{upper} H176",
        f"M150 {center} V{lower} H346",
        f"M310 {upper} H346",
        f"M510 {upper} H546",
        f"M670 {upper} H700 V{center} H721",
        f"M510 {lower} H700 V{center} H721",
        f"M855 {center} H901",
        f"M1055 {center} H1086",
    ]
    labels = [
        (245, top - 12, shape(features)),
        (430, top - 12, shape(encoded.semantic)),
        (610, top - 12, shape(encoded.adapted)),
        (430, bottom + BOX_HEIGHT + 18, shape(encoded.acoustic)),
        (790, middle - 30, f"codes {shape(quantized.codes)}"),
        (790, middle - 12, f"{config.frame_rate} a second of {config.codebook_size:,}"),
        (65, middle - 12, shape(second)),
        (1125, middle - 12, shape(waveform)),
        (980, middle - 12, shape(quantized.vectors)),
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
            "<title>XCodec2: one second of speech through the network</title>",
            f"<style>{STYLE}</style>",
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
            'markerHeight="7" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="#51606f"/></marker>'
            "</defs>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
            *(box.svg() for box in boxes),
            *(f'<path class="arrow" d="{path}"/>' for path in arrows),
            *(f'<text class="shape" x="{x}" y="{y}">{text}</text>' for x, y, text in labels),
            "</svg>",
            "",
        ]
    )


def main() -> None:
    """Write the picture of the published configuration."""
    PICTURE.write_text(draw(XCodec2Config()), encoding="utf-8")


if __name__ == "__main__":
    main()
