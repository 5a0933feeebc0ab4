/** Whether this browser's GPU may answer: looked for when the page is there, and tried on an example before it does. */
import { decode } from "../sound/decode";
import type { State } from "./state";

/** `?webgpu=off` in the address does without, `?webgpu=on` takes one that is slow too: for tests. */
export async function useWebGpu(state: State, base: string): Promise<void> {
  const wish = new URLSearchParams(location.search).get("webgpu");
  const { connection } = navigator as { connection?: { saveData?: boolean } };
  if (wish === "off" || !navigator.gpu || !("Suspending" in WebAssembly)) return;
  if (wish !== "on" && connection?.saveData) return; // it takes 4 MB more
  const adapter = await navigator.gpu.requestAdapter();
  if (!adapter || (adapter.info.isFallbackAdapter && wish !== "on") || !state.examples.length) return;
  const response = await fetch(`examples/${encodeURIComponent(state.examples[0].file)}`);
  const waveform = await decode(await response.arrayBuffer());
  await state.client.ask("openGpu", [base]);
  const found = await state.client.ask("tryGpu", [waveform, wish === "on"]);
  document.documentElement.dataset.webgpu = found;
}
