// The file of codes: an .npz of plain arrays, byte for byte what `xcodec2.Codes.save` writes.

import { CodesError } from "./errors.js";

const FORMAT_VERSION = 1;
const GROWTH_DIGITS = 21; // NumPy leaves room in a header for a longer first axis
// what a file may say beside the codes, in its order
const FIELDS = [
  ["numSamples", "num_samples"],
  ["sampleRate", "sample_rate"],
  ["frameRate", "frame_rate"],
  ["codebookSize", "codebook_size"],
  ["model", "model"],
  ["weightsHash", "weights_hash"],
];

/**
 * @param {import("./index.js").CodesFile} item
 * @returns {Uint8Array} the content of an .npz
 */
export function codesFile(item) {
  const { codes, frameRate = 50, codebookSize = 65_536 } = item;
  if (!codes?.length) throw new CodesError("there are no codes");
  checkRange(codes, codebookSize);
  const known = { ...item, frameRate, codebookSize };
  const small = codebookSize <= 1 << 16;
  const members = [["format_version", scalar(FORMAT_VERSION)]];
  const values = small ? Uint16Array.from(codes) : Uint32Array.from(codes);
  members.push(["codes", array(small ? "<u2" : "<u4", [codes.length], bytesOf(values))]);
  for (const [property, name] of FIELDS) {
    if (known[property] !== undefined && known[property] !== null) {
      members.push([name, scalar(known[property])]);
    }
  }
  return zip(members.map(([name, content]) => [`${name}.npy`, content]));
}

/**
 * @param {Uint8Array} bytes The content of an .npz of codes, a plain .npy, or text of tokens.
 * @returns {Promise<import("./index.js").CodesFile>}
 */
export async function readCodesFile(bytes) {
  const start = new TextDecoder("latin1").decode(bytes.subarray(0, 64));
  try {
    if (start.startsWith("PK")) return await fromNpz(bytes);
    if (start.startsWith("\x93NUMPY")) return checked({ codes: parseNpy(bytes) });
  } catch (problem) {
    if (problem instanceof CodesError) throw problem;
    throw new CodesError(`the codes file is damaged or cut short (${problem.message})`);
  }
  return fromText(new TextDecoder().decode(bytes));
}

/** Whether a file is meant as codes, rather than audio. */
export function beginsLikeCodes(bytes) {
  const start = new TextDecoder("latin1").decode(bytes.subarray(0, 64));
  return /^(PK|\x93NUMPY|(\xef\xbb\xbf)?\s*<\|(s_|SPEECH_GENERATION_START\|>))/.test(start);
}

function fromText(text) {
  const tokens = /<\|s_([0-9]{1,10})\|>/g;
  const rest = text.replace(tokens, "").replace(/\ufeff|<\|SPEECH_GENERATION_(START|END)\|>/g, "");
  if (rest.trim()) throw new CodesError("not a codes file: neither .npz or .npy, nor speech tokens");
  return checked({ codes: Int32Array.from(text.matchAll(tokens), ([, digits]) => Number(digits)) });
}

async function fromNpz(bytes) {
  const members = await unzip(bytes);
  const read = (name) => (members.has(`${name}.npy`) ? parseNpy(members.get(`${name}.npy`)) : null);
  for (const name of ["format_version", "codes", "frame_rate", "codebook_size"]) {
    if (!members.has(`${name}.npy`)) {
      throw new CodesError(`not a codes file: it has no array named '${name}'`);
    }
  }
  if (read("format_version") !== FORMAT_VERSION) {
    throw new CodesError(`format version ${read("format_version")} is not ${FORMAT_VERSION}`);
  }
  const item = { codes: read("codes") };
  for (const [property, name] of FIELDS) item[property] = read(name) ?? undefined;
  return checked(item);
}

function checked(item) {
  const { codes, frameRate = 50, codebookSize = 65_536 } = item;
  if (!(codes instanceof Int32Array)) throw new CodesError("codes must be integers (T,)");
  if (!codes.length) throw new CodesError("there are no codes in it");
  checkRange(codes, codebookSize);
  return { ...item, frameRate, codebookSize };
}

/** Throw CodesError for what is no code. */
export function checkRange(codes, codebookSize) {
  for (let index = 0; index < codes.length; index++) {
    const code = codes[index];
    if (!Number.isInteger(code) || code < 0 || code >= codebookSize) {
      throw new CodesError(
        `code ${code} at position ${index} is outside of 0…${codebookSize - 1}`,
      );
    }
  }
}

// ---- arrays --------------------------------------------------------------------------------------

function scalar(value) {
  if (typeof value === "string") {
    const points = Uint32Array.from([...value], (letter) => letter.codePointAt(0));
    return array(`<U${points.length}`, [], bytesOf(points));
  }
  return array("<i8", [], bytesOf(BigInt64Array.of(BigInt(value))));
}

function array(type, shape, content) {
  const sizes = shape.length ? `(${shape[0]},)` : "()";
  let header = `{'descr': '${type}', 'fortran_order': False, 'shape': ${sizes}, }`;
  if (shape.length) header = header.padEnd(header.length + GROWTH_DIGITS - `${shape[0]}`.length);
  header = `${header.padEnd(64 * Math.ceil((header.length + 11) / 64) - 11)}\n`;
  const start = Uint8Array.of(0x93, ...ascii("NUMPY"), 1, 0, header.length & 255, header.length >> 8);
  return joined([start, ascii(header), content]);
}

/** Integers (T,), (1, T) or (1, 1, T) as an Int32Array; a scalar as itself. */
function parseNpy(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const wide = view.getUint8(6) > 1;
  const begin = wide ? 12 : 10;
  const end = begin + (wide ? view.getUint32(8, true) : view.getUint16(8, true));
  const header = new TextDecoder("latin1").decode(bytes.subarray(begin, end));
  const type = /'descr': '([<>|=])([iuU])(\d+)'/.exec(header);
  const shape = /'shape': \(([\d, ]*)\)/.exec(header);
  if (!type || !shape) throw new CodesError("an array in it is of a type that codes do not use");
  const sizes = shape[1].split(",").filter((size) => size.trim()).map(Number);
  const count = sizes.reduce((product, size) => product * size, 1);
  const [, order, kind, digits] = type;
  const size = Number(digits) * (kind === "U" ? 4 : 1);
  if (end + count * size !== bytes.length) {
    throw new CodesError("the codes file is damaged or cut short");
  }
  if (kind === "U") {
    const letters = Array.from({ length: size / 4 }, (_, i) => view.getUint32(end + 4 * i, true));
    return String.fromCodePoint(...letters.filter(Boolean));
  }
  const reader = { i: "Int", u: "Uint" }[kind];
  const method = `get${size === 8 ? "Big" : ""}${reader}${8 * size}`;
  const value = (index) => Number(view[method](end + index * size, order !== ">"));
  if (!sizes.length) return value(0);
  if (sizes.slice(0, -1).some((rows) => rows !== 1) || sizes.length > 3) {
    throw new CodesError(`codes of shape (${sizes}); one item is (T,), (1, T) or (1, 1, T)`);
  }
  return Int32Array.from({ length: count }, (_, index) => value(index));
}

// ---- archives ------------------------------------------------------------------------------------

const DAY = 0x21; // 1 January 1980: equal codes give equal bytes
const MODE = (0o644 << 16) >>> 0;

function zip(members) {
  const [local, central] = [[], []];
  let offset = 0;
  for (const [name, content] of members) {
    const common = [2, 20, 2, 0, 2, 0, 2, 0, 2, DAY, 4, crc32(content)];
    const sizes = [4, content.length, 4, content.length, 2, name.length, 2, 0];
    const piece = [record(4, 0x04034b50, ...common, ...sizes), ascii(name), content];
    const entry = [4, 0x02014b50, 2, (3 << 8) | 20, ...common, ...sizes];
    central.push(record(...entry, 2, 0, 2, 0, 2, 0, 4, MODE, 4, offset), ascii(name));
    local.push(...piece);
    offset += piece.reduce((sum, { length }) => sum + length, 0);
  }
  const size = central.reduce((sum, { length }) => sum + length, 0);
  const count = [2, members.length, 2, members.length];
  return joined([...local, ...central, record(4, 0x06054b50, 2, 0, 2, 0, ...count, 4, size, 4, offset, 2, 0)]);
}

async function unzip(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let end = bytes.length - 22;
  while (view.getUint32(end, true) !== 0x06054b50) end--;
  const members = new Map();
  let at = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left; left--) {
    const [method, packed] = [view.getUint16(at + 10, true), view.getUint32(at + 20, true)];
    const [nameLength, extra, comment] = [28, 30, 32].map((place) => view.getUint16(at + place, true));
    const name = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + nameLength));
    const header = view.getUint32(at + 42, true);
    const skipped = view.getUint16(header + 26, true) + view.getUint16(header + 28, true);
    const content = bytes.subarray(header + 30 + skipped, header + 30 + skipped + packed);
    const plain = method ? await inflate(content) : content;
    if (crc32(plain) !== view.getUint32(at + 16, true)) {
      throw new CodesError("the codes file is damaged or cut short");
    }
    members.set(name, plain);
    at += 46 + nameLength + extra + comment;
  }
  return members;
}

async function inflate(content) {
  const stream = new Blob([content]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Little-endian integers: sizes in bytes and values in turn. */
function record(...parts) {
  const bytes = [];
  for (let index = 0; index < parts.length; index += 2) {
    for (let byte = 0; byte < parts[index]; byte++) bytes.push((parts[index + 1] >>> (8 * byte)) & 255);
  }
  return Uint8Array.from(bytes);
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

function crc32(bytes) {
  let value = ~0;
  for (const byte of bytes) value = CRC_TABLE[(value ^ byte) & 255] ^ (value >>> 8);
  return ~value >>> 0;
}

function ascii(text) {
  return new TextEncoder().encode(text);
}

/** The bytes of integers, in the order of all processors that browsers run on. */
function bytesOf(values) {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

function joined(pieces) {
  const whole = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
