// The codec by ONNX Runtime for the web: the graphs that `xcodec2 export MODEL FOLDER --to onnx`
// writes. They hold all of the model, its filter bank included. N samples, T codes.

import { checkRange } from "./codes_file.js";
import { AudioError, CheckpointError, CodesError, XCodec2Error } from "./errors.js";
import { numFrames, readFacts, sameModel } from "./facts.js";
import { concat, resample } from "./resample.js";
import { DecoderStream, EncoderStream, MAX_STEP } from "./streams.js";

const ERRORS = 3; // what ONNX Runtime says: errors, and no remarks on what it leaves unfolded
const PROBE = 25; // frames on which a GPU has to agree with WebAssembly
const MOST_NOISE = 1e-6; // as a part of the energy
const MAX_FRAMES = 3001; // in one pass, a minute: attention's memory grows with the square

/** The graphs of one model. Each is loaded when it is first needed. */
export class Codec {
  /**
   * @param {string | URL | ((name: string) => Promise<ArrayBuffer | Uint8Array>)} source
   * @param {import("./index.js").Options} [options]
   */
  static async load(source, options = {}) {
    const read = typeof source === "function" ? source : (name) => fetched(source, name);
    const ort = options.ort ?? (await import("onnxruntime-web"));
    const codec = new Codec(read, { ...options, ort });
    codec.facts = readFacts(await codec.bytes(options.decoderOnly ? "decoder" : "encoder"));
    return codec;
  }

  /** Use `Codec.load`. */
  constructor(read, { ort, decoderOrt, encoder = ["wasm"], decoder = ["wasm"] }) {
    Object.assign(this, { read, files: new Map(), sessions: new Map() });
    const safe = { ort, providers: ["wasm"] };
    this.ways = {
      encoder: [{ ort, providers: encoder }, safe],
      decoder: [{ ort: decoderOrt ?? ort, providers: decoder }, safe],
    };
    this.queue = Promise.resolve(); // ONNX Runtime for the web runs one graph at a time
  }

  get sampleRate() {
    return this.facts.sampleRate;
  }

  get frameRate() {
    return this.facts.inputRate / this.facts.hop;
  }

  get codebookSize() {
    return this.facts.codebookSize;
  }

  /** Whether streams are to be had: the model's receptive field is finite. */
  get streams() {
    return this.facts.tolerance > 0;
  }

  /**
   * @param {Float32Array} samples Mono, in -1 … 1.
   * @param {number} rate In Hz; another than the model's is converted.
   * @returns {Promise<Int32Array>} (T,)
   */
  async encode(samples, rate) {
    const wave = resample(checkedSamples(samples), rate, this.facts.inputRate);
    const { shortest } = this.facts;
    if (wave.length < shortest) {
      throw new AudioError(
        `the audio has ${wave.length} samples; this model needs at least ${shortest}`,
      );
    }
    if (numFrames(this.facts, wave.length) > MAX_FRAMES) return this.encodeLong(wave);
    const { codes, margin } = await this.run("encoder", { waveform: row(wave) });
    const found = Int32Array.from(codes.data, Number);
    if (!margin) return found;
    const frames = Math.floor(wave.length / this.facts.hop) + 1;
    const padded = concat([wave, new Float32Array(frames * this.facts.hop - wave.length)]);
    const { hop } = this.facts;
    for (let index = 0; index < found.length; index++) {
      if (margin.data[index] < this.facts.tolerance) {
        const between = (first, last) => padded.slice(first * hop, last * hop);
        found[index] = await this.codeAlone(index, frames, between);
      }
    }
    return found;
  }

  /**
   * @param {ArrayLike<number>} codes (T,)
   * @returns {Promise<Float32Array>} (T · hop,) at `sampleRate`
   */
  async decode(codes) {
    const known = this.checkedCodes(codes);
    if (!known.length) throw new CodesError("there are no codes");
    if (known.length > MAX_FRAMES) return this.decodeLong(known);
    const { waveform } = await this.run("decoder", { codes: integers(known, [1, known.length]) });
    return waveform.data;
  }

  /** A session with `push(chunk)` and `finish()`, which give codes as they become final. */
  async encoderStream(rate, { step = 4 } = {}) {
    return EncoderStream.open(this, rate, step);
  }

  /** A session with `push(codes)` and `finish()`, which give samples as they become final. */
  async decoderStream({ step = 4 } = {}) {
    return DecoderStream.open(this, step);
  }

  /** Chunks of audio as they come → codes as they become final, those of `encode` for the whole. */
  async *streamEncode(chunks, rate, options) {
    yield* asItComes(await this.encoderStream(rate, options), chunks);
  }

  /** Chunks of codes as they come → samples as they become final. */
  async *streamDecode(chunks, options) {
    yield* asItComes(await this.decoderStream(options), chunks);
  }

  /** Give the memory of all graphs back. */
  async release() {
    for (const opened of this.sessions.values()) await (await opened).session.release();
    this.sessions.clear();
  }

  // ---- what does not fit into one pass ---------------------------------------------------------

  async encodeLong(wave) {
    this.refuseLong(numFrames(this.facts, wave.length));
    return concat(await all(this.streamEncode([wave], this.facts.inputRate, { step: MAX_STEP })));
  }

  async decodeLong(codes) {
    this.refuseLong(codes.length);
    return concat(await all(this.streamDecode([codes], { step: MAX_STEP })));
  }

  refuseLong(frames) {
    if (this.streams) return;
    const seconds = Math.floor((MAX_FRAMES - 1) / this.frameRate);
    throw new XCodec2Error(
      `${(frames / this.frameRate).toFixed(0)} s are too long for this model in a browser: ` +
        `cut it into pieces of ${seconds} s at most`,
    );
  }

  // ---- graphs ----------------------------------------------------------------------------------

  /** The code of one of so many frames, from its receptive field alone; see `OnnxCodec`. */
  async codeAlone(frame, frames, between) {
    const first = Math.max(frame - this.facts.encoderBack, 0);
    const last = Math.min(frame + this.facts.encoderAhead + 1, frames);
    const window = between(first, last).slice(0, -1);
    const { codes } = await this.run("encoder", { waveform: row(window) });
    return Number(codes.data[frame - first]);
  }

  /** The outputs of a graph by name. Graphs run in the order they were asked for. */
  run(name, feeds) {
    const result = this.queue.then(async () => {
      const { session, ort } = await this.session(name);
      return session.run(tensors(ort, feeds));
    });
    this.queue = result.catch(() => {});
    return result;
  }

  session(name) {
    if (!this.sessions.has(name)) {
      const opened = this.open(name);
      opened.catch(() => this.sessions.delete(name)); // another call may try again
      this.sessions.set(name, opened);
    }
    return this.sessions.get(name);
  }

  async open(name) {
    const bytes = await this.bytes(name);
    if (!sameModel(readFacts(bytes), this.facts)) {
      throw new CheckpointError(
        `${name}.onnx is of another model than what lies beside it: export the model again`,
      );
    }
    const [fast, safe] = this.ways[name.split("_")[0]];
    const sure = await opened(name, bytes, safe);
    const other = fast.providers[0] === "wasm" ? null : await opened(name, bytes, fast).catch(() => null);
    this.files.delete(name);
    if (!other) return sure;
    const kept = (await agree(name, other, sure)) ? other : sure;
    await (kept === sure ? other : sure).session.release();
    return kept;
  }

  async bytes(name) {
    if (!this.files.has(name)) {
      this.files.set(name, new Uint8Array(await this.read(`${name}.onnx`)));
    }
    return this.files.get(name);
  }

  /** @returns {Int32Array} the codes, if they are this model's */
  checkedCodes(codes) {
    checkRange(codes, this.codebookSize);
    return Int32Array.from(codes);
  }
}

/** A graph, loaded. */
async function opened(name, bytes, { ort, providers }) {
  const options = { executionProviders: providers, logSeverityLevel: ERRORS };
  try {
    return { session: await ort.InferenceSession.create(bytes, options), ort };
  } catch (problem) {
    throw new CheckpointError(`${name}.onnx: ONNX Runtime cannot load it (${problem})`);
  }
}

/**
 * Whether a GPU computes what WebAssembly does. Drivers and operations there have faults that give
 * other sound without an error, so that one short piece is computed by both.
 */
async function agree(name, other, sure) {
  if (name.endsWith("_step")) return false; // their state would have to be probed as well
  const wave = Float32Array.from({ length: PROBE * 320 }, (_, n) => 0.3 * Math.sin(n * n * 1e-5));
  const codes = Int32Array.from({ length: PROBE }, (_, n) => (n * 3_001) % 65_536);
  const feeds = { encoder: { waveform: row(wave) }, decoder: { codes: integers(codes, [1, PROBE]) } };
  const results = [];
  for (const { session, ort } of [other, sure]) {
    const found = await session.run(tensors(ort, feeds[name])).catch(() => null);
    if (!found) return false;
    results.push(Array.from(found[name === "encoder" ? "codes" : "waveform"].data, Number));
  }
  const [there, here] = results;
  const energy = here.reduce((sum, value) => sum + value * value, 0);
  const noise = here.reduce((sum, value, index) => sum + (value - there[index]) ** 2, 0);
  return name === "encoder" ? noise === 0 : noise < MOST_NOISE * energy;
}

/** Float samples as a graph takes them: type, values and shape. */
function row(samples) {
  return ["float32", samples, [1, samples.length]];
}

/** Whole numbers as a graph takes them. */
export function integers(values, shape) {
  return ["int64", BigInt64Array.from(values, BigInt), shape];
}

function tensors(ort, feeds) {
  const made = ([name, value]) => [name, Array.isArray(value) ? new ort.Tensor(...value) : value];
  return Object.fromEntries(Object.entries(feeds).map(made));
}

/** @returns {Float32Array} the samples, if they are finite floats */
export function checkedSamples(samples) {
  if (!(samples instanceof Float32Array || samples instanceof Float64Array)) {
    throw new AudioError("audio must be a Float32Array of mono samples in -1 … 1");
  }
  if (!samples.every(Number.isFinite)) throw new AudioError("the audio holds NaN or infinity");
  return samples instanceof Float32Array ? samples : Float32Array.from(samples);
}

async function* asItComes(stream, chunks) {
  for await (const chunk of chunks) {
    const found = await stream.push(chunk);
    if (found.length) yield found;
  }
  const rest = await stream.finish();
  if (rest.length) yield rest;
}

async function all(pieces) {
  const found = [];
  for await (const piece of pieces) found.push(piece);
  return found;
}

async function fetched(base, name) {
  const url = new URL(name, new URL(String(base).replace(/\/?$/, "/"), globalThis.location?.href));
  const response = await fetch(url);
  if (!response.ok) throw new CheckpointError(`${url}: cannot be read (${response.status})`);
  return response.arrayBuffer();
}
