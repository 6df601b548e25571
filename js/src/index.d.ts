import type * as ORT from "onnxruntime-web";

/** What the graphs say of their model. */
export interface Facts {
  /** Name of the model. */
  readonly model: string;
  /** Of open-xcodec2, which wrote the graphs. */
  readonly version: string;
  /** Codes with equal hashes mean the same. */
  readonly weightsHash: string;
  /** Hz, what the encoder takes. */
  readonly inputRate: number;
  /** Hz, what the decoder makes. */
  readonly sampleRate: number;
  /** Input samples per code. */
  readonly hop: number;
  readonly codebookSize: number;
  /** Input samples that give one code. */
  readonly shortest: number;
  /** Frames; 0 where the receptive field has no limit. */
  readonly encoderBack: number;
  readonly encoderAhead: number;
  readonly decoderAhead: number;
  /** Codes with smaller margins are computed again, alone. */
  readonly tolerance: number;
}

/** Codes, and what they came from where it is known. */
export interface CodesFile {
  codes: ArrayLike<number>;
  /** Samples of the audio that they came from. */
  numSamples?: number;
  /** Of that audio, in Hz. */
  sampleRate?: number;
  /** Codes a second; 50 by default. */
  frameRate?: number;
  /** 65536 by default. */
  codebookSize?: number;
  model?: string;
  weightsHash?: string;
}

export interface Options {
  /** ONNX Runtime for the web; by default the package `onnxruntime-web` is imported. */
  ort?: typeof ORT;
  /** Another build of it for the decoder, such as `onnxruntime-web/webgpu`. */
  decoderOrt?: typeof ORT;
  /**
   * Execution providers for the encoder; by default WebAssembly, whose codes are Python's. Others are
   * used only if they give what WebAssembly gives on a short piece.
   */
  encoder?: string[];
  /** For the decoder; by default WebAssembly. */
  decoder?: string[];
  /** Do not load the encoder. */
  decoderOnly?: boolean;
}

export interface StreamOptions {
  /** Frames that are computed together; 4 (80 ms) by default. */
  step?: number;
}

type Chunks<T> = Iterable<T> | AsyncIterable<T>;
type Samples = Float32Array | Float64Array;

/** Speech → 50 codes a second → speech. */
export class Codec {
  private constructor();
  /**
   * @param source The folder that `xcodec2 export MODEL FOLDER --to onnx` wrote, as a URL; or a
   *   function that reads a file of it.
   */
  static load(
    source: string | URL | ((name: string) => Promise<ArrayBuffer | Uint8Array>),
    options?: Options,
  ): Promise<Codec>;

  readonly facts: Facts;
  /** Hz of decoded speech. */
  readonly sampleRate: number;
  /** Codes a second. */
  readonly frameRate: number;
  readonly codebookSize: number;
  /** Whether streams, and recordings above a minute, are to be had. */
  readonly streams: boolean;

  /**
   * @param samples Mono, in -1 … 1.
   * @param rate In Hz; another than the model's is converted.
   * @returns (T,), each in 0 … codebookSize - 1.
   * @throws {AudioError} It is no audio, or too short.
   */
  encode(samples: Samples, rate: number): Promise<Int32Array>;
  /**
   * @param codes (T,)
   * @returns Samples at `sampleRate`.
   * @throws {CodesError} They are not codes of this model.
   */
  decode(codes: ArrayLike<number>): Promise<Float32Array>;

  /** Chunks as they come → codes as they become final: those of `encode` for the whole. */
  streamEncode(
    chunks: Chunks<Samples>,
    rate: number,
    options?: StreamOptions,
  ): AsyncGenerator<Int32Array>;
  /** Codes as they come → samples as they become final. */
  streamDecode(
    chunks: Chunks<ArrayLike<number>>,
    options?: StreamOptions,
  ): AsyncGenerator<Float32Array>;
  encoderStream(rate: number, options?: StreamOptions): Promise<EncoderStream>;
  decoderStream(options?: StreamOptions): Promise<DecoderStream>;

  /** Give the memory of the graphs back. */
  release(): Promise<void>;
}

/** One recording that is encoded as it arrives. */
export interface EncoderStream {
  push(chunk: Samples): Promise<Int32Array>;
  finish(): Promise<Int32Array>;
}

/** One row of codes that is decoded as it arrives. */
export interface DecoderStream {
  push(codes: ArrayLike<number>): Promise<Float32Array>;
  finish(): Promise<Float32Array>;
}

/** The content of an .npz, byte for byte what `xcodec2.Codes.save` writes. */
export function codesFile(item: CodesFile): Uint8Array;
/** From the content of an .npz, an .npy, or text of speech tokens. */
export function readCodesFile(bytes: Uint8Array): Promise<CodesFile & { codes: Int32Array }>;
/** The content of a 16-bit mono WAV file. */
export function wavFile(samples: Float32Array, rate: number): Uint8Array;
/** The whole of a signal at another rate. */
export function resample(samples: Float32Array, rate: number, target: number): Float32Array;

/** A signal at another rate, as it comes. */
export class Resampler {
  constructor(rate: number, target: number);
  push(samples: Float32Array): Float32Array;
  finish(): Float32Array;
}

/** What the package refuses; the message says what to do. */
export class XCodec2Error extends Error {}
export class AudioError extends XCodec2Error {}
export class CodesError extends XCodec2Error {}
export class CheckpointError extends XCodec2Error {}
