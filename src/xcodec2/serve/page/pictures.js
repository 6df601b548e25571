// Waveforms and spectrograms on canvases.

import { color, fitted } from "./dom.js";

const HIGHEST = 8000; // Hz, at the top of a spectrogram
const WINDOW = 0.032; // seconds
const [FLOOR, CEILING] = [-85, -15]; // dB, darkest and brightest
// from quiet to loud: ground, blue, violet, orange, nearly white
const COLORS = [[12, 15, 26], [32, 50, 110], [120, 48, 130], [224, 96, 62], [252, 224, 150]];

/** Highest and lowest sample of each column. */
export function drawWave(canvas, { samples, rate }, seconds) {
  const { context, width, height } = fitted(canvas);
  context.fillStyle = color("accent");
  const perColumn = (seconds * rate) / width;
  for (let column = 0; column < width; column++) {
    const [from, to] = [column, column + 1].map((edge) => Math.floor(edge * perColumn));
    if (from >= samples.length) break;
    let [low, high] = [0, 0];
    for (let index = from; index < Math.max(to, from + 1) && index < samples.length; index++) {
      low = Math.min(low, samples[index]);
      high = Math.max(high, samples[index]);
    }
    const top = ((1 - Math.min(high, 1)) / 2) * height;
    const tall = Math.max(1, ((Math.min(high, 1) - Math.max(low, -1)) / 2) * height);
    context.fillRect(column, Math.min(top, height - tall), 1, tall);
  }
  const loudest = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
  canvas.ariaLabel = `Waveform: ${seconds.toFixed(2)} seconds, loudest sample ${loudest.toFixed(2)}`;
}

/** Levels of 0 to 8 kHz over time. */
export function drawSpectrum(canvas, { samples, rate }, seconds) {
  const { context, width, height } = fitted(canvas);
  const size = 2 ** Math.ceil(Math.log2(WINDOW * rate));
  const window = Float64Array.from({ length: size }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * (i + 0.5)) / size));
  const transform = new Fourier(size);
  const image = context.createImageData(width, height);
  const palette = makePalette();
  const perRow = (HIGHEST * size) / rate / height;
  for (let column = 0; column < width; column++) {
    const center = Math.round(((column + 0.5) / width) * seconds * rate);
    const levels = transform.levels(samples, center - size / 2, window);
    for (let row = 0; row < height; row++) {
      const from = Math.min(Math.floor((height - 1 - row) * perRow), size / 2);
      const to = Math.min(Math.ceil((height - row) * perRow), size / 2);
      let most = levels[from];
      for (let bin = from + 1; bin < to; bin++) most = Math.max(most, levels[bin]);
      const loudness = (10 * Math.log10(most + 1e-12) - FLOOR) / (CEILING - FLOOR);
      const shade = Math.round(255 * Math.max(0, Math.min(1, loudness)));
      image.data.set(palette[shade], 4 * (row * width + column));
    }
  }
  context.putImageData(image, 0, 0);
  canvas.ariaLabel = "Spectrogram: loudness of 0 to 8 kilohertz over time";
}

function makePalette() {
  return Array.from({ length: 256 }, (_, shade) => {
    const place = (shade / 255) * (COLORS.length - 1);
    const index = Math.min(Math.floor(place), COLORS.length - 2);
    const mix = (c) => COLORS[index][c] + (COLORS[index + 1][c] - COLORS[index][c]) * (place - index);
    return [mix(0), mix(1), mix(2), 255];
  });
}

/** Fourier transforms of one size, a power of two, in place. */
class Fourier {
  constructor(size) {
    this.size = size;
    this.real = new Float64Array(size);
    this.imaginary = new Float64Array(size);
    this.cosines = Float64Array.from({ length: size / 2 }, (_, k) => Math.cos((2 * Math.PI * k) / size));
    this.sines = Float64Array.from({ length: size / 2 }, (_, k) => Math.sin((2 * Math.PI * k) / size));
    const bits = Math.log2(size);
    this.reversed = Uint32Array.from({ length: size }, (_, index) => {
      let turned = 0;
      for (let bit = 0; bit < bits; bit++) turned |= ((index >> bit) & 1) << (bits - 1 - bit);
      return turned;
    });
  }

  /** Powers of the frequencies of a windowed piece; a full-scale tone has about 1. */
  levels(samples, start, window) {
    const { size, real, imaginary } = this;
    imaginary.fill(0);
    for (let index = 0; index < size; index++) {
      const place = start + this.reversed[index];
      real[index] = (samples[place] ?? 0) * window[this.reversed[index]];
    }
    this.transform();
    const scale = (4 / size) ** 2;
    return Float64Array.from({ length: size / 2 + 1 }, (_, k) => (real[k] ** 2 + imaginary[k] ** 2) * scale);
  }

  transform() {
    const { size, real, imaginary, cosines, sines } = this;
    for (let half = 1; half < size; half *= 2) {
      const stride = size / (2 * half);
      for (let start = 0; start < size; start += 2 * half) {
        for (let k = 0; k < half; k++) {
          const [a, b] = [start + k, start + k + half];
          const [c, s] = [cosines[k * stride], -sines[k * stride]];
          const re = real[b] * c - imaginary[b] * s;
          const im = real[b] * s + imaginary[b] * c;
          real[b] = real[a] - re;
          imaginary[b] = imaginary[a] - im;
          real[a] += re;
          imaginary[a] += im;
        }
      }
    }
  }
}
