/** Safetensors -> numbers: bounds checked, nothing is ever run. */
import { Complaint } from "../complaint";

export interface Stored {
  shape: number[];
  dtype: string;
  data: Float32Array; // whole numbers too: units are small
}

const MAX_HEADER = 1 << 20;
const SIZES: Record<string, number> = { F16: 2, BF16: 2, F32: 4, I64: 8 };

export function readTensors(bytes: Uint8Array, what: string): Map<string, Stored> {
  const damaged = new Complaint(`${what} is damaged or not a safetensors file (pickles are never loaded).`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 8) throw damaged;
  const length = Number(view.getBigUint64(0, true));
  if (length > MAX_HEADER || 8 + length > bytes.length) throw damaged;
  let header: Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(8, 8 + length)));
  } catch {
    throw damaged;
  }
  const found = new Map<string, Stored>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const { dtype, shape, data_offsets: offsets } = entry ?? {};
    const size = SIZES[dtype];
    if (!size || !Array.isArray(shape) || !shape.every((n) => Number.isInteger(n) && n >= 0) || !Array.isArray(offsets)) throw damaged;
    const n = shape.reduce((product, one) => product * one, 1);
    const [start, end] = offsets;
    if (!(start >= 0) || end - start !== n * size || 8 + length + end > bytes.length) throw damaged;
    const data = numbers(view, 8 + length + start, n, dtype);
    if (!data.every((value) => Number.isFinite(value)))
      throw new Complaint(`${what}: ${name.slice(0, 80)} holds values that are not finite numbers.`);
    found.set(name, { shape, dtype, data });
  }
  return found;
}

function numbers(view: DataView, at: number, n: number, dtype: string): Float32Array {
  const data = new Float32Array(n);
  const bits = new Uint32Array(1);
  const float = new Float32Array(bits.buffer);
  for (let i = 0; i < n; i++) {
    if (dtype === "F32") data[i] = view.getFloat32(at + 4 * i, true);
    else if (dtype === "F16") data[i] = half(view.getUint16(at + 2 * i, true));
    else if (dtype === "I64") data[i] = Number(view.getBigInt64(at + 8 * i, true));
    else {
      bits[0] = view.getUint16(at + 2 * i, true) << 16;
      data[i] = float[0];
    }
  }
  return data;
}

export function half(bits: number): number {
  const [sign, exponent, fraction] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return exponent ? sign * 2 ** (exponent - 15) * (1 + fraction / 1024) : sign * 2 ** -14 * (fraction / 1024);
}

/** The nearest half-precision number's bits, ties to even. */
export function toHalf(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (size === 0) return sign;
  let exponent = Math.max(-14, Math.floor(Math.log2(size)));
  if (2 ** exponent > size && exponent > -14) exponent--;
  const scaled = (size / 2 ** exponent) * 1024;
  let rounded = Math.floor(scaled);
  const rest = scaled - rounded;
  if (rest > 0.5 || (rest === 0.5 && rounded & 1)) rounded++;
  if (rounded < 1024) return sign | rounded; // subnormal, of exponent -14
  if (rounded === 2048) {
    exponent++;
    rounded = 1024;
  }
  return exponent > 15 ? sign | 0x7c00 : sign | ((exponent + 15) << 10) | (rounded - 1024);
}

/** Numbers in 16 bits under their names -> the bytes of a safetensors file. */
export function writeTensors(tensors: Record<string, { shape: number[]; data: Float32Array }>): Uint8Array {
  const header: Record<string, unknown> = {};
  let at = 0;
  for (const [name, { shape, data }] of Object.entries(tensors)) {
    header[name] = { dtype: "F16", shape, data_offsets: [at, at + 2 * data.length] };
    at += 2 * data.length;
  }
  let text = JSON.stringify(header);
  text += " ".repeat((8 - (text.length % 8)) % 8);
  const bytes = new Uint8Array(8 + text.length + at);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(text.length), true);
  bytes.set(new TextEncoder().encode(text), 8);
  let offset = 8 + text.length;
  for (const { data } of Object.values(tensors)) {
    for (const value of data) {
      view.setUint16(offset, toHalf(value), true);
      offset += 2;
    }
  }
  return bytes;
}
