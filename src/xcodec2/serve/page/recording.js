// A button that records.

import { reporting } from "./dom.js";
import { Recorder } from "./recorder.js";

/**
 * @param {HTMLButtonElement} button
 * @param {HTMLCanvasElement} canvas Shows the level.
 * @param {string} area The id of its alert.
 * @param {{maxSeconds: number}} limits
 * @param {(sound: {samples: Float32Array, rate: number}) => void} done
 */
export function record(button, canvas, area, limits, done) {
  let recorder = null;
  const label = button.textContent;
  const show = (active) => {
    button.textContent = active ? "Stop recording" : label;
    button.ariaPressed = `${active}`;
  };
  const stop = () =>
    reporting(area, async () => {
      const finished = recorder;
      recorder = null;
      show(false);
      done(await finished.stop());
    });
  button.addEventListener("click", () => {
    if (recorder) return stop();
    return reporting(area, async () => {
      const started = new Recorder(canvas, limits.maxSeconds, stop);
      button.disabled = true;
      await started.start().finally(() => (button.disabled = false));
      recorder = started;
      show(true);
    });
  });
}
