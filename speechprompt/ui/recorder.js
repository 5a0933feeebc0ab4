// A recorder of one line: record, hear, trim, choose a file. Its value is a file on the server, or null. What a
// person brought triggers "input"; what the page put there (an example) does not.
const find = (name) => element.querySelector(`[data-part=${name}]`);
const record = find("record"), word = find("word"), play = find("play"), trim = find("trim"), clear = find("clear");
const note = find("note"), time = find("time"), canvas = find("wave"), audio = find("audio"), input = find("input");
const ends = find("ends");
let brought = null, turn = 0; // what the visitor brought, until an example is chosen; counts what was asked for
let running = null, starting = false, sound = null, selected = null, shownUrl = "", levels = [];

const here = () => props.value && typeof props.value === "object" && props.value.url;
function say(text) {
  if (note.textContent !== text) note.textContent = text;
}

// The picture: while recording the levels so far, then the waveform with the part that is selected.

function draw() {
  const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  if (!width) return;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const pen = canvas.getContext("2d"), style = getComputedStyle(element);
  pen.scale(ratio, ratio);
  const columns = Math.floor(width / 5);
  let bars;
  if (running) bars = Array.from({ length: columns }, (_, i) => Math.min(1, 6 * (levels[levels.length - columns + i] || 0)));
  else if (sound) bars = spSound.peaks(sound.samples, columns);
  else bars = new Float32Array(columns);
  const share = !running && audio.duration ? audio.currentTime / audio.duration : 0;
  bars.forEach((bar, i) => {
    const at = i / columns, tall = Math.max(2, bar * (height - 4));
    const inside = !selected || (at >= selected[0] && at <= selected[1]);
    const colour = running ? "--sp-record" : at < share || (selected && inside) ? "--sp-accent" : "--sp-wave";
    pen.fillStyle = style.getPropertyValue(colour);
    pen.globalAlpha = inside ? 1 : 0.35;
    pen.beginPath();
    pen.roundRect(i * 5 + 1, (height - tall) / 2, 3, tall, 1.5);
    pen.fill();
  });
}

function sync() {
  const has = Boolean(here());
  element.dataset.state = running ? "recording" : has ? "ready" : "empty";
  word.textContent = running ? "Stop" : has ? "Record again" : "Record";
  play.disabled = clear.disabled = !has || Boolean(running);
  trim.disabled = !selected || !sound;
  play.setAttribute("aria-label", audio.paused ? "Play" : "Pause");
  play.textContent = audio.paused ? "▶" : "❚❚";
  if (!running) time.textContent = sound ? `${(sound.samples.length / sound.rate).toFixed(1)} s` : "";
  draw();
}

// Shows whatever file the value names; a kind that the browser cannot play is still answered.
async function show() {
  const url = here() || "";
  if (url === shownUrl) return sync();
  shownUrl = url;
  sound = selected = null;
  if (url) say(""); // what went wrong before is over
  if (url) audio.src = url;
  else audio.removeAttribute("src");
  sync();
  if (!url) return;
  try {
    const decoded = await spSound.decode(url);
    if (shownUrl === url) sound = decoded;
  } catch {
    if (shownUrl === url) time.textContent = props.value.orig_name || "";
  }
  if (shownUrl === url) sync();
}

async function bring(file) {
  say("");
  const mine = ++turn;
  brought = props.value;
  try {
    const sent = await upload(file);
    if (turn !== mine) return; // something else was asked for meanwhile
    spSound.brought = { url: new URL(sent.url, location.href).href, file }; // who needs it again need not fetch it
    props.value = { path: sent.path, url: sent.url, orig_name: file.name, meta: { _type: "gradio.FileData" } };
    brought = props.value;
  } catch (error) {
    return say("The file could not be sent: choose one of at most 200 MB, or try again.");
  }
  show();
  trigger("input");
}

// Recording

async function begin() {
  if (running || starting) return;
  starting = true;
  say("");
  audio.pause();
  levels = [];
  try {
    running = await spSound.record({
      silenceEnds: () => ends.checked,
      onLevel: (level, seconds) => {
        levels.push(level);
        time.textContent = `${seconds.toFixed(1)} s`;
        if (levels.length % 6 === 0) draw();
      },
    });
  } catch (error) {
    starting = false;
    say(spSound.sentence(error));
    return sync();
  }
  starting = false;
  sync();
  const file = await running.done;
  running = null;
  sync();
  bring(file);
}
record.addEventListener("click", () => (running ? running.stop() : begin()));
element.addEventListener("sp-record", ({ detail }) => {
  if (detail === "stop") running?.stop();
  else running ? running.stop() : begin();
});

// Files: chosen here, or dropped or pasted anywhere on the page

find("upload").addEventListener("click", () => input.click());
input.addEventListener("change", () => {
  if (input.files[0]) bring(input.files[0]);
  input.value = "";
});
element.addEventListener("sp-file", ({ detail }) => bring(detail));
clear.addEventListener("click", () => {
  audio.pause();
  turn++;
  brought = props.value = null;
  say("");
  show();
  trigger("input");
});

// Playing, and the part that is left by "Trim"

play.addEventListener("click", () => (audio.paused ? audio.play().catch(() => say("This browser cannot play the file.")) : audio.pause()));
const follow = () => {
  draw();
  if (!audio.paused) requestAnimationFrame(follow);
};
for (const event of ["play", "pause", "ended"]) audio.addEventListener(event, () => (sync(), follow()));
audio.addEventListener("seeking", draw);
let plays = false; // an example that was clicked is heard as soon as it is here
element.addEventListener("sp-play", () => {
  plays = true;
  turn++;
  brought = null;
  say("");
  if (here()) audio.currentTime = 0;
});
audio.addEventListener("canplay", () => plays && ((plays = false), audio.play().catch(() => {})));

let from = null;
const at = (event) => {
  const box = canvas.getBoundingClientRect();
  return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
};
canvas.addEventListener("pointerdown", (event) => {
  if (!sound || running) return;
  from = at(event);
  canvas.setPointerCapture(event.pointerId);
});
canvas.addEventListener("pointermove", (event) => {
  if (from === null) return;
  const to = at(event);
  selected = Math.abs(to - from) * sound.samples.length > 0.1 * sound.rate ? [Math.min(from, to), Math.max(from, to)] : null;
  sync();
});
canvas.addEventListener("pointerup", (event) => {
  if (from !== null && !selected && audio.duration) audio.currentTime = at(event) * audio.duration;
  from = null;
  sync();
});
trim.addEventListener("click", () => {
  const [first, end] = selected.map((share) => Math.round(share * sound.samples.length));
  bring(spSound.wav([sound.samples.subarray(first, end)], sound.rate, "trimmed.wav"));
});

// Whether a second of silence ends a recording is remembered in this browser.
ends.checked = localStorage.getItem("sp-ends") === "1";
ends.addEventListener("change", () => localStorage.setItem("sp-ends", ends.checked ? "1" : "0"));

watch("value", () => {
  // What the server put here for a question of before (the other tab's recording) takes nothing from the visitor.
  if (brought && here() !== brought.url) props.value = brought;
  show();
});
new ResizeObserver(draw).observe(canvas);
new MutationObserver(draw).observe(document.body, { attributeFilter: ["class"] });
show();
