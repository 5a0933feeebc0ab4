/** The last answers, which this browser keeps and nobody else sees. */
import { escape, find, labelTag } from "./html";

const KEY = "speechprompt-history";
const KEPT = 20;

export interface Entry {
  time: number;
  title: string;
  label: string;
  score: string;
  fits: string;
  source: string;
}

export function read(): Entry[] {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(found) ? found.filter((one) => one && typeof one.label === "string").slice(0, KEPT) : [];
  } catch {
    return [];
  }
}

export function keep(entry: Entry): void {
  try {
    localStorage.setItem(KEY, JSON.stringify([entry, ...read()].slice(0, KEPT)));
  } catch {
    // Private windows keep nothing, and a full storage no more: the answers themselves are there.
  }
}

export function show(element: HTMLElement): void {
  const entries = read();
  element.hidden = !entries.length;
  if (!entries.length) return;
  const row = (one: Entry) =>
    `<li data-fits="${escape(String(one.fits))}"><span>${escape(String(one.title))}</span>${labelTag("bdi", one.label)}<data>${escape(String(one.score))}</data>` +
    `<span>${escape(String(one.source))}</span><time>${new Date(Number(one.time)).toLocaleTimeString()}</time></li>`;
  const open = element.querySelector("details")?.open ?? false;
  element.innerHTML = `<details class="sp-fold sp-history"${open ? " open" : ""}><summary>Your last answers <span>· kept in this browser alone</span></summary>
    <ol>${entries.map(row).join("")}</ol><p class="sp-history-foot"><button type="button" class="sp-link">Delete them</button></p></details>`;
  find("button", element).onclick = () => {
    localStorage.removeItem(KEY);
    show(element);
  };
}
