// Streams by step graphs, whose caches go in and come out: each frame is computed once. Only models
// with a finite receptive field have them. Codes are those of `encode` for the whole, sound is that
// of `decode` up to rounding.

import { AudioError, CheckpointError, XCodec2Error } from "./errors.js";
import { checkedSamples, integers } from "./codec.js";
import { numFrames } from "./facts.js";
import { concat, Resampler } from "./resample.js";

export const MAX_STEP = 50; // frames given to a graph at once
const UNKNOWN = 2 ** 40; // length of what has not ended

/** What both directions share: values in, frame by frame; results out as they become final. */
class Stream {
  constructor(codec, { session }, name, { size, delay, back, step, values }) {
    if (!Number.isInteger(step) || step < 1) {
      throw new XCodec2Error(`a stream needs step >= 1, not ${step}`);
    }
    Object.assign(this, { codec, name, size, delay, back, step, values });
    this.caches = Object.fromEntries(
      session.inputMetadata
        .filter(({ name }) => name.startsWith("cache_"))
        .map(({ name, shape }) => [name, zeros(shape)]),
    );
    this.first = this.done = 0; // the frame `values` begin with; frames given to the graph
    this.length = null;
    this.ended = false;
    this.queue = Promise.resolve();
  }

  /** One call after another: calls that overlap take their turns. */
  inTurn(work) {
    const result = this.queue.then(() => {
      if (this.ended) throw new XCodec2Error("the stream is finished: begin another");
      return work();
    });
    this.queue = result.catch(() => {});
    return result;
  }

  /** Values of frames first … last, with zeros behind the end. */
  between(first, last) {
    const start = (first - this.first) * this.size;
    const found = new this.values.constructor((last - first) * this.size);
    found.set(this.values.subarray(start, start + found.length));
    return found;
  }

  /** Frames that can be given to the graph now. */
  ready() {
    if (this.length !== null) return this.length + this.delay - this.done;
    const there = this.first + Math.floor(this.values.length / this.size) - this.done;
    return there - (there % this.step);
  }

  /** Give the graph the frames that are ready: the first result's time, and results by name. */
  async *run() {
    for (let count; (count = Math.min(this.ready(), MAX_STEP)) > 0; ) {
      const found = await this.codec.run(this.name, {
        frames: this.frames(this.between(this.done, this.done + count), count),
        start: integers([this.done], [1]),
        length: integers([this.length ?? UNKNOWN], [1]),
        ...this.caches,
      });
      for (const name of Object.keys(this.caches)) this.caches[name] = found[`${name}_next`];
      const time = this.done - this.delay;
      this.done += count;
      const skipped = Math.min(Math.max(-time, 0), count);
      const stop = this.length === null ? count : Math.min(count, this.length - time);
      yield { time: time + skipped, count, found, skipped, stop: Math.max(stop, skipped) };
      const dropped = Math.max(this.done - this.back - this.first, 0);
      this.values = this.values.slice(dropped * this.size);
      this.first += dropped;
    }
  }
}

/** One recording that is encoded as it arrives; `Codec.encoderStream` makes it. */
export class EncoderStream extends Stream {
  static async open(codec, rate, step) {
    const { hop, inputRate, encoderBack, encoderAhead: delay } = codec.facts;
    const name = "encoder_step";
    const back = encoderBack + delay + MAX_STEP;
    const shape = { size: hop, delay, back, step, values: new Float32Array(0) };
    const stream = new EncoderStream(codec, await stepSession(codec, name), name, shape);
    stream.resampler = rate === inputRate ? null : new Resampler(rate, inputRate);
    stream.numSamples = 0; // at the model's rate
    return stream;
  }

  /** @param {Float32Array} chunk @returns {Promise<Int32Array>} codes that are final by now */
  push(chunk) {
    return this.inTurn(() => {
      const samples = checkedSamples(chunk);
      this.take(this.resampler ? this.resampler.push(samples) : samples);
      return this.codes();
    });
  }

  /** End the recording. @returns {Promise<Int32Array>} the last codes */
  finish() {
    return this.inTurn(() => {
      if (this.resampler) this.take(this.resampler.finish());
      const { hop, shortest } = this.codec.facts;
      if (this.numSamples < shortest) {
        throw new AudioError(
          `the stream has ${this.numSamples} samples; this model needs at least ${shortest}`,
        );
      }
      this.ended = true;
      this.length = Math.floor(this.numSamples / hop) + 1;
      return this.codes();
    });
  }

  take(samples) {
    this.numSamples += samples.length;
    this.values = concat([this.values, samples]);
  }

  frames(values, count) {
    return ["float32", values, [1, count, this.size]];
  }

  /** What is final now. Codes that rounding could move are found as for the whole. */
  async codes() {
    const { facts } = this.codec;
    const pieces = [new Int32Array(0)];
    for await (const { time, found, skipped, stop } of this.run()) {
      const kept = this.length === null ? Infinity : numFrames(facts, this.numSamples) - time;
      const codes = Int32Array.from(found.codes.data.slice(skipped, stop), Number).slice(0, kept);
      for (let index = 0; index < codes.length; index++) {
        if (found.margin.data[skipped + index] < facts.tolerance) {
          const known = this.length ?? this.done;
          const between = (first, last) => this.between(first, last);
          codes[index] = await this.codec.codeAlone(time + index, known, between);
        }
      }
      pieces.push(codes);
    }
    return concat(pieces);
  }
}

/** One row of codes that is decoded as it arrives; `Codec.decoderStream` makes it. */
export class DecoderStream extends Stream {
  static async open(codec, step) {
    const name = "decoder_step";
    const delay = codec.facts.decoderAhead;
    const shape = { size: 1, delay, back: 0, step, values: new Int32Array(0) };
    return new DecoderStream(codec, await stepSession(codec, name), name, shape);
  }

  /** @param {ArrayLike<number>} codes @returns {Promise<Float32Array>} samples final by now */
  push(codes) {
    return this.inTurn(() => {
      this.values = concat([this.values, this.codec.checkedCodes(codes)]);
      return this.samples();
    });
  }

  /** End the stream. @returns {Promise<Float32Array>} the last samples */
  finish() {
    return this.inTurn(() => {
      this.ended = true;
      const given = this.first + this.values.length;
      if (!given) return new Float32Array(0);
      this.length = given;
      return this.samples();
    });
  }

  frames(values, count) {
    return integers(values, [1, count]);
  }

  async samples() {
    const pieces = [new Float32Array(0)];
    for await (const { count, found, skipped, stop } of this.run()) {
      const samples = found.waveform.data;
      const hop = samples.length / count;
      pieces.push(samples.slice(skipped * hop, stop * hop));
    }
    return concat(pieces);
  }
}

function stepSession(codec, name) {
  if (!codec.streams) {
    throw new CheckpointError(
      "this model's receptive field has no limit, so it has no step graphs: " +
        "encode and decode whole recordings",
    );
  }
  return codec.session(name);
}

/** A cache of a stream that begins: one row of zeros. */
function zeros(shape) {
  const sizes = [1, ...shape.slice(1)];
  const size = sizes.reduce((product, value) => product * value, 1);
  return ["float32", new Float32Array(size), sizes];
}
