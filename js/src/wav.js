// WAV files, mono, 16 bits: written from samples, and read where a browser would change their rate.

import { AudioError } from "./errors.js";

/**
 * @param {Float32Array} samples Mono, in -1 … 1; what lies beyond is clipped.
 * @param {number} rate In Hz.
 * @returns {Uint8Array} the file
 */
export function wavFile(samples, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at, value) =>
    [...value].forEach((letter, index) => view.setUint8(at + index, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((sample, index) => view.setInt16(44 + 2 * index, pcm16(sample), true));
  return new Uint8Array(view.buffer);
}

/** The 16-bit value of a sample: rounded half to even, as the Python side does. */
export function pcm16(sample) {
  const scaled = sample * 32_768;
  const rounded = Math.round(scaled) - (scaled % 1 === 0.5 || scaled % 1 === -0.5 ? odd(scaled) : 0);
  return Math.max(-32_768, Math.min(32_767, rounded));
}

function odd(half) {
  return Math.abs(Math.round(half)) % 2;
}

/** Little-endian 16-bit samples as floats. */
export function fromPcm16(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const samples = new Float32Array(bytes.byteLength >> 1);
  for (let index = 0; index < samples.length; index++) {
    samples[index] = view.getInt16(2 * index, true) / 32_768;
  }
  return samples;
}

/**
 * How a sound file stores its samples, from its first bytes, so that it can be decoded to just those.
 * @param {Uint8Array} bytes
 * @returns {{rate: number | null, bits: number | null}} In Hz, null where the kind of file is
 *   unknown; and bits of whole-numbered samples, null where they are of 24 bits and more, or no
 *   whole numbers.
 */
export function storedFormat(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const letters = (at, count) => String.fromCharCode(...bytes.subarray(at, at + count));
  try {
    if (letters(0, 4) === "RIFF") return riffFormat(view, letters);
    if (letters(0, 4) === "fLaC") return flacFormat(view);
    const rate = letters(0, 4) === "OggS" ? oggRate(view, letters) : mp3Rate(bytes, view, letters);
    return { rate, bits: null };
  } catch (problem) {
    if (problem instanceof RangeError) throw new AudioError("the file is cut short");
    throw problem;
  }
}

/**
 * Whole numbers become floats by division by 2^(bits - 1), but in Chromium positive ones are divided
 * by one less. This makes the former of the latter.
 * @param {Float32Array} samples Changed in place.
 * @param {number} bits
 */
export function undoUnevenScale(samples, bits) {
  const levels = 2 ** (bits - 1);
  for (let index = 0; index < samples.length; index++) {
    if (samples[index] > 0) samples[index] = Math.round(samples[index] * (levels - 1)) / levels;
  }
}

const [PCM, EXTENSIBLE, ALAW, MULAW] = [1, 0xfffe, 6, 7];

function riffFormat(view, letters) {
  let at = 12;
  while (letters(at, 4) !== "fmt ") at += 8 + view.getUint32(at + 4, true);
  const [rate, bits] = [view.getUint32(at + 12, true), view.getUint16(at + 22, true)];
  let kind = view.getUint16(at + 8, true);
  if (kind === EXTENSIBLE) kind = view.getUint16(at + 32, true);
  if (kind === ALAW || kind === MULAW) return { rate, bits: 16 };
  return { rate, bits: kind === PCM && (bits === 8 || bits === 16) ? bits : null };
}

/** Up to 16 bits are decoded as 16. */
function flacFormat(view) {
  const packed = view.getUint32(18);
  const bits = ((packed >>> 4) & 31) + 1;
  return { rate: packed >>> 12, bits: bits <= 16 ? 16 : null };
}

function oggRate(view, letters) {
  const packet = 27 + view.getUint8(26); // the first page's
  if (letters(packet, 8) === "OpusHead") return 48_000;
  return letters(packet + 1, 6) === "vorbis" ? view.getUint32(packet + 12, true) : null;
}

function mp3Rate(bytes, view, letters) {
  let at = 0;
  if (letters(0, 3) === "ID3") {
    at = 10 + bytes.subarray(6, 10).reduce((size, byte) => size * 128 + byte, 0);
  }
  if (at + 4 > bytes.length || view.getUint16(at) < 0xffe0) return null;
  const version = (bytes[at + 1] >> 3) & 3;
  const layer = (bytes[at + 1] >> 1) & 3;
  const rate = [44_100, 48_000, 32_000][(bytes[at + 2] >> 2) & 3];
  if (!rate || !layer) return null; // layer 0 is ADTS
  return rate / { 0: 4, 2: 2, 3: 1 }[version];
}
