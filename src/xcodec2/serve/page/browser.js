// The backend of `xcodec2 serve --static`: the exported graphs, run by a worker of this browser.

import { XCodec2Error } from "./codec/errors.js";
import { decodeFile } from "./sound.js";

export class Browser {
  speaks = false;

  constructor() {
    this.worker = new Worker(new URL("codec_worker.js", import.meta.url), { type: "module" });
    this.calls = new Map();
    this.count = 0;
    this.worker.onmessage = ({ data: { id, result, message } }) => {
      const { resolve, reject } = this.calls.get(id);
      this.calls.delete(id);
      if (message === undefined) resolve(result);
      else reject(new XCodec2Error(message));
    };
    this.worker.onerror = (event) => {
      event.preventDefault();
      const problem = new XCodec2Error(`the codec did not start (${event.message || "no reason"})`);
      for (const { reject } of this.calls.values()) reject(problem);
      this.calls.clear();
    };
  }

  /** A recording's limit: models without streams take a minute at a time. */
  get maxSeconds() {
    return this.facts?.tolerance ? 300 : 60;
  }

  async describe() {
    this.facts = await this.call("load");
    return `${this.facts.model} · weights ${this.facts.weightsHash} · in this browser`;
  }

  async encode({ content, samples, rate }) {
    const sound = content ? await decodeFile(content) : { samples, rate };
    const codes = await this.call("encode", sound.samples, sound.rate);
    const { model, weightsHash, codebookSize, inputRate, hop } = await this.call("load");
    const origin = { numSamples: sound.samples.length, sampleRate: sound.rate };
    return { codes, ...origin, frameRate: inputRate / hop, codebookSize, model, weightsHash };
  }

  async decode({ codes, numSamples, sampleRate, weightsHash }) {
    const facts = await this.call("load");
    if (weightsHash && weightsHash !== facts.weightsHash) {
      throw new XCodec2Error(`these codes are of another model: weights ${weightsHash}`);
    }
    const samples = await this.call("decode", codes);
    const rate = facts.sampleRate;
    const wanted = numSamples ? Math.round((numSamples * rate) / sampleRate) : samples.length;
    return { samples: samples.subarray(0, wanted), rate };
  }

  call(name, ...values) {
    return new Promise((resolve, reject) => {
      this.count += 1;
      this.calls.set(this.count, { resolve, reject });
      this.worker.postMessage({ id: this.count, name, values });
    });
  }
}
