import assert from "node:assert/strict";
import test from "node:test";

import { AudioError, wavFile } from "../src/index.js";
import { fromPcm16, pcm16, storedRate } from "../src/wav.js";

test("16-bit samples are rounded as NumPy rounds, and clipped", () => {
  const values = [0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49, -0.51, 40_000, -40_000].map((v) => v / 32_768);
  assert.deepEqual(values.map(pcm16).map((v) => v + 0), [0, 2, 2, 0, -2, -2, 0, -1, 32_767, -32_768]);
  const all = Float32Array.from({ length: 65_536 }, (_, n) => (n - 32_768) / 32_768);
  assert.deepEqual(fromPcm16(wavFile(all, 16_000).subarray(44)), all);
});

test("the rate of a file is known from its first bytes", () => {
  const bytes = (...parts) => Uint8Array.from(parts.flatMap((p) => (typeof p === "string" ? [...p].map((c) => c.charCodeAt(0)) : p)));
  assert.equal(storedRate(wavFile(new Float32Array(3), 22_050)), 22_050);
  const flac = bytes("fLaC", [0, 0, 0, 34], Array(10).fill(0), [0x0a, 0xc4, 0x42, 0xf0]);
  assert.equal(storedRate(flac), 44_100);
  const page = ["OggS", Array(22).fill(0), [1, 19]];
  assert.equal(storedRate(bytes(...page, "OpusHead", Array(11).fill(0))), 48_000);
  assert.equal(storedRate(bytes(...page, [1], "vorbis", [0, 0, 0, 0, 1, 0x80, 0x3e, 0, 0])), 16_000);
  assert.equal(storedRate(bytes([0xff, 0xfb, 0x90, 0x00, 0])), 44_100);
  assert.equal(storedRate(bytes([0xff, 0xf3, 0x44, 0x00, 0])), 24_000);
  assert.equal(storedRate(bytes("ID3", [3, 0, 0, 0, 0, 0, 2], [0, 0], [0xff, 0xf3, 0x88, 0x00, 0])), 16_000);
  assert.equal(storedRate(bytes("ftypM4A ", Array(20).fill(0))), null);
  assert.throws(() => storedRate(bytes("RIFF....WAVE")), AudioError);
});
