/** The page: loads the models once, then its tabs. */
import "./page/page.css";
import { Complaint } from "./complaint";
import { Client } from "./messages";
import { Compare } from "./page/compare";
import { alert, find } from "./page/html";
import { Live } from "./page/live";
import { type Example, type State, remember, remembered, sentenceOf } from "./page/state";
import { Teach } from "./page/teach";
import { Try } from "./page/try";
import { useWebGpu } from "./page/webgpu";
import type { Engine } from "./worker";

const TABS = ["Try", "Compare", "Live", "Teach"] as const;
type Tab = (typeof TABS)[number];

/** WebAssembly with vectors: a module of one function that uses one. */
function hasVectors(): boolean {
  const code = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];
  return typeof WebAssembly === "object" && WebAssembly.validate(Uint8Array.from(code));
}

/** A service worker keeps the files and isolates the page; the first visit is loaded once more, to be isolated. */
async function keepFiles(): Promise<void> {
  if (import.meta.env.DEV) return;
  try {
    if (!navigator.serviceWorker) return;
    navigator.serviceWorker.addEventListener("message", ({ data }) => {
      if (data?.full) find("#sp-notice").textContent = "This browser's storage is full: the page works, but will need the network again next time.";
    });
    await navigator.serviceWorker.register("sw.js");
    await Promise.race([controlled(), new Promise((resolve) => setTimeout(resolve, 4000))]);
    if (crossOriginIsolated || !navigator.serviceWorker.controller || sessionStorage.getItem("isolating")) return;
    sessionStorage.setItem("isolating", "1");
  } catch {
    return; // a private window, a frame without storage, or no https: everything else works
  }
  location.reload();
  await new Promise(() => {}); // the page goes
}

async function controlled(): Promise<void> {
  if (navigator.serviceWorker.controller) return;
  await new Promise((resolve) => navigator.serviceWorker.addEventListener("controllerchange", resolve, { once: true }));
}

const base = new URL("./", location.href.split("#")[0]).href;

async function load(): Promise<State> {
  if (!hasVectors()) throw new Complaint("This browser's WebAssembly has no SIMD: use Chrome, Edge, Firefox or Safari of the last few years.");
  await keepFiles();
  const client = new Client<Engine>(new Worker(new URL("./worker.ts", import.meta.url), { type: "module" }));
  const bar = find<HTMLProgressElement>("#sp-progress");
  const { facts, prompts, parameters } = await client.ask("load", [base], ({ done, total }) => {
    bar.value = done / total;
    find("#sp-loading-text").textContent = `${(done / 1e6).toFixed(1)} of ${(total / 1e6).toFixed(1)} MB, once; later visits need no network.`;
  });
  const response = await fetch("examples/examples.json");
  const all: Example[] = response.ok ? await response.json() : [];
  return {
    client, facts, parameters,
    prompts: new Map(prompts.map((config) => [config.task, config])),
    examples: all.filter((one) => one.file),
    source: "",
  };
}

function build(state: State): void {
  const [panels, tabs] = [find("#sp-panels"), find(".sp-tabs")];
  const parts = TABS.map((name) => {
    const panel = document.createElement("div");
    Object.assign(panel, { id: `sp-tab-${name}`, hidden: true });
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-label", name);
    const tab = document.createElement("button");
    Object.assign(tab, { type: "button", textContent: name });
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", panel.id);
    panels.append(panel);
    tabs.append(tab);
    return { name, panel, tab };
  });
  const panelOf = (name: Tab) => parts.find((part) => part.name === name)?.panel as HTMLElement;
  const first = new Try(panelOf("Try"), state);
  const compare = new Compare(panelOf("Compare"), state);
  const live = new Live(panelOf("Live"), state);
  new Teach(panelOf("Teach"), state, (task) => {
    live.refresh(task);
    first.refresh(task);
    open("Try");
  });
  const open = (name: Tab) => {
    for (const part of parts) {
      part.panel.hidden = part.name !== name;
      part.tab.setAttribute("aria-selected", String(part.name === name));
      part.tab.tabIndex = part.name === name ? 0 : -1;
    }
    remember({ tab: name === "Try" ? "" : name });
    if (name === "Compare") void compare.open();
  };
  parts.forEach(({ name, tab }, i) => {
    tab.onclick = () => open(name);
    tab.onkeydown = ({ key }) => {
      const step = key === "ArrowRight" ? 1 : key === "ArrowLeft" ? -1 : 0;
      if (!step) return;
      const next = parts[(i + step + parts.length) % parts.length];
      open(next.name);
      next.tab.focus();
    };
  });
  open(TABS.find((name) => name === remembered("tab")) ?? "Try");
  find("#sp-loading").hidden = true;
  panels.hidden = false;
}

load().then(
  (state) => {
    build(state);
    useWebGpu(state, base).catch(() => {}); // without it everything is as it was
  },
  (error) => {
    find("#sp-loading").outerHTML = alert(sentenceOf(error), "Not loaded");
  },
);
