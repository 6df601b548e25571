import assert from "node:assert/strict";
import { deflateRawSync } from "node:zlib";
import test from "node:test";

import { CodesError, codesFile, readCodesFile } from "../src/index.js";

const ITEM = {
  codes: Int32Array.of(0, 17, 60_001, 65_535),
  numSamples: 1_000,
  sampleRate: 16_000,
  frameRate: 50,
  codebookSize: 65_536,
  model: "nano é",
  weightsHash: "0123456789abcdef",
};

test("a file of codes says all that it was given", async () => {
  assert.deepEqual(await readCodesFile(codesFile(ITEM)), ITEM);
  const bare = await readCodesFile(codesFile({ codes: [3] }));
  assert.deepEqual([...bare.codes], [3]);
  assert.equal(bare.model, undefined);
});

test("text of speech tokens is read", async () => {
  const text = "<|SPEECH_GENERATION_START|><|s_17|>\n<|s_60001|><|SPEECH_GENERATION_END|>";
  assert.deepEqual([...(await readCodesFile(new TextEncoder().encode(text))).codes], [17, 60_001]);
});

test("members that are deflated are read", async () => {
  const bytes = deflated(codesFile({ codes: ITEM.codes }));
  assert.deepEqual((await readCodesFile(bytes)).codes, ITEM.codes);
});

test("damage anywhere is one clear error", async () => {
  const whole = codesFile(ITEM);
  for (let at = 0; at < whole.length; at += 3) {
    const damaged = whole.slice();
    damaged[at] ^= 0x5a;
    await readCodesFile(damaged).then(
      (item) => assert.equal(item.codes.length, ITEM.codes.length),
      (problem) => assert.ok(problem instanceof CodesError, `${at}: ${problem.stack}`),
    );
    await assert.rejects(readCodesFile(whole.slice(0, at)), CodesError);
  }
});

test("what is not codes is refused", async () => {
  const text = (value) => new TextEncoder().encode(value);
  for (const value of ["", "hello", "<|s_70000|>", "<|s_1|> and more", "RIFF"]) {
    await assert.rejects(readCodesFile(text(value)), CodesError);
  }
  assert.throws(() => codesFile({ codes: [] }), CodesError);
  for (const code of [-1, 65_536, 1.5, NaN]) {
    assert.throws(() => codesFile({ codes: [code] }), CodesError);
  }
});

/** The same archive, with its members deflated. */
function deflated(bytes) {
  const view = new DataView(bytes.buffer);
  const pieces = [];
  const central = [];
  let offset = 0;
  for (let at = 0; view.getUint32(at, true) === 0x04034b50; ) {
    const [size, name] = [view.getUint32(at + 18, true), view.getUint16(at + 26, true)];
    const head = bytes.slice(at, at + 30 + name);
    const packed = new Uint8Array(deflateRawSync(bytes.slice(at + 30 + name, at + 30 + name + size)));
    new DataView(head.buffer).setUint16(8, 8, true);
    new DataView(head.buffer).setUint32(18, packed.length, true);
    const entry = new Uint8Array(46 + name);
    const fields = new DataView(entry.buffer);
    fields.setUint32(0, 0x02014b50, true);
    entry.set(head.slice(4, 30), 6);
    entry.set(head.slice(30), 46);
    fields.setUint32(42, offset, true);
    pieces.push(head, packed);
    central.push(entry);
    offset += head.length + packed.length;
    at += 30 + name + size;
  }
  const end = bytes.slice(-22);
  new DataView(end.buffer).setUint32(16, offset, true);
  return Uint8Array.from([...pieces, ...central, end].flatMap((piece) => [...piece]));
}
