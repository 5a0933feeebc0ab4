/** onnxruntime, set up once; tensors in and out. */
import * as wasm from "onnxruntime-web/wasm";
import type * as ort from "onnxruntime-web/wasm";

export type Session = ort.InferenceSession;
export type Feeds = Record<string, ort.Tensor>;

/** Threads that this page may use: more than one only where the browser isolates it. */
export function threadsHere(): number {
  const isolated = (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated === true;
  return isolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
}

/**
 * onnxruntime's WebAssembly, the address of what starts it, and how many threads it may use.
 * gpu: the address of the onnxruntime that asks WebGPU, whose WebAssembly this is; others do without.
 */
export interface Runtime {
  wasm: ArrayBuffer;
  glue: string;
  threads: number;
  gpu?: string;
}

let used: typeof wasm = wasm;
let provider = "wasm";

/** Use this WebAssembly; without it onnxruntime finds its own (in tests). */
export async function prepare(given?: Runtime): Promise<void> {
  if (given?.gpu) [used, provider] = [await import(/* @vite-ignore */ given.gpu), "webgpu"];
  const { env } = used;
  env.wasm.numThreads = given?.threads ?? 1;
  if (given) {
    env.wasm.wasmBinary = given.wasm;
    env.wasm.wasmPaths = { mjs: given.glue };
  }
  env.logLevel = "error";
}

export function open(model: Uint8Array): Promise<Session> {
  return used.InferenceSession.create(model, { executionProviders: [provider], graphOptimizationLevel: "all" });
}

export function floats(data: Float32Array, dims: number[]): ort.Tensor {
  return new used.Tensor("float32", data, dims);
}

export function integers(values: ArrayLike<number>, dims: number[]): ort.Tensor {
  return new used.Tensor("int64", BigInt64Array.from(Array.from(values, (value) => BigInt(value))), dims);
}

export function flags(values: ArrayLike<boolean>, dims: number[]): ort.Tensor {
  return new used.Tensor("bool", Uint8Array.from(Array.from(values, Number)), dims);
}
