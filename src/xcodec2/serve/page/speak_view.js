// Text to speech, heard while it is made.

import { concat } from "./codec/resample.js";
import { wavFile } from "./codec/wav.js";
import { byId, offer, reporting } from "./dom.js";
import { StreamPlayer } from "./stream_player.js";

export class SpeakView {
  /**
   * @param {import("./server.js").Server} backend
   * @param {(sound: {samples: Float32Array, rate: number}, name: string) => void} examine
   */
  constructor(backend, examine) {
    this.backend = backend;
    byId("speak").hidden = false;
    byId("speak-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.speak();
    });
    byId("speak-stop").addEventListener("click", () => this.stop());
    byId("speak-tokens").addEventListener("click", () => examine(this.sound, "speech"));
  }

  async speak() {
    this.stop();
    const stopper = (this.stopper = new AbortController());
    this.busy(true);
    byId("speak-done").hidden = true;
    this.say("Waiting for the first sound …");
    await reporting("speak-error", () => this.play(stopper.signal));
    if (this.stopper === stopper) this.busy(false);
  }

  async play(signal) {
    const asked = performance.now();
    const wanted = { input: byId("text").value, voice: byId("voice").value || undefined };
    let player = null;
    const samples = [];
    try {
      const { rate, note, pieces } = await this.backend.speak(wanted, signal);
      player = await StreamPlayer.open(rate);
      signal.addEventListener("abort", () => player.close());
      let first = null;
      player.began.then((time) => (first = time && (time - asked) / 1000));
      const made = () => samples.reduce((sum, { length }) => sum + length, 0) / rate;
      for await (const piece of pieces) {
        samples.push(piece);
        player.push(piece);
        if (first) this.say(`Heard since ${first.toFixed(2)} s · ${made().toFixed(1)} s made so far`);
      }
      const taken = (performance.now() - asked) / 1000;
      this.keep({ samples: concat(samples), rate });
      await player.finish();
      if (signal.aborted) return;
      const began = first ? `first heard after ${first.toFixed(2)} s, ` : "";
      const gaps = player.gaps ? `, ${player.gaps} gaps` : "";
      const voice = note ? ` · ${note}` : "";
      this.say(`${made().toFixed(1)} s of speech: ${began}made in ${taken.toFixed(1)} s${gaps}${voice}`);
    } catch (problem) {
      await player?.close();
      this.say("");
      throw problem;
    }
  }

  keep(sound) {
    this.sound = sound;
    offer(byId("speak-save"), wavFile(sound.samples, sound.rate), "audio/wav", "speech.wav");
    byId("speak-done").hidden = false;
  }

  stop() {
    this.stopper?.abort();
    this.stopper = null;
    this.busy(false);
    this.say("");
  }

  busy(working) {
    byId("speak-stop").disabled = !working;
  }

  say(text) {
    byId("speak-status").textContent = text;
  }
}
