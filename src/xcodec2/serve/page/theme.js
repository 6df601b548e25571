// Dark or light: the system's choice, until the button says otherwise.

import { byId } from "./dom.js";

const NAME = "xcodec2-theme";

/** @param {() => void} changed Is called when what is on canvases has other colors. */
export function wireTheme(changed) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  const current = () => root.dataset.theme ?? (system.matches ? "dark" : "light");
  const label = () => (byId("theme").textContent = current() === "dark" ? "Light" : "Dark");
  const kept = localStorage.getItem(NAME);
  if (kept === "dark" || kept === "light") root.dataset.theme = kept;
  byId("theme").addEventListener("click", () => {
    root.dataset.theme = current() === "dark" ? "light" : "dark";
    localStorage.setItem(NAME, root.dataset.theme);
    label();
    changed();
  });
  system.addEventListener("change", () => {
    label();
    changed();
  });
  label();
}
