// What the same seconds cost as tokens, as Opus and as WAV.

import { concat, resample } from "./codec/resample.js";
import { byId } from "./dom.js";

const OPUS_RATES = [24_000, 6_000]; // bits a second: usual for calls, and its lowest
const OPUS_INPUT = 48_000; // Hz, what all of its encoders take

/**
 * Fill the table.
 * @param {{codes: Int32Array, codebookSize: number}} item
 * @param {{samples: Float32Array, rate: number} | null} original
 * @param {number} seconds
 */
export async function showSizes({ codes, codebookSize }, original, seconds) {
  const tokens = Math.ceil((codes.length * Math.log2(codebookSize)) / 8);
  const wav = 2 * Math.round(seconds * 16_000);
  const rows = [["Tokens", tokens]];
  for (const rate of OPUS_RATES) {
    const bytes = original && (await opusBytes(original, rate));
    const name = `Opus, ${rate / 1000} kbit/s`;
    rows.push(bytes ? [name, bytes] : [`${name} (nominal)`, Math.round((seconds * rate) / 8)]);
  }
  rows.push(["WAV, 16 kHz", wav]);
  byId("sizes").tBodies[0].replaceChildren(...rows.map((row) => tableRow(...row, seconds, wav)));
}

function tableRow(name, bytes, seconds, most) {
  const row = document.createElement("tr");
  const head = document.createElement("th");
  head.scope = "row";
  head.textContent = name;
  row.append(head);
  for (const value of [bytes, Math.round((8 * bytes) / seconds)]) {
    row.insertCell().textContent = value.toLocaleString("en");
  }
  const bar = document.createElement("span");
  bar.className = "bar";
  bar.style.width = `${(100 * bytes) / most}%`;
  row.insertCell().append(bar);
  return row;
}

/** Bytes of the packets that the browser's own Opus encoder makes; null where it has none. */
async function opusBytes({ samples, rate }, bitrate) {
  const config = { codec: "opus", sampleRate: OPUS_INPUT, numberOfChannels: 1, bitrate };
  const known = await globalThis.AudioEncoder?.isConfigSupported(config).catch(() => null);
  if (!known?.supported) return null;
  let bytes = 0;
  let problem = null;
  const encoder = new AudioEncoder({
    output: (packet) => (bytes += packet.byteLength),
    error: (found) => (problem = found),
  });
  encoder.configure(config);
  const wide = concat([resample(samples, rate, OPUS_INPUT)]);
  const format = { format: "f32", sampleRate: OPUS_INPUT, numberOfChannels: 1 };
  const sound = { ...format, numberOfFrames: wide.length, timestamp: 0, data: wide };
  encoder.encode(new AudioData(sound));
  await encoder.flush().catch((found) => (problem = found));
  if (encoder.state !== "closed") encoder.close();
  return problem ? null : bytes;
}
