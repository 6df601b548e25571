// The microphone, as plain samples.

import { AudioError } from "./codec/errors.js";
import { concat } from "./codec/resample.js";
import { color, fitted } from "./dom.js";

const REASONS = {
  NotAllowedError: "the browser was not allowed to use the microphone",
  NotFoundError: "there is no microphone",
  NotReadableError: "another program holds the microphone",
};

/** One recording at a time. */
export class Recorder {
  /**
   * @param {HTMLCanvasElement} canvas Shows the level while it records.
   * @param {number} maxSeconds After so long it stops by itself.
   * @param {() => void} full Is called then.
   */
  constructor(canvas, maxSeconds, full) {
    Object.assign(this, { canvas, maxSeconds, full, active: false });
  }

  async start() {
    if (!navigator.mediaDevices) {
      throw new AudioError("browsers record on https:// and localhost pages only");
    }
    const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ audio: { ...plain, channelCount: 1 } });
    } catch (problem) {
      throw new AudioError(REASONS[problem.name] ?? `no recording: ${problem.message}`);
    }
    this.context = new AudioContext();
    await this.context.audioWorklet.addModule(new URL("recorder_worklet.js", import.meta.url));
    this.node = new AudioWorkletNode(this.context, "recorder", { numberOfOutputs: 0 });
    this.pieces = [];
    this.length = 0;
    this.levels = [];
    this.node.port.onmessage = ({ data }) => this.take(data);
    this.canvas.hidden = false;
    this.active = true;
    this.context.createMediaStreamSource(this.stream).connect(this.node);
  }

  /** @returns {Promise<{samples: Float32Array, rate: number}>} */
  async stop() {
    this.active = false;
    this.canvas.hidden = true;
    for (const track of this.stream.getTracks()) track.stop();
    const rate = this.context.sampleRate;
    await this.context.close();
    if (!this.length) throw new AudioError("nothing was recorded");
    return { samples: concat(this.pieces), rate };
  }

  take(samples) {
    if (!this.active) return;
    this.pieces.push(samples);
    this.length += samples.length;
    this.levels.push(samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0));
    this.draw();
    if (this.length > this.maxSeconds * this.context.sampleRate) this.full();
  }

  draw() {
    const { context, width, height } = fitted(this.canvas);
    const step = 3 * (window.devicePixelRatio || 1);
    const shown = this.levels.slice(-Math.floor(width / step));
    context.fillStyle = color("accent");
    shown.forEach((level, index) => {
      const tall = Math.max(2, level * height);
      context.fillRect(index * step, (height - tall) / 2, step * 0.7, tall);
    });
  }
}
