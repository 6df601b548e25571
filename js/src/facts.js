// What a graph says of its model. ONNX Runtime for the web does not hand a file's metadata out, so
// its few outer fields are read here; the graph itself is skipped.

import { CheckpointError } from "./errors.js";

const KEY = "xcodec2"; // the property that holds the facts
const METADATA_PROPS = 14; // its field in an ONNX ModelProto
const NAMES = {
  model: "model",
  version: "version",
  weights_hash: "weightsHash",
  input_rate: "inputRate",
  sample_rate: "sampleRate",
  hop: "hop",
  codebook_size: "codebookSize",
  shortest: "shortest",
  encoder_back: "encoderBack",
  encoder_ahead: "encoderAhead",
  decoder_ahead: "decoderAhead",
  tolerance: "tolerance",
};

/**
 * @param {Uint8Array} graph A file that `xcodec2 export --to onnx` wrote.
 * @returns {import("./index.js").Facts}
 */
export function readFacts(graph) {
  const text = new TextDecoder();
  for (const [field, entry] of fields(graph)) {
    if (field !== METADATA_PROPS || !(entry instanceof Uint8Array)) continue;
    const [key, value] = [...fields(entry)].map(([, bytes]) => text.decode(bytes));
    if (key === KEY) return named(JSON.parse(value));
  }
  throw new CheckpointError(
    "the graph was not written by `xcodec2 export MODEL FOLDER --to onnx`: export it again",
  );
}

function named(facts) {
  const found = { encoderBack: 0, encoderAhead: 0, decoderAhead: 0, tolerance: 0 };
  for (const [name, value] of Object.entries(facts)) {
    if (!(name in NAMES)) {
      throw new CheckpointError(`the graph is of a newer version (${name}): update this package`);
    }
    found[NAMES[name]] = value;
  }
  return Object.freeze(found);
}

/** Whether two graphs go together; a decoder that was trained further does, too. */
export function sameModel(one, other) {
  const agreeing = Object.values(NAMES).filter((name) => name !== "model" && name !== "version");
  return agreeing.every((name) => one[name] === other[name]);
}

/** Codes of so many samples at the model's rate. */
export function numFrames(facts, numSamples) {
  return Math.floor(numSamples / facts.hop) + (facts.shortest === 1 ? 1 : 0);
}

/** The fields of a protobuf message: number and value, bytes where it has a length. */
function* fields(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      if (at >= bytes.length) throw new CheckpointError("the graph is damaged or cut short");
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const kind = tag & 7;
    if (kind === 0) {
      yield [tag >>> 3, varint()];
      continue;
    }
    const size = kind === 2 ? varint() : { 1: 8, 5: 4 }[kind];
    if (size === undefined || at + size > bytes.length) {
      throw new CheckpointError("the graph is damaged or cut short");
    }
    yield [tag >>> 3, bytes.subarray(at, at + size)];
    at += size;
  }
}
