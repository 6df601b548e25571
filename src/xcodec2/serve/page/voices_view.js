// Named voices: list, add with consent, delete.

import { XCodec2Error } from "./codec/errors.js";
import { wavFile } from "./codec/wav.js";
import { byId, reporting } from "./dom.js";
import { record } from "./recording.js";

export class VoicesView {
  /** @param {import("./server.js").Server} backend */
  constructor(backend) {
    this.backend = backend;
    this.recorded = null;
    byId("voices").hidden = false;
    record(byId("voice-record"), byId("voice-level"), "voices-error", backend, (sound) => {
      this.recorded = sound;
      byId("voice-file").value = "";
      const seconds = (sound.samples.length / sound.rate).toFixed(1);
      byId("voices-status").textContent = `${seconds} s recorded.`;
    });
    byId("voice-file").addEventListener("change", () => (this.recorded = null));
    byId("voice-form").addEventListener("submit", (event) => {
      event.preventDefault();
      reporting("voices-error", () => this.add());
    });
  }

  async refresh() {
    const voices = await this.backend.voices();
    const added = voices.filter((voice) => !isBuiltIn(voice));
    byId("voices-none").hidden = added.length > 0;
    byId("voice-list").replaceChildren(...added.map((voice) => this.item(voice)));
    const select = byId("voice");
    const chosen = select.value;
    select.replaceChildren(...voices.map(({ id, name }) => new Option(name, id)));
    if (voices.some(({ id }) => id === chosen)) select.value = chosen;
  }

  item(voice) {
    const { id, name } = voice;
    const line = document.createElement("li");
    const text = document.createElement("div");
    text.textContent = name;
    if (voice.text) {
      const said = document.createElement("small");
      said.textContent = `“${voice.text}”`;
      text.append(said);
    }
    const remove = document.createElement("button");
    remove.type = "button";
    remove.className = "quiet";
    remove.textContent = "Delete";
    remove.ariaLabel = `Delete the voice ${name}`;
    remove.addEventListener("click", () => reporting("voices-error", () => this.delete(id, name)));
    line.append(text, remove);
    return line;
  }

  async add() {
    const [file] = byId("voice-file").files;
    if (!file && !this.recorded) throw new XCodec2Error("choose a file of speech, or record some");
    const { samples, rate } = this.recorded ?? {};
    const name = byId("voice-name").value;
    byId("voices-status").textContent = `Adding ${name} …`;
    try {
      await this.backend.addVoice({
        name,
        sample: file ?? wavFile(samples, rate),
        fileName: file?.name ?? "recording.wav",
        text: byId("voice-text").value,
        consent: byId("consent").textContent,
      });
    } catch (problem) {
      byId("voices-status").textContent = "";
      throw problem;
    }
    byId("voice-form").reset();
    this.recorded = null;
    byId("voices-status").textContent = `${name} was added.`;
    await this.refresh();
  }

  async delete(id, name) {
    if (!window.confirm(`Delete the voice ${name}? It cannot be brought back.`)) return;
    await this.backend.deleteVoice(id);
    byId("voices-status").textContent = `${name} was deleted.`;
    await this.refresh();
    byId("voice-add").querySelector("summary").focus();
  }
}

/** Whether a voice belongs to the model, so that it cannot be deleted. */
function isBuiltIn(voice) {
  return voice.built_in;
}
