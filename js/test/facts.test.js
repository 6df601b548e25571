import assert from "node:assert/strict";
import test from "node:test";

import { CheckpointError } from "../src/index.js";
import { numFrames, readFacts, sameModel } from "../src/facts.js";

const FACTS = {
  model: "nano",
  version: "0.1.0",
  weights_hash: "a0883b39540cbdfa",
  input_rate: 16_000,
  sample_rate: 16_000,
  hop: 320,
  codebook_size: 65_536,
  shortest: 1,
  encoder_back: 0,
  encoder_ahead: 0,
  decoder_ahead: 0,
  tolerance: 0,
};

const varint = (value) => (value < 128 ? [value] : [(value & 127) | 128, ...varint(Math.floor(value / 128))]);
const field = (number, bytes) => [...varint(number * 8 + 2), ...varint(bytes.length), ...bytes];
const text = (value) => [...new TextEncoder().encode(value)];
const property = (key, value) => field(14, [...field(1, text(key)), ...field(2, text(value))]);
const graph = (...properties) => {
  const before = [8, 10, ...field(2, text("pytorch")), ...field(7, Array(300).fill(0x72))];
  return Uint8Array.from([...before, ...properties.flat()]);
};

test("a graph says what it is of", () => {
  const found = readFacts(graph(property("other", "{"), property("xcodec2", JSON.stringify(FACTS))));
  assert.equal(found.weightsHash, FACTS.weights_hash);
  assert.equal(found.inputRate, 16_000);
  assert.equal(numFrames(found, 640), 3);
  assert.equal(numFrames({ ...found, shortest: 320 }, 640), 2);
});

test("another file, a newer one or half of one is refused", () => {
  const whole = graph(property("xcodec2", JSON.stringify(FACTS)));
  const newer = JSON.stringify({ ...FACTS, something_new: 1 });
  for (const bytes of [graph(), graph(property("xcodec2", newer)), whole.slice(0, -9), text("<html>")]) {
    assert.throws(() => readFacts(Uint8Array.from(bytes)), CheckpointError);
  }
});

test("graphs go together if they are of the same codes, rates and streams", () => {
  const read = (facts) => readFacts(graph(property("xcodec2", JSON.stringify(facts))));
  const nano = read(FACTS);
  assert.ok(sameModel(nano, read({ ...FACTS, model: "trained further", version: "0.2.0" })));
  for (const other of [{ weights_hash: "0" }, { sample_rate: 44_100 }, { decoder_ahead: 5 }]) {
    assert.ok(!sameModel(nano, read({ ...FACTS, ...other })));
  }
});
