// Sound files to samples, by the browser's own decoders.

import { AudioError } from "./codec/errors.js";
import { storedFormat, undoUnevenScale, wavFile } from "./codec/wav.js";

const COMMON_RATE = 48_000; // Hz, for files whose own rate is not known

/**
 * @param {ArrayBuffer} content Of a sound file.
 * @returns {Promise<{samples: Float32Array, rate: number}>} mono, at the file's own rate
 */
export async function decodeFile(content) {
  if (!content.byteLength) throw new AudioError("the file is empty");
  const { rate, bits } = storedFormat(new Uint8Array(content));
  const sound = await decoded(content.slice(0), rate ?? COMMON_RATE);
  const uneven = bits && (await scalesUnevenly());
  const channels = Array.from({ length: sound.numberOfChannels }, (_, channel) => {
    const samples = sound.getChannelData(channel).slice();
    if (uneven) undoUnevenScale(samples, bits);
    return samples;
  });
  return { samples: averaged(channels), rate: sound.sampleRate };
}

function averaged([first, ...others]) {
  if (!others.length) return first;
  const count = 1 + others.length;
  return first.map((sample, index) => {
    const sum = others.reduce((total, channel) => total + channel[index], sample);
    return sum / count;
  });
}

let probe = null;

/** Whether this browser turns the largest whole number into 1: Chromium does. */
function scalesUnevenly() {
  const loudest = wavFile(Float32Array.of(1, 1), 16_000).buffer;
  probe ??= decoded(loudest, 16_000).then((sound) => sound.getChannelData(0)[0] === 1);
  return probe;
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
