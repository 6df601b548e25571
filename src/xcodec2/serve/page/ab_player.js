// Two versions of one sound that run in step; one is heard.

const FADE = 0.008; // seconds of a switch, against clicks

export class AbPlayer {
  /** @param {() => void} changed Is called when it starts or stops. */
  constructor(changed) {
    this.changed = changed;
    this.heard = "original";
    this.place = 0; // seconds, while it is silent
    this.playing = false;
  }

  /** @param {Record<string, {samples: Float32Array, rate: number} | null>} sounds By name. */
  load(sounds) {
    this.stop();
    this.place = 0;
    this.sounds = Object.entries(sounds).filter(([, sound]) => sound);
    this.seconds = Math.max(...this.sounds.map(([, { samples, rate }]) => samples.length / rate));
    this.buffers = null;
  }

  /** Seconds from the beginning. */
  get now() {
    if (!this.playing) return this.place;
    return Math.min(this.seconds, this.context.currentTime - this.started);
  }

  async play(from = this.now) {
    this.context ??= new AudioContext();
    await this.context.resume();
    this.buffers ??= new Map(this.sounds.map(([name, sound]) => [name, this.buffer(sound)]));
    this.silence();
    const begin = from >= this.seconds - 0.01 ? 0 : from;
    const start = this.context.currentTime + 0.02;
    this.started = start - begin;
    this.parts = [...this.buffers].map(([name, buffer]) => {
      const source = new AudioBufferSourceNode(this.context, { buffer });
      const gain = new GainNode(this.context, { gain: name === this.heard ? 1 : 0 });
      source.connect(gain).connect(this.context.destination);
      source.start(start, begin);
      return { name, source, gain };
    });
    const longest = this.parts.reduce((a, b) =>
      a.source.buffer.duration >= b.source.buffer.duration ? a : b,
    );
    longest.source.onended = () => this.stop(0);
    this.playing = true;
    this.changed();
  }

  /** @param {number} [place] Where the next play begins. */
  stop(place = this.now) {
    this.silence();
    this.place = place;
    this.playing = false;
    this.changed();
  }

  /** @param {string} name Of the version to hear from now on. */
  hear(name) {
    this.heard = name;
    if (!this.playing) return;
    for (const part of this.parts) {
      const target = part.name === name ? 1 : 0;
      part.gain.gain.setTargetAtTime(target, this.context.currentTime, FADE / 3);
    }
  }

  /** @param {number} seconds */
  seek(seconds) {
    if (this.playing) this.play(seconds);
    else this.place = seconds;
  }

  silence() {
    for (const { source } of this.parts ?? []) {
      source.onended = null;
      source.stop();
    }
    this.parts = [];
  }

  buffer({ samples, rate }) {
    const buffer = new AudioBuffer({ length: samples.length, sampleRate: rate });
    buffer.copyToChannel(samples, 0);
    return buffer;
  }
}
