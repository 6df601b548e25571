/** What the package refuses, with a message that says what to do. */
export class XCodec2Error extends Error {
  name = "XCodec2Error";
}

/** The audio is no audio, or none that the model takes. */
export class AudioError extends XCodec2Error {
  name = "AudioError";
}

/** These are no codes of the model. */
export class CodesError extends XCodec2Error {
  name = "CodesError";
}

/** The graphs are missing, or were not written by `xcodec2 export --to onnx`. */
export class CheckpointError extends XCodec2Error {
  name = "CheckpointError";
}
