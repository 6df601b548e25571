// Plays samples while they are still being made, without gaps between the pieces.

const LEAD = 0.06; // seconds that lie ready before the first is heard
const LEAD_AFTER_GAP = 0.3; // and after the sound had to wait

export class StreamPlayer {
  /** @param {number} rate In Hz. */
  static async open(rate) {
    const context = new AudioContext({ sampleRate: rate, latencyHint: "interactive" });
    await context.audioWorklet.addModule(new URL("player_worklet.js", import.meta.url));
    await context.resume();
    return new StreamPlayer(context, rate);
  }

  constructor(context, rate) {
    this.context = context;
    const leads = [LEAD, LEAD_AFTER_GAP].map((seconds) => Math.round(seconds * rate));
    this.node = new AudioWorkletNode(context, "stream-player", {
      numberOfInputs: 0,
      outputChannelCount: [1],
      processorOptions: { leads },
    });
    this.node.connect(context.destination);
    this.gaps = 0;
    this.began = new Promise((resolve) => (this.begin = resolve));
    this.done = new Promise((resolve) => (this.end = resolve));
    this.node.port.onmessage = ({ data }) => {
      if (data === "began") this.begin(performance.now());
      if (data === "gap") this.gaps += 1;
      if (data === "done") this.end();
    };
  }

  /** @param {Float32Array} samples */
  push(samples) {
    this.node.port.postMessage(samples.slice());
  }

  /** No more follow. @returns {Promise<void>} until the last has been heard */
  async finish() {
    this.node.port.postMessage("end");
    await this.done;
    await this.close();
  }

  /** Be silent at once. */
  async close() {
    this.begin(null);
    this.end();
    if (this.context.state !== "closed") await this.context.close();
  }
}
