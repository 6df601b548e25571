import assert from "node:assert/strict";
import test from "node:test";

import { AudioError, wavFile } from "../src/index.js";
import { fromPcm16, pcm16, storedFormat, undoUnevenScale } from "../src/wav.js";

test("16-bit samples are rounded as NumPy rounds, and clipped", () => {
  const values = [0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49, -0.51, 40_000, -40_000].map((v) => v / 32_768);
  assert.deepEqual(values.map(pcm16).map((v) => v + 0), [0, 2, 2, 0, -2, -2, 0, -1, 32_767, -32_768]);
  const all = Float32Array.from({ length: 65_536 }, (_, n) => (n - 32_768) / 32_768);
  assert.deepEqual(fromPcm16(wavFile(all, 16_000).subarray(44)), all);
});

const rateOf = (bytes) => storedFormat(bytes).rate;

test("the rate of a file is known from its first bytes", () => {
  const bytes = (...parts) => Uint8Array.from(parts.flatMap((p) => (typeof p === "string" ? [...p].map((c) => c.charCodeAt(0)) : p)));
  assert.equal(rateOf(wavFile(new Float32Array(3), 22_050)), 22_050);
  const flac = bytes("fLaC", [0, 0, 0, 34], Array(10).fill(0), [0x0a, 0xc4, 0x42, 0xf0]);
  assert.equal(rateOf(flac), 44_100);
  const page = ["OggS", Array(22).fill(0), [1, 19]];
  assert.equal(rateOf(bytes(...page, "OpusHead", Array(11).fill(0))), 48_000);
  assert.equal(rateOf(bytes(...page, [1], "vorbis", [0, 0, 0, 0, 1, 0x80, 0x3e, 0, 0])), 16_000);
  assert.equal(rateOf(bytes([0xff, 0xfb, 0x90, 0x00, 0])), 44_100);
  assert.equal(rateOf(bytes([0xff, 0xf3, 0x44, 0x00, 0])), 24_000);
  assert.equal(rateOf(bytes("ID3", [3, 0, 0, 0, 0, 0, 2], [0, 0], [0xff, 0xf3, 0x88, 0x00, 0])), 16_000);
  assert.equal(rateOf(bytes("ftypM4A ", Array(20).fill(0))), null);
  assert.throws(() => rateOf(bytes("RIFF....WAVE")), AudioError);
});

test("the bits of whole numbers are known", () => {
  const flac = (packed) => Uint8Array.of(...[..."fLaC"].map((c) => c.charCodeAt(0)), ...Array(14).fill(0), ...packed);
  assert.equal(storedFormat(flac([0x03, 0xe8, 0x00, 0xf0])).bits, 16);
  assert.equal(storedFormat(flac([0x03, 0xe8, 0x01, 0x70])).bits, null); // 24
  const wav = wavFile(new Float32Array(3), 16_000);
  assert.equal(storedFormat(wav).bits, 16);
  for (const [kind, bits, found] of [[3, 32, null], [1, 24, null], [1, 8, 8], [7, 8, 16]]) {
    new DataView(wav.buffer).setUint16(20, kind, true);
    new DataView(wav.buffer).setUint16(34, bits, true);
    assert.equal(storedFormat(wav).bits, found);
  }
});

test("each whole number comes out of Chromium's scale as itself", () => {
  for (const bits of [8, 16]) {
    const levels = 2 ** (bits - 1);
    const numbers = Array.from({ length: 2 * levels }, (_, n) => n - levels);
    const uneven = Float32Array.from(numbers, (n) => n / (n > 0 ? levels - 1 : levels));
    undoUnevenScale(uneven, bits);
    assert.deepEqual(uneven, Float32Array.from(numbers, (n) => n / levels));
  }
});
