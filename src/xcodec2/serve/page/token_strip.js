// The strip of tokens: one colored cell each; the mouse or the arrow keys move a cursor over it.

import { byId, fitted } from "./dom.js";

const AROUND = 8; // tokens shown on either side of the cursor

export class TokenStrip {
  /** @param {(seconds: number) => void} chosen Is called when one is clicked or entered. */
  constructor(chosen) {
    this.area = byId("tokens");
    this.index = 0;
    const under = (event) => {
      const { left, width } = this.area.getBoundingClientRect();
      return Math.floor(((event.clientX - left) / width) * this.codes.length);
    };
    this.area.addEventListener("pointermove", (event) => this.show(under(event)));
    this.area.addEventListener("click", (event) => {
      this.show(under(event));
      chosen(this.index / this.frameRate);
    });
    this.area.addEventListener("keydown", (event) => this.key(event, chosen));
  }

  /** @param {{codes: Int32Array, frameRate: number, codebookSize: number}} item */
  load({ codes, frameRate, codebookSize }) {
    Object.assign(this, { codes, frameRate, codebookSize });
    this.area.ariaValueMax = `${codes.length - 1}`;
    this.draw();
    this.show(0);
  }

  draw() {
    const { context, width, height } = fitted(byId("strip"));
    const size = width / this.codes.length;
    const gap = size > 5 ? 1 : 0;
    this.codes.forEach((code, index) => {
      context.fillStyle = tokenColor(code, this.codebookSize);
      const left = Math.round(index * size);
      context.fillRect(left, 0, Math.max(1, Math.round((index + 1) * size) - left - gap), height);
    });
  }

  show(index) {
    this.index = Math.max(0, Math.min(this.codes.length - 1, index));
    const code = this.codes[this.index];
    const seconds = (this.index / this.frameRate).toFixed(2);
    const text = `${seconds} s · token ${this.index + 1} of ${this.codes.length} · number ${code}`;
    byId("token").textContent = text;
    this.area.title = text;
    this.area.ariaValueNow = `${this.index}`;
    this.area.ariaValueText = `${seconds} seconds, number ${code}`;
    const middle = (this.index + 0.5) / this.codes.length;
    this.area.querySelector(".cursor").style.left = `${100 * middle}%`;
    this.zoom();
  }

  /** The tokens around the cursor, large enough to be read. */
  zoom() {
    const around = window.innerWidth < 600 ? AROUND / 4 : AROUND;
    const count = Math.min(2 * around + 1, this.codes.length);
    const first = Math.max(0, Math.min(this.index - around, this.codes.length - count));
    const cells = Array.from(this.codes.subarray(first, first + count), (code, place) => {
      const cell = document.createElement("span");
      cell.textContent = code;
      cell.style.background = tokenColor(code, this.codebookSize);
      cell.classList.toggle("here", first + place === this.index);
      return cell;
    });
    byId("loupe").replaceChildren(...cells);
  }

  key(event, chosen) {
    const last = this.codes.length - 1;
    const second = Math.round(this.frameRate);
    const target = {
      ArrowLeft: this.index - 1,
      ArrowDown: this.index - 1,
      ArrowRight: this.index + 1,
      ArrowUp: this.index + 1,
      PageDown: this.index - second,
      PageUp: this.index + second,
      Home: 0,
      End: last,
    }[event.key];
    if (target !== undefined) this.show(target);
    else if (event.key === "Enter") chosen(this.index / this.frameRate);
    else return;
    event.preventDefault();
  }
}

/** Numbers that share their digits of base 4, and so sound alike, look alike; all bear dark text. */
export function tokenColor(code, codebookSize) {
  const digits = [];
  for (let rest = code, size = codebookSize; size > 1; size /= 4, rest = Math.floor(rest / 4)) {
    digits.push(rest % 4);
  }
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = digits;
  const hue = (a * 64 + b * 16 + c * 4 + d) * (360 / 256);
  return `oklch(${0.72 + 0.05 * f} ${(0.06 + 0.03 * e).toFixed(2)} ${hue.toFixed(0)})`;
}
