/** onnxruntime, set up once; tensors in and out. */
import * as ort from "onnxruntime-web/wasm";

export type Session = ort.InferenceSession;
export type Feeds = Record<string, ort.Tensor>;

/** Threads that this page may use: more than one only where the browser isolates it. */
export function threadsHere(): number {
  const isolated = (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated === true;
  return isolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
}

/** onnxruntime's WebAssembly, the address of what starts it, and how many threads it may use. */
export interface Runtime {
  wasm: ArrayBuffer;
  glue: string;
  threads: number;
}

/** Use this WebAssembly; without it onnxruntime finds its own (in tests). */
export function prepare(given?: Runtime): void {
  ort.env.wasm.numThreads = given?.threads ?? 1;
  if (given) {
    ort.env.wasm.wasmBinary = given.wasm;
    ort.env.wasm.wasmPaths = { mjs: given.glue };
  }
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
