// Sound files to samples, by the browser's own decoders.

import { AudioError } from "./codec/errors.js";
import { storedRate } from "./codec/wav.js";

const COMMON_RATE = 48_000; // Hz, for files whose own rate is not known

/**
 * @param {ArrayBuffer} content Of a sound file.
 * @returns {Promise<{samples: Float32Array, rate: number}>} mono, at the file's own rate
 */
export async function decodeFile(content) {
  if (!content.byteLength) throw new AudioError("the file is empty");
  const rate = storedRate(new Uint8Array(content)) ?? COMMON_RATE;
  const sound = await decoded(content.slice(0), rate);
  const samples = sound.getChannelData(0).slice();
  for (let channel = 1; channel < sound.numberOfChannels; channel++) {
    const other = sound.getChannelData(channel);
    for (let index = 0; index < samples.length; index++) samples[index] += other[index];
  }
  const count = sound.numberOfChannels;
  if (count > 1) for (let index = 0; index < samples.length; index++) samples[index] /= count;
  return { samples, rate: sound.sampleRate };
}

async function decoded(content, rate) {
  try {
    return await new OfflineAudioContext(1, 1, rate).decodeAudioData(content);
  } catch (problem) {
    if (problem.name === "NotSupportedError") {
      throw new AudioError(`this browser plays no sound at ${rate} Hz: convert the file first`);
    }
    throw new AudioError("this browser cannot read the file as sound: try WAV, FLAC, MP3 or Opus");
  }
}
