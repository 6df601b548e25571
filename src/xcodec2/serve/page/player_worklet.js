// The audio thread's side of stream_player.js: a queue of pieces, played one behind another.

class StreamPlayerProcessor extends AudioWorkletProcessor {
  constructor({ processorOptions: { leads } }) {
    super();
    [this.lead, this.leadAfterGap] = leads;
    this.pieces = [];
    this.at = 0; // in the first piece
    this.waiting = 0; // samples in the queue
    this.playing = this.begun = this.ended = false;
    this.port.onmessage = ({ data }) => {
      if (data === "end") {
        this.ended = true;
      } else {
        this.pieces.push(data);
        this.waiting += data.length;
      }
    };
  }

  process(inputs, [[channel]]) {
    if (!this.playing) {
      if (this.waiting < this.lead && !this.ended) return true;
      this.playing = true;
      if (!this.begun && this.waiting) this.port.postMessage("began");
      this.begun = true;
    }
    for (let index = 0; index < channel.length; index++) {
      while (this.pieces.length && this.at >= this.pieces[0].length) {
        this.pieces.shift();
        this.at = 0;
      }
      if (!this.pieces.length) return this.ranDry();
      channel[index] = this.pieces[0][this.at++];
      this.waiting -= 1;
    }
    return true;
  }

  ranDry() {
    if (this.ended) {
      this.port.postMessage("done");
      return false;
    }
    this.port.postMessage("gap");
    this.playing = false;
    this.lead = this.leadAfterGap;
    return true;
  }
}

registerProcessor("stream-player", StreamPlayerProcessor);
