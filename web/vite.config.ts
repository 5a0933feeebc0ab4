import { defaultClientConditions, defineConfig } from "vite";

export default defineConfig({
  base: "./", // a folder anywhere
  // onnxruntime's WebAssembly lies in the folder beside the page and comes from nowhere else.
  resolve: { conditions: ["onnxruntime-web-use-extern-wasm", ...defaultClientConditions] },
  worker: { format: "es" },
  build: { target: "es2022", outDir: "dist", chunkSizeWarningLimit: 800 },
});
