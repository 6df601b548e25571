#!/usr/bin/env bash
# onnxruntime-web 1.30.0 (npm), Node 20, run 2026-11-28.
#
# The package ships several builds, and the same graph, asked to run in WebAssembly, does not run in
# all. `onnxruntime-web/webgpu` brings a WebAssembly file of its own whose CPU kernels have no double:
# a graph with a single Cast from float to double and back cannot be loaded. The default build and
# `onnxruntime-web/wasm` run it. Speech models whose filter bank is in float64 load only there.
#
# Output seen:
#   ort.wasm.min.mjs 0.5,-2
#   ort.webgpu.min.mjs Could not find an implementation for Cast
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --ignore-scripts --no-audit --no-fund onnxruntime-web@1.30.0
cat > try.mjs <<'JS'
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const [name, wasm] = process.argv.slice(2);
const dist = new URL("node_modules/onnxruntime-web/dist/", pathToFileURL(`${process.cwd()}/`));

// A model of two nodes, in protobuf: y = Cast(Cast(x, double), float)
const text = (value) => [...new TextEncoder().encode(value)];
const bytes = (field, content) => [field * 8 + 2, content.length, ...content];
const number = (field, value) => [field * 8, value];
const [FLOAT, DOUBLE, INT] = [1, 11, 2];
const cast = (from, to, type) =>
  bytes(1, [
    ...bytes(1, text(from)),
    ...bytes(2, text(to)),
    ...bytes(4, text("Cast")),
    ...bytes(5, [...bytes(1, text("to")), ...number(3, type), ...[160, 1, INT]]),
  ]);
const dimension = bytes(1, number(1, 2));
const value = (field, name) => {
  const type = bytes(1, [...number(1, FLOAT), ...bytes(2, dimension)]);
  return bytes(field, [...bytes(1, text(name)), ...bytes(2, type)]);
};
const nodes = [...cast("x", "wide", DOUBLE), ...cast("wide", "y", FLOAT)];
const graph = [...nodes, ...bytes(2, text("g")), ...value(11, "x"), ...value(12, "y")];
const length = [(graph.length & 127) | 128, graph.length >> 7];
const model = [...number(1, 8), 7 * 8 + 2, ...length, ...graph, ...bytes(8, number(2, 13))];

const ort = await import(new URL(name, dist));
ort.env.logLevel = "fatal";
ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = { mjs: new URL(`${wasm}.mjs`, dist).href };
ort.env.wasm.wasmBinary = await readFile(new URL(`${wasm}.wasm`, dist));
try {
  const session = await ort.InferenceSession.create(Uint8Array.from(model), {
    executionProviders: ["wasm"],
  });
  const { y } = await session.run({ x: new ort.Tensor("float32", [0.5, -2], [2]) });
  console.log(name, `${y.data}`);
} catch (problem) {
  console.log(name, /Could not find an implementation for \w+/.exec(problem.message)?.[0] ?? problem.message);
}
process.kill(process.pid); // process.exit() waits for ever after the build for WebGPU has failed
JS
{
  node try.mjs ort.wasm.min.mjs ort-wasm-simd-threaded || true
  node try.mjs ort.webgpu.min.mjs ort-wasm-simd-threaded.asyncify || true
} 2>/dev/null | tee out
diff - out <<'SEEN'
ort.wasm.min.mjs 0.5,-2
ort.webgpu.min.mjs Could not find an implementation for Cast
SEEN
