// Sample rates are converted by a windowed sinc, in double precision: what lies below .913 of the
// lower rate's half passes, what lies above that half is 150 dB down. The Python side has the same
// edges (soxr VHQ), so that the codes of converted speech agree but for a few near an edge.

import { AudioError } from "./errors.js";

const PASSED = 0.913; // of half the lower rate
const ATTENUATION = 150; // dB
const BETA = 0.1102 * (ATTENUATION - 8.7); // Kaiser's window for it
const KEPT_PHASES = 4096; // filters that are remembered
const [LOWEST, HIGHEST] = [1000, 1_000_000]; // Hz

/**
 * The whole of a signal at another rate.
 * @param {Float32Array} samples
 * @param {number} rate In Hz.
 * @param {number} target In Hz.
 * @returns {Float32Array}
 */
export function resample(samples, rate, target) {
  if (checkedRate(rate) === checkedRate(target)) return samples;
  const resampler = new Resampler(rate, target);
  return concat([resampler.push(samples), resampler.finish()]);
}

/** A signal at another rate, as it comes. Any cut into chunks gives the same bits. */
export class Resampler {
  constructor(rate, target) {
    [this.rate, this.target] = [checkedRate(rate), checkedRate(target)];
    const common = gcd(rate, target);
    [this.up, this.down] = [target / common, rate / common]; // output n lies at n·down/up
    const lower = Math.min(1, target / rate); // as a part of the input's rate
    this.cutoff = (lower * (1 + PASSED)) / 2;
    const transition = Math.PI * lower * (1 - PASSED);
    this.side = Math.ceil((ATTENUATION - 7.95) / (2.285 * transition) / 2);
    this.filters = new Map();
    this.kept = new Float32Array(this.side); // silence lies before the beginning
    this.first = -this.side; // the sample that `kept` begins with
    this.taken = this.given = 0;
  }

  /** @param {Float32Array} samples @returns {Float32Array} what is final by now */
  push(samples) {
    this.taken += samples.length;
    this.kept = concat([this.kept, samples]);
    // the last input that an output needs is its own place and `side` samples more
    const end = Math.ceil(((this.taken - this.side) * this.up) / this.down);
    return this.until(end);
  }

  /** @returns {Float32Array} the rest */
  finish() {
    if (!this.taken) return new Float32Array(0);
    this.kept = concat([this.kept, new Float32Array(2 * this.side + 2)]);
    return this.until(resampledLength(this.taken, this.rate, this.target));
  }

  until(end) {
    const found = new Float32Array(Math.max(0, end - this.given));
    for (let index = 0; index < found.length; index++) {
      const place = (this.given + index) * this.down;
      const phase = place % this.up;
      const filter = this.filter(phase);
      const start = (place - phase) / this.up - this.side + 1 - this.first;
      let sum = 0;
      for (let tap = 0; tap < filter.length; tap++) sum += filter[tap] * this.kept[start + tap];
      found[index] = sum;
    }
    this.given += found.length;
    const needed = Math.floor((this.given * this.down) / this.up) - this.side + 1;
    if (needed > this.first) {
      this.kept = this.kept.slice(needed - this.first);
      this.first = needed;
    }
    return found;
  }

  /** The weights of the 2·side inputs around an output that lies phase/up behind one of them. */
  filter(phase) {
    let filter = this.filters.get(phase);
    if (filter) return filter;
    filter = new Float64Array(2 * this.side);
    let sum = 0;
    for (let tap = 0; tap < filter.length; tap++) {
      const time = tap - this.side + 1 - phase / this.up;
      const part = time / this.side;
      const window = Math.abs(part) < 1 ? bessel(BETA * Math.sqrt(1 - part * part)) : 0;
      filter[tap] = window * sinc(this.cutoff * time);
      sum += filter[tap];
    }
    for (let tap = 0; tap < filter.length; tap++) filter[tap] /= sum; // a constant stays itself
    if (this.filters.size < KEPT_PHASES) this.filters.set(phase, filter);
    return filter;
  }
}

/** Samples after a change of rate: rounded half up, at least one. */
export function resampledLength(numSamples, rate, target) {
  return Math.max(1, Math.floor((2 * numSamples * target + rate) / (2 * rate)));
}

/** The rate, if it is one that audio has. */
export function checkedRate(rate) {
  if (!Number.isInteger(rate) || rate < LOWEST || rate > HIGHEST) {
    throw new AudioError(`a sample rate is a whole number of ${LOWEST}…${HIGHEST} Hz, not ${rate}`);
  }
  return rate;
}

/** @param {Float32Array[]} pieces @returns {Float32Array} in a row */
export function concat(pieces) {
  const whole = new pieces[0].constructor(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

function gcd(a, b) {
  return b ? gcd(b, a % b) : a;
}

function sinc(x) {
  return x ? Math.sin(Math.PI * x) / (Math.PI * x) : 1;
}

/** The modified Bessel function of order 0. */
function bessel(x) {
  let [sum, term] = [1, 1];
  for (let k = 1; term > sum * 1e-17; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}
