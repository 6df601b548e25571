import assert from "node:assert/strict";
import test from "node:test";

import { AudioError, Resampler, resample } from "../src/index.js";

const tone = (frequency, rate, count) =>
  Float32Array.from({ length: count }, (_, n) => 0.5 * Math.sin((2 * Math.PI * frequency * n) / rate));

for (const [rate, target] of [[48_000, 16_000], [44_100, 16_000], [8_000, 16_000], [16_000, 48_000], [11_025, 16_000]]) {
  test(`a tone at ${rate} Hz is the same tone at ${target} Hz`, () => {
    const found = resample(tone(1234, rate, rate), rate, target);
    assert.equal(found.length, target);
    const expected = tone(1234, target, target);
    const inner = found.slice(2000, -2000).map((sample, n) => sample - expected[n + 2000]);
    assert.ok(inner.every((difference) => Math.abs(difference) < 1e-6));
  });
}

test("what the lower rate cannot hold is gone", () => {
  const found = resample(tone(8_100, 48_000, 48_000), 48_000, 16_000).slice(2000, -2000);
  assert.ok(found.every((sample) => Math.abs(sample) < 1e-6));
});

test("any cut into chunks gives the same bits", () => {
  const wave = Float32Array.from({ length: 9_973 }, (_, n) => Math.sin(n * n * 1e-4));
  for (const size of [1, 7, 441, 5_000]) {
    const resampler = new Resampler(44_100, 16_000);
    const pieces = [];
    for (let at = 0; at < wave.length; at += size) {
      pieces.push(...resampler.push(wave.subarray(at, at + size)));
    }
    pieces.push(...resampler.finish());
    assert.deepEqual(Float32Array.from(pieces), resample(wave, 44_100, 16_000));
  }
});

test("lengths are rounded half up, and never 0", () => {
  assert.equal(resample(new Float32Array(1), 48_000, 16_000).length, 1);
  assert.equal(resample(new Float32Array(3), 32_000, 16_000).length, 2);
  assert.equal(resample(new Float32Array(100), 44_100, 16_000).length, 36);
});

test("a rate that audio does not have is refused", () => {
  for (const rate of [0, -1, 999, 44_100.5, Infinity, NaN, "16000", undefined]) {
    assert.throws(() => resample(new Float32Array(9), rate, 16_000), AudioError);
  }
});
