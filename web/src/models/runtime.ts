/** onnxruntime, set up once; tensors in and out. */
import * as ort from "onnxruntime-web/wasm";

export type Session = ort.InferenceSession;
export type Feeds = Record<string, ort.Tensor>;

/** Threads that this page may use: more than one only where the browser isolates it. */
export function threadsHere(): number {
  const isolated = (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated === true;
  return isolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
}

/** Use this WebAssembly, its glue at the address given; without either onnxruntime finds its own (in tests). */
export function prepare(wasm?: ArrayBuffer, glue?: string): void {
  ort.env.wasm.numThreads = wasm ? threadsHere() : 1;
  if (wasm) ort.env.wasm.wasmBinary = wasm;
  if (glue) ort.env.wasm.wasmPaths = { mjs: glue };
  ort.env.logLevel = "error";
}

export function open(model: Uint8Array): Promise<Session> {
  return ort.InferenceSession.create(model, { executionProviders: ["wasm"], graphOptimizationLevel: "all" });
}

export function floats(data: Float32Array, dims: number[]): ort.Tensor {
  return new ort.Tensor("float32", data, dims);
}

export function integers(values: ArrayLike<number>, dims: number[]): ort.Tensor {
  return new ort.Tensor("int64", BigInt64Array.from(Array.from(values, (value) => BigInt(value))), dims);
}

export function flags(values: ArrayLike<boolean>, dims: number[]): ort.Tensor {
  return new ort.Tensor("bool", Uint8Array.from(Array.from(values, Number)), dims);
}
