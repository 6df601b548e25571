// Writes the codes file of each JSON line on standard input: base64, a line each.

import { createInterface } from "node:readline";

import { codesFile } from "../../js/src/index.js";

for await (const line of createInterface({ input: process.stdin })) {
  console.log(Buffer.from(codesFile(JSON.parse(line))).toString("base64"));
}
