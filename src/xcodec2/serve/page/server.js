// The backend of `xcodec2 serve`: its HTTP routes.

import { XCodec2Error } from "./codec/errors.js";
import { fromPcm16, wavFile } from "./codec/wav.js";
import { decodeFile } from "./sound.js";

const KEY = "xcodec2-key"; // in the tab's own storage
const PATIENCE = 1000; // ms between looks at a server that loads its models
const BUNDLED = "llasa"; // the model inside the package
const JSON_TYPE = { "Content-Type": "application/json" };

/** The server asks for a key, or does not know this one. */
export class KeyNeeded extends XCodec2Error {}

export class Server {
  speaks = true;
  maxSeconds = 300; // of a recording

  useKey(key) {
    sessionStorage.setItem(KEY, key);
  }

  /** @returns {Promise<string>} the models, in a line, as soon as they are loaded */
  async describe() {
    while ((await (await this.ask("page/status")).json()).status === "loading") {
      await new Promise((resolve) => setTimeout(resolve, PATIENCE));
    }
    const { data } = await (await this.ask("v1/models")).json();
    this.bundled = data.some(({ id }) => id === BUNDLED);
    return data.map(({ id }) => id).join(" · ");
  }

  /** @param {{content?: ArrayBuffer, samples?: Float32Array, rate?: number}} sound */
  async encode({ content, samples, rate }) {
    const body = new Blob([content ?? wavFile(samples, rate)]);
    const headers = { "Content-Type": "application/octet-stream", Accept: "application/json" };
    const response = await this.ask("v1/audio/codes", { method: "POST", body, headers });
    return fromAnswer(await response.json());
  }

  /** @returns {Promise<{samples: Float32Array, rate: number}>} */
  async decode(item) {
    const body = JSON.stringify({ ...toAnswer(item), response_format: "wav" });
    const response = await this.ask("v1/audio/decode", { method: "POST", body, headers: JSON_TYPE });
    return decodeFile(await response.arrayBuffer());
  }

  /**
   * Text to speech.
   * @param {{input: string, voice?: string}} wanted
   * @param {AbortSignal} signal
   * @returns {Promise<{rate: number, note: string | null, pieces: AsyncGenerator<Float32Array>}>}
   *     as it is made; the note says why it is another voice than was asked for
   */
  async speak(wanted, signal) {
    const body = JSON.stringify({ ...wanted, response_format: "pcm" });
    const options = { method: "POST", body, headers: JSON_TYPE, signal };
    const response = await this.ask("v1/audio/speech", options);
    const rate = Number(response.headers.get("X-Sample-Rate") ?? 24_000);
    return { rate, note: response.headers.get("X-Voice-Note"), pieces: pcmPieces(response.body) };
  }

  async voices() {
    return (await (await this.ask("v1/audio/voices")).json()).voices;
  }

  async addVoice({ name, sample, fileName, text, consent }) {
    const body = new FormData();
    body.append("name", name);
    body.append("ref_text", text);
    body.append("consent", consent);
    body.append("audio_sample", new Blob([sample]), fileName);
    return (await this.ask("v1/audio/voices", { method: "POST", body })).json();
  }

  async deleteVoice(id) {
    await this.ask(`v1/audio/voices/${encodeURIComponent(id)}`, { method: "DELETE" });
  }

  async ask(path, { headers = {}, ...options } = {}) {
    const key = sessionStorage.getItem(KEY);
    const sent = key ? { ...headers, Authorization: `Bearer ${key}` } : headers;
    let response;
    try {
      response = await fetch(path, { ...options, headers: sent });
    } catch (problem) {
      if (problem.name === "AbortError") throw problem;
      throw new XCodec2Error("the server does not answer: is it still running?");
    }
    if (response.ok) return response;
    const message = await reason(response);
    throw response.status === 401 ? new KeyNeeded(message) : new XCodec2Error(message);
  }
}

async function reason(response) {
  const text = await response.text();
  try {
    return JSON.parse(text).error.message;
  } catch {
    return `the server answered ${response.status} ${response.statusText}`;
  }
}

/** Little-endian 16-bit samples; a piece may end within one. */
async function* pcmPieces(body) {
  const reader = body.getReader();
  let rest = new Uint8Array(0);
  try {
    for (let part; !(part = await reader.read()).done; ) {
      const bytes = new Uint8Array(rest.length + part.value.length);
      bytes.set(rest);
      bytes.set(part.value, rest.length);
      const whole = bytes.length - (bytes.length % 2);
      if (whole) yield fromPcm16(bytes.subarray(0, whole));
      rest = bytes.slice(whole);
    }
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    throw new XCodec2Error("the sound ended early: the server broke it off");
  } finally {
    reader.cancel().catch(() => {});
  }
}

function fromAnswer(answer) {
  return {
    codes: Int32Array.from(answer.codes),
    numSamples: answer.num_samples ?? undefined,
    sampleRate: answer.sample_rate ?? undefined,
    frameRate: answer.frame_rate,
    codebookSize: answer.codebook_size,
    model: answer.model ?? undefined,
    weightsHash: answer.weights_hash ?? undefined,
  };
}

function toAnswer(item) {
  return {
    codes: [...item.codes],
    num_samples: item.numSamples,
    sample_rate: item.sampleRate,
    frame_rate: item.frameRate,
    codebook_size: item.codebookSize,
    model: item.model,
    weights_hash: item.weightsHash,
  };
}
