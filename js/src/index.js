export { Codec } from "./codec.js";
export { codesFile, readCodesFile } from "./codes_file.js";
export { AudioError, CheckpointError, CodesError, XCodec2Error } from "./errors.js";
export { resample, Resampler } from "./resample.js";
export { wavFile } from "./wav.js";
