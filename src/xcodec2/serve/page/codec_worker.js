// Runs the graphs beside the page, so that the page stays quick.

import { Codec } from "./codec/index.js";

const files = new URL("./", import.meta.url);
let loading = null;

const work = {
  load: async () => (await codec()).facts,
  encode: async (samples, rate) => (await codec()).encode(samples, rate),
  decode: async (codes) => (await codec()).decode(codes),
};

/** The codec; a load that failed is tried again. */
function codec() {
  loading ??= load().catch((problem) => {
    loading = null;
    throw problem;
  });
  return loading;
}

async function load() {
  const options = { ort: await runtime("wasm") };
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  if (adapter && !adapter.info?.isFallbackAdapter) {
    // Its WebAssembly lacks operations that the encoder needs.
    Object.assign(options, { decoderOrt: await runtime("webgpu"), decoder: ["webgpu", "wasm"] });
  }
  return Codec.load(new URL("graphs/", files), options);
}

async function runtime(kind) {
  const ort = await import(new URL(`runtime/ort.${kind}.min.mjs`, files));
  ort.env.wasm.wasmPaths = new URL("runtime/", files).href;
  return ort;
}

self.onmessage = async ({ data: { id, name, values } }) => {
  try {
    self.postMessage({ id, result: await work[name](...values) });
  } catch (problem) {
    self.postMessage({ id, message: `${problem.message || problem}` });
  }
};
