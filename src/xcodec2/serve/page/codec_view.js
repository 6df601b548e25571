// One recording: its tokens, and both sounds side by side.

import { AbPlayer } from "./ab_player.js";
import { beginsLikeCodes, codesFile, readCodesFile } from "./codec/codes_file.js";
import { wavFile } from "./codec/wav.js";
import { byId, offer, reporting, stem } from "./dom.js";
import { drawSpectrum, drawWave } from "./pictures.js";
import { record } from "./recording.js";
import { showSizes } from "./sizes.js";
import { decodeFile } from "./sound.js";
import { TokenStrip } from "./token_strip.js";

const SIDES = ["original", "reconstruction"];

export class CodecView {
  constructor(backend) {
    this.backend = backend;
    this.player = new AbPlayer(() => this.playing());
    this.strip = new TokenStrip((seconds) => this.player.play(seconds));
    this.queue = 0; // of requests: the newest is shown
    this.takeFiles();
    record(byId("record"), byId("level"), "codec-error", backend, (sound) =>
      this.examine(sound, "recording"),
    );
    this.wirePlayer();
    let width = window.innerWidth;
    window.addEventListener("resize", () => {
      if (width !== window.innerWidth && this.item) this.draw();
      width = window.innerWidth;
    });
  }

  takeFiles() {
    const drop = byId("drop");
    byId("file").addEventListener("change", ({ target }) => {
      if (target.files.length) this.open(target.files[0]);
      target.value = "";
    });
    for (const kind of ["dragover", "dragleave", "drop"]) {
      drop.addEventListener(kind, (event) => {
        event.preventDefault();
        drop.classList.toggle("over", kind === "dragover");
      });
    }
    drop.addEventListener("drop", ({ dataTransfer }) => {
      if (dataTransfer.files.length) this.open(dataTransfer.files[0]);
    });
  }

  wirePlayer() {
    byId("play").addEventListener("click", () => this.toggle());
    for (const side of SIDES) {
      byId(`hear-${side}`).addEventListener("change", () => this.hear(side));
      byId(`figure-${side}`).querySelector(".sound").addEventListener("click", (event) => {
        const { left, width } = event.currentTarget.getBoundingClientRect();
        this.player.seek(((event.clientX - left) / width) * this.player.seconds);
        this.hear(side);
        this.moveCursors();
      });
    }
    document.addEventListener("keydown", (event) => {
      const elsewhere = event.target.closest?.("textarea, select, input:not([type=radio]), summary");
      if (elsewhere || !this.item || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key.toLowerCase() === "x") this.hear(SIDES[1 - SIDES.indexOf(this.player.heard)]);
      else if (event.key === " " && !event.target.closest("button, a, label")) this.toggle();
      else return;
      event.preventDefault();
    });
  }

  /** A file of sound or of codes. */
  open(file) {
    return this.work(`Reading ${file.name} …`, async (newest) => {
      const content = await file.arrayBuffer();
      const bytes = new Uint8Array(content);
      if (beginsLikeCodes(bytes)) return this.show(await readCodesFile(bytes), null, file.name, newest);
      const original = decodeFile(content).catch((problem) => problem);
      const item = await this.backend.encode({ content });
      return this.show(item, await original, file.name, newest);
    });
  }

  /** @param {{samples: Float32Array, rate: number}} sound @param {string} name */
  examine(sound, name) {
    byId("codec").scrollIntoView();
    return this.work("Encoding …", async (newest) =>
      this.show(await this.backend.encode(sound), sound, name, newest),
    );
  }

  async work(text, task) {
    const number = (this.queue += 1);
    const newest = () => number === this.queue;
    byId("codec-status").textContent = text;
    const done = await reporting("codec-error", async () => (await task(newest), true));
    if (!done && newest()) byId("codec-status").textContent = "";
  }

  /** @param {object} item Codes. @param {object | Error | null} found The original, or why not. */
  async show(item, found, name, newest) {
    if (newest()) byId("codec-status").textContent = "Decoding …";
    const begun = performance.now();
    const reconstruction = await this.backend.decode(item);
    if (!newest()) return;
    const original = found instanceof Error ? null : found;
    Object.assign(this, { item, original, reconstruction, name: stem(name) });
    this.player.load({ original, reconstruction });
    this.hear(original ? "original" : "reconstruction");
    byId("hear-original").disabled = !original;
    byId("figure-original").hidden = byId("save-original").hidden = !original;
    byId("result").hidden = false;
    this.draw();
    this.offerFiles();
    const seconds = item.numSamples ? item.numSamples / item.sampleRate : this.player.seconds;
    const reason = found instanceof Error ? ` · not shown beside it: ${found.message}` : "";
    const taken = ((performance.now() - begun) / 1000).toFixed(2);
    byId("codec-status").textContent =
      `${name}: ${seconds.toFixed(2)} s, ${item.codes.length} tokens, decoded in ${taken} s${reason}`;
    await showSizes(item, original, seconds);
  }

  draw() {
    const { seconds } = this.player;
    for (const side of SIDES) {
      if (!this[side]) continue;
      const figure = byId(`figure-${side}`);
      drawWave(figure.querySelector(".wave"), this[side], seconds);
      drawSpectrum(figure.querySelector(".spectrum"), this[side], seconds);
    }
    this.strip.load(this.item);
    byId("end").textContent = `${seconds.toFixed(2)} s`;
    this.moveCursors();
  }

  offerFiles() {
    const { item, original, reconstruction, name } = this;
    offer(byId("save-codes"), codesFile(item), "application/octet-stream", `${name}.npz`);
    const save = (id, sound, file) =>
      offer(byId(id), wavFile(sound.samples, sound.rate), "audio/wav", file);
    save("save-reconstruction", reconstruction, `${name}-reconstruction.wav`);
    if (original) save("save-original", original, `${name}-original.wav`);
  }

  toggle() {
    return this.player.playing ? this.player.stop() : this.player.play();
  }

  hear(side) {
    if (!this[side]) return;
    byId(`hear-${side}`).checked = true;
    for (const other of SIDES) byId(`figure-${other}`).classList.toggle("heard", other === side);
    this.player.hear(side);
  }

  playing() {
    byId("play").textContent = this.player.playing ? "Pause" : "Play";
    const follow = () => {
      this.moveCursors();
      if (this.player.playing) requestAnimationFrame(follow);
    };
    follow();
  }

  moveCursors() {
    const { now, seconds } = this.player;
    byId("clock").textContent = `${Math.max(0, now).toFixed(2)} s`;
    for (const cursor of document.querySelectorAll(".sound .cursor")) {
      cursor.style.left = `${(100 * Math.max(0, now)) / seconds}%`;
    }
    if (this.player.playing) this.strip.show(Math.floor(now * this.item.frameRate));
  }
}
