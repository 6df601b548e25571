// Puts the page together: the sections, over the backend that its head names.

import { Browser } from "./browser.js";
import { CodecView } from "./codec_view.js";
import { byId, reporting } from "./dom.js";
import { KeyNeeded, Server } from "./server.js";
import { SpeakView } from "./speak_view.js";
import { wireTheme } from "./theme.js";
import { VoicesView } from "./voices_view.js";

const { content } = document.querySelector("meta[name=xcodec2-backend]");
const backend = content === "browser" ? new Browser() : new Server();
const codec = new CodecView(backend);
wireTheme(() => codec.item && codec.draw());

if (backend.speaks) {
  const speak = new SpeakView(backend, (sound, name) => codec.examine(sound, name));
  const voices = new VoicesView(backend);
  wireKey(() => start(voices));
  start(voices);
  window.addEventListener("pagehide", () => speak.stop());
} else {
  byId("privacy").textContent =
    "All is computed in this browser: no sound leaves this machine. The model is loaded once, some 76 MB with its runtime.";
  start(null);
}

async function start(voices) {
  byId("model").textContent = "Loading the models …";
  const name = await reporting("codec-error", async () => {
    try {
      const described = await backend.describe();
      await voices?.refresh();
      return described;
    } catch (problem) {
      if (!(problem instanceof KeyNeeded)) throw problem;
      byId("key-form").hidden = false;
      byId("key").focus();
      return null;
    }
  });
  byId("bundled").hidden = !backend.bundled;
  byId("model").textContent = name ?? "Speech to 50 tokens a second, and back.";
  document.documentElement.dataset.ready = `${Boolean(name)}`;
}

function wireKey(retry) {
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    backend.useKey(byId("key").value);
    byId("key-form").hidden = true;
    retry();
  });
}
