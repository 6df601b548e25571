// The audio thread's side of recorder.js: pieces of 2048 samples go to the page.

const SIZE = 2048;

class RecorderProcessor extends AudioWorkletProcessor {
  constructor() {
    super();
    this.piece = new Float32Array(SIZE);
    this.filled = 0;
  }

  process([channels]) {
    if (!channels.length) return true;
    for (let index = 0; index < channels[0].length; index++) {
      let sum = 0;
      for (const channel of channels) sum += channel[index];
      this.piece[this.filled++] = sum / channels.length;
      if (this.filled === SIZE) {
        this.port.postMessage(this.piece.slice());
        this.filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("recorder", RecorderProcessor);
