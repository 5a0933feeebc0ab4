// The board of the Teach tab. Its cards are written anew with every answer, so listeners sit on the component, and what
// is going on (a recording, what waits to be sent) is kept here and put back into the cards after each answer.
const find = (name) => element.querySelector(`[data-part=${name}]`);
const card = (label) => [...element.querySelectorAll(".sp-label-card")].find((one) => one.dataset.label === label);
const cardOf = (target) => target.closest(".sp-label-card");
const PATIENCE = 120000; // ms until an answer that never came is given up
const LONGEST = 19.5; // s of one clip, under the server's limit
let taking = null, starting = false, waiting = [], sent = null, giveUp = 0, sequence = 0, chosen = "";

// Outside of the component, which writes its elements anew: a clip would fall silent with the next answer.
const player = document.getElementById("sp-teach-player") || document.body.appendChild(new Audio());
player.id = "sp-teach-player";

const unsaved = () => Number(element.querySelector(".sp-label-cards")?.dataset.unsaved || 0);
const atWork = () => Boolean(taking || sent || waiting.length);

// Tells what is going on where it is about: on a card, or under the tools where there is no such card.
function say(label, text, bad = true) {
  const line = card(label)?.querySelector(".sp-card-said") || element.querySelector("#sp-teach-status");
  const shown = document.createElement("p");
  shown.setAttribute("role", bad ? "alert" : "status");
  if (bad) shown.className = "sp-bad";
  shown.textContent = text;
  line.replaceChildren(shown);
}

// One action at a time: the next goes when the answer to the last is there.
function act(action) {
  waiting.push(action);
  send();
}
async function send() {
  if (sent || !waiting.length) return;
  sent = waiting.shift();
  clearTimeout(giveUp);
  const files = [];
  try {
    for (const file of sent.files || []) {
      if (sent.files.length > 1) say(sent.label, `Sending ${files.length + 1} of ${sent.files.length}…`, false);
      const { path, url } = await upload(file);
      files.push({ path, url, orig_name: file.name, meta: { _type: "gradio.FileData" } });
    }
  } catch {
    say(sent.label, "The file could not be sent: choose one of at most 200 MB, or try again.");
    sent = null;
    return send();
  }
  giveUp = setTimeout(answered, PATIENCE); // files may wait for a server that does not answer
  sent.sequence = ++sequence;
  props.value = { do: sent.do, label: sent.label || "", text: sent.text || "", clip: sent.clip || 0, files, sequence };
  trigger("input");
}
function answered() {
  clearTimeout(giveUp);
  const done = sent;
  sent = null;
  const field = element.querySelector("#sp-teach-name");
  if (done?.do === "add" && field && !element.querySelector(".sp-new-label .sp-bad") && typed === done.text) typed = "";
  if (done?.do === "rename" && held?.label === done.label) held.label = done.text.trim();
  for (const name of element.querySelectorAll(".sp-name")) {
    if (name !== document.activeElement || done?.do === "rename") name.value = cardOf(name).dataset.label;
  }
  if (done?.do === "ready" && !element.querySelector("#sp-teach-status .sp-bad")) document.querySelector("#sp-teach-run").click();
  if (done?.do === "add" && card(done.text.trim())) target = done.text.trim();
  show();
  if (done && props.reply === done.sequence) useFile();
  send();
}
// A file that the server made for this page is heard, or kept: what is in it counts as saved once it is all here.
async function useFile() {
  if (!props.file) return;
  const address = `${location.pathname.replace(/\/$/, "")}/gradio_api/file=${encodeURI(props.file)}`;
  if (props.use === "play") {
    player.src = address;
    player.play().catch(() => {});
  } else if (props.use === "save") {
    const link = document.createElement("a");
    link.download = props.file.split("/").at(-1);
    try {
      const found = await fetch(address);
      if (!found.ok) throw new Error(found.statusText);
      link.href = URL.createObjectURL(await found.blob());
    } catch {
      return say("", "The zip did not arrive, so nothing is saved yet: try again.");
    }
    link.click();
    act({ do: "kept" });
  }
}
// The last of an answer's properties (board.py), so that all others are here.
watch("reply", () => sent && props.reply >= sent.sequence && answered());
watch("cards", show);

// Recording, into a card by its button, or by the key R into the one that was touched last or has no clips yet

let target = "";
function aim() {
  const all = [...element.querySelectorAll(".sp-label-card")];
  return card(target) || all.find((one) => !one.querySelector(".sp-clips li")) || all[0];
}
for (const event of ["pointerdown", "focusin"]) {
  document.addEventListener(event, ({ target: on }) => {
    if (!element.contains(on)) return (held = null);
    if (event === "focusin") held = { id: on.id, label: cardOf(on)?.dataset.label, todo: on.dataset.do, clip: on.dataset.clip };
    if (cardOf(on)) (target = cardOf(on).dataset.label), show();
  });
}
element.addEventListener("sp-record", ({ detail }) => {
  if (detail === "stop") taking?.running.stop();
  else if (taking || aim()) record(taking?.label ?? aim().dataset.label);
});

// The cards are written anew with every answer: what had the focus has it again, and what was typed stays.
let held = null, typed = "";
function restore() {
  const field = element.querySelector("#sp-teach-name");
  if (field && field.value !== typed) field.value = typed;
  if (!held || document.activeElement !== document.body) return;
  const inCard = (selector) => card(held.label)?.querySelector(selector);
  const same = held.id ? element.querySelector(`#${held.id}`) : inCard(held.todo ? `[data-do=${held.todo}]` : ".sp-name");
  const clip = inCard(`[data-do=${held.todo}][data-clip="${held.clip}"]`);
  (clip || same || inCard(".sp-take") || field)?.focus({ preventScroll: true });
}

function show() {
  restore();
  for (const one of element.querySelectorAll(".sp-label-card")) {
    one.toggleAttribute("data-aim", one === aim());
    const state = taking?.label === one.dataset.label ? "recording" : "";
    if (one.dataset.state !== state) one.dataset.state = state;
    const word = one.querySelector(".sp-take span"), button = one.querySelector(".sp-take");
    word.textContent = state ? `Stop ${taking.seconds.toFixed(1)} s` : "Record";
    button.setAttribute("aria-label", state ? `Stop recording ${one.dataset.label}` : `Record ${one.dataset.label}`);
  }
}
async function record(label) {
  if (starting) return;
  const was = taking?.label;
  taking?.running.stop();
  if (was === label) return;
  starting = true;
  player.pause();
  say(label, "", false);
  const mine = { label, seconds: 0, running: null };
  try {
    mine.running = await spSound.record({
      silenceEnds: () => localStorage.getItem("sp-ends") === "1",
      onLevel: (level, seconds) => {
        mine.seconds = seconds;
        if (taking === mine) show();
        if (seconds > LONGEST) mine.running?.stop();
      },
    });
  } catch (error) {
    starting = false;
    return say(label, spSound.sentence(error));
  }
  starting = false;
  taking = mine;
  show();
  const file = await mine.running.done;
  if (taking === mine) taking = null;
  show();
  act({ do: "record", label: mine.label, files: [file] });
}

// What is asked before work is lost

function ask(question, yes, then) {
  const dialog = document.createElement("dialog");
  dialog.className = "sp-ask";
  dialog.setAttribute("aria-label", question);
  const text = document.createElement("p");
  text.textContent = question;
  const keep = document.createElement("button"), go = document.createElement("button");
  keep.textContent = "Keep everything";
  go.textContent = yes;
  keep.onclick = () => dialog.close();
  go.onclick = () => (dialog.close(), then());
  dialog.onclose = () => dialog.remove();
  dialog.append(text, keep, go);
  document.body.append(dialog);
  dialog.showModal();
}
const clips = (n) => `${n} recording${n === 1 ? "" : "s"}`, lost = () => `What you made here and have not saved (${clips(unsaved())}) will be gone.`;
addEventListener("beforeunload", (event) => {
  if (element.isConnected && (unsaved() || atWork())) event.preventDefault();
});

// What a person does

element.addEventListener("click", ({ target }) => {
  const button = target.closest("button[data-do]");
  if (!button || button.disabled) return;
  const label = cardOf(button)?.dataset.label || "", todo = button.dataset.do;
  if (todo === "record") return record(label);
  if (todo === "files") return (chosen = label), find("input").click();
  if (todo === "add") return add();
  if (todo === "remove") {
    const n = cardOf(button).querySelectorAll(".sp-clips li").length;
    const gone = () => act({ do: "remove", label });
    return n ? ask(`Remove the label “${label}” with its ${clips(n)}?`, "Remove", gone) : gone();
  }
  if (todo === "restart" || todo === "ready") {
    const go = () => act({ do: todo });
    const what = todo === "ready" ? "Open the ready-made lesson?" : "Start again?";
    return unsaved() ? ask(`${what} ${lost()}`, todo === "ready" ? "Open it" : "Start again", go) : go();
  }
  act({ do: todo, label, clip: Number(button.dataset.clip || 0) });
});
const add = () => act({ do: "add", text: element.querySelector("#sp-teach-name").value });
element.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.isComposing) return;
  if (event.target.id === "sp-teach-name") event.preventDefault(), add();
  else if (event.target.matches(".sp-name")) event.preventDefault(), event.target.blur();
});
element.addEventListener("input", ({ target }) => target.id === "sp-teach-name" && (typed = target.value));
element.addEventListener("change", ({ target }) => {
  if (target.matches(".sp-name")) {
    const label = cardOf(target).dataset.label;
    if (target.value.trim() !== label) act({ do: "rename", label, text: target.value });
  }
  if (target.type !== "file" || !target.files.length) return;
  if (target === find("input")) act({ do: "files", label: chosen, files: [...target.files] });
  else if (target.webkitdirectory) folder(target);
  else act({ do: "files", files: [...target.files] });
  target.value = "";
});
function folder(input) {
  const files = spLabelled(input);
  files.length ? act({ do: "files", files }) : say("", "The folder holds no recordings: choose one with a folder for each label.");
}

// Files that are let go on a card are its recordings; anywhere else page.js hands them to the input above.

element.addEventListener("dragover", (event) => {
  for (const one of element.querySelectorAll(".sp-drop")) one.classList.remove("sp-drop");
  cardOf(event.target)?.classList.add("sp-drop");
});
element.addEventListener("dragleave", ({ target }) => cardOf(target)?.classList.remove("sp-drop"));
element.addEventListener("drop", (event) => {
  const on = cardOf(event.target), files = [...(event.dataTransfer?.files || [])];
  on?.classList.remove("sp-drop");
  if (!on || !files.length) return;
  event.preventDefault();
  event.stopPropagation();
  act({ do: "files", label: on.dataset.label, files });
});
show();
