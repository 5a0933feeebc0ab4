// The last answers of the Try tab with their recordings, in this browser's own database: nothing of them is sent
// until somebody asks again. Whatever they hold is shown as text.
const MOST = 20; // answers
const MOST_BYTES = 20_000_000; // of their recordings together; of more, the oldest go
const DATABASE = "speechprompt", STORE = "answers", WISH = "sp-keep-answers";
const CLOSED = "This browser keeps nothing for pages: the list ends with this one.";

const part = (name) => element.querySelector(`[data-part=${name}]`);
const list = part("list"), count = part("count"), keep = part("keep"), note = part("note");
let entries = []; // newest first: {id, when, title, label, score, fits, name, type, bytes}
let player = null;

// The database: one store, looked through and written whole answer by whole answer.

const database = () =>
  new Promise((resolve, reject) => {
    const asked = indexedDB.open(DATABASE, 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore(STORE, { keyPath: "id" });
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = asked.onblocked = () => reject(asked.error);
  });
async function change(act) {
  const opened = await database();
  try {
    await new Promise((resolve, reject) => {
      const going = opened.transaction(STORE, "readwrite");
      act(going.objectStore(STORE));
      going.oncomplete = resolve;
      going.onerror = going.onabort = () => reject(going.error);
    });
  } finally {
    opened.close();
  }
}
async function load() {
  const opened = await database();
  try {
    const found = await new Promise((resolve, reject) => {
      const asked = opened.transaction(STORE).objectStore(STORE).getAll();
      asked.onsuccess = () => resolve(asked.result);
      asked.onerror = () => reject(asked.error);
    });
    return found.filter((one) => one.bytes instanceof ArrayBuffer).sort((a, b) => b.when - a.when);
  } finally {
    opened.close();
  }
}

function bounded(all) {
  let bytes = 0;
  return all.filter((one, i) => i < MOST && (bytes += one.bytes.byteLength) <= MOST_BYTES);
}
async function add(entry) {
  const stored = await load().catch(() => entries); // another page may have added some
  const all = [entry, ...stored.filter((one) => one.id !== entry.id)];
  entries = bounded(all);
  show();
  const gone = all.filter((one) => !entries.includes(one));
  try {
    await change((store) => {
      for (const one of gone) store.delete(one.id);
      if (entries.includes(entry)) store.put(entry);
    });
  } catch {
    note.textContent = CLOSED;
  }
}
async function clear() {
  entries = [];
  player?.pause();
  show();
  await change((store) => store.clear()).catch(() => {});
}

// What is shown

function make(tag, text, facts = {}) {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  return Object.assign(made, facts);
}
function row(entry) {
  const line = make("li"), name = `${entry.label}, ${entry.title}`;
  line.dataset.fits = entry.fits;
  const button = (text, act, spoken) => {
    const made = make("button", text, { type: "button", title: spoken, onclick: () => act(entry) });
    made.setAttribute("aria-label", `${spoken}: ${name}`);
    return made;
  };
  const when = new Intl.DateTimeFormat(undefined, { dateStyle: "short", timeStyle: "short" }).format(entry.when);
  line.append(
    button("▶", play, "Play"),
    make("bdi", entry.label),
    make("data", entry.score),
    make("span", entry.title),
    make("time", when),
    button("Ask again", again, "Ask about this recording again"),
    button("Compare with now", compare, "Compare it with the recording of now"),
  );
  return line;
}
function show() {
  list.replaceChildren(...entries.map(row));
  count.textContent = entries.length || "none yet";
}

// What can be done with one

const file = (entry) => new File([entry.bytes], entry.name, { type: entry.type });
function play(entry) {
  player?.pause();
  const url = URL.createObjectURL(file(entry));
  player = new Audio(url);
  player.onended = player.onpause = player.onerror = () => URL.revokeObjectURL(url);
  player.play().catch(() => (note.textContent = "This browser cannot play the recording: ask about it again."));
}
const recorder = (id) => document.querySelector(`${id} .sp-record`)?.parentElement;
const give = (id, entry) => recorder(id)?.dispatchEvent(new CustomEvent("sp-file", { detail: file(entry) }));
function again(entry) {
  give("#sp-audio", entry);
  document.querySelector("#sp-audio").scrollIntoView({ block: "nearest" });
}
async function until(found) {
  for (let i = 0; i < 100 && !found(); i++) await new Promise((resolve) => setTimeout(resolve, 100));
  return found();
}
async function compare(entry) {
  const beside = recorder("#sp-audio")?.dataset.state === "ready"; // else it is the only one
  [...document.querySelectorAll("[role=tab]")].find((one) => one.textContent.trim() === "Compare")?.click();
  const id = beside ? "#sp-compare-second" : "#sp-compare-audio";
  if (beside) {
    const head = await until(() => document.querySelector("#sp-compare-more button"));
    if (head && !recorder(id)?.offsetParent) head.click();
  }
  if (await until(() => recorder(id)?.offsetParent)) give(id, entry);
}

// An answer has come: its facts stand on it, its recording is what was brought or the example's file.
document.addEventListener("sp-answered", async () => {
  const answer = document.querySelector("#sp-panel .sp-answer")?.dataset;
  if (!keep.checked || !answer?.recording) return;
  const source = document.querySelector("#sp-audio audio")?.src || "";
  if (!decodeURIComponent(source).endsWith(`/${answer.recording}`)) return; // another one was brought meanwhile
  try {
    const brought = spSound.brought?.url === source ? spSound.brought.file : await (await fetch(source)).blob();
    const { task, title, label, score, fits, recording } = answer;
    const name = recording.split("/").pop(), facts = { title, label, score, fits, name };
    const bytes = await brought.arrayBuffer();
    await add({ id: `${recording}/${task}`, when: Date.now(), type: brought.type, bytes, ...facts });
  } catch {
    note.textContent = "The last recording could not be kept.";
  }
});

keep.checked = localStorage.getItem(WISH) !== "0";
keep.addEventListener("change", () => {
  localStorage.setItem(WISH, keep.checked ? "1" : "0");
  if (!keep.checked) clear();
});
part("clear").addEventListener("click", clear);
load().then((found) => ((entries = bounded(found)), show()), () => (note.textContent = CLOSED));
