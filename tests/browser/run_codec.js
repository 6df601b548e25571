// Encodes, decodes and streams clips for test_js_package.py:
//   node run_codec.js GRAPHS CLIPS
// CLIPS holds NAME.RATE.f32 files (float32 samples); NAME.json and NAME.out.f32 are written beside
// them.

import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { Codec } from "../../js/src/index.js";

const [graphs, clips] = process.argv.slice(2);
const codec = await Codec.load((name) => readFile(join(graphs, name)));

for (const file of (await readdir(clips)).filter((name) => /\.\d+\.f32$/.test(name))) {
  const [name, rate] = file.split(".");
  const { buffer, byteOffset, byteLength } = await readFile(join(clips, file));
  const samples = new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
  const codes = await codec.encode(samples, Number(rate));
  const waveform = await codec.decode(codes);
  const found = { codes: [...codes], facts: codec.facts };
  const short = codes.length < 1_000; // longer ones are encoded and decoded as streams anyway
  if (codec.streams && short) Object.assign(found, await streamed(samples, Number(rate), codes, waveform));
  await writeFile(join(clips, `${name}.out.f32`), new Uint8Array(waveform.buffer));
  await writeFile(join(clips, `${name}.json`), JSON.stringify(found));
}
await codec.release();

async function streamed(samples, rate, codes, waveform) {
  const [codesStreamed, samplesStreamed] = [[], []];
  for await (const piece of codec.streamEncode(cut(samples, 777), rate)) codesStreamed.push(...piece);
  for await (const piece of codec.streamDecode(cut(codes, 3))) samplesStreamed.push(...piece);
  const differences = samplesStreamed.map((sample, index) => Math.abs(sample - waveform[index]));
  return {
    codesStreamed,
    samplesStreamed: samplesStreamed.length,
    difference: differences.reduce((most, value) => Math.max(most, value), 0),
  };
}

function* cut(values, size) {
  for (let start = 0; start < values.length; start += size) yield values.subarray(start, start + size);
}
