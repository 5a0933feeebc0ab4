// The microphone of the Live tab: sends sound ten times a second, one message at a time, and what could
// not be sent yet goes with the next one. The server's reply says what it is doing.
const EVERY = 0.1; // s of sound in a message, at least
const KEEP = 5; // s of sound that wait for the server; of more, the oldest are let go
const PATIENCE = 10_000; // ms until a server counts as lost
const STATES = { off: "Not listening.", starting: "Starting…", listening: "Listening.", hearing: "Hearing speech." };
const LOST = "The server does not answer: start again when it does.";

const button = element.querySelector("#sp-listen");
const meter = element.querySelector(".sp-meter");
const state = element.querySelector("#sp-live-state");
const note = element.querySelector("#sp-live-note");
let running = null; // the stream, its context, and what waits to be sent
let sequence = 0;

function show(name, message = "") {
  state.dataset.state = name;
  if (state.textContent !== STATES[name]) state.textContent = STATES[name];
  if (note.textContent !== message) note.textContent = message;
  button.dataset.state = name === "off" ? "off" : "recording";
  const word = name === "off" ? "Start listening" : "Stop listening";
  if (button.lastElementChild.textContent !== word) button.lastElementChild.textContent = word;
  if (name === "off") level(null);
}

let peak = 0, metered = 0;
function level(value) {
  if (value !== null) {
    peak = Math.max(peak, value);
    if (performance.now() - metered < 100) return;
  }
  const decibels = value === null ? -60 : Math.max(-60, Math.min(0, Math.round(20 * Math.log10(peak + 1e-6))));
  meter.firstElementChild.style.width = `${((decibels + 60) / 60) * 100}%`;
  meter.setAttribute("aria-valuenow", decibels);
  meter.setAttribute("aria-valuetext", value === null ? "off" : `${decibels} decibels`);
  peak = 0;
  metered = performance.now();
}

// Frees the microphone; what was heard may still be on its way.
function silence(session) {
  spSound.release(session);
  clearInterval(session.timer);
}

function quit(message = "") {
  if (running) silence(running);
  running = null;
  show("off", message);
}

function encode(parts, total) {
  const samples = new DataView(new ArrayBuffer(2 * total));
  let at = 0;
  for (const part of parts) {
    for (const x of part) samples.setInt16(2 * at++, Math.max(-1, Math.min(1, x)) * 32767, true);
  }
  const bytes = new Uint8Array(samples.buffer);
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}

function send(session, kind) {
  const message = { kind, sequence: ++sequence };
  if (session.total) Object.assign(message, { rate: session.context.sampleRate, pcm: encode(session.parts, session.total) });
  session.parts = [];
  session.total = 0;
  session.waiting = true;
  session.sent = performance.now();
  trigger("submit", message);
}

function next(session) {
  if (session !== running || session.waiting) {
    if (session === running && performance.now() - session.sent > PATIENCE) quit(LOST);
    return;
  }
  if (session.stopping) {
    if (!session.stopped) send(session, "stop");
    session.stopped = true;
  } else if (session.total >= EVERY * session.context.sampleRate) send(session, "sound");
}

async function start() {
  const session = { parts: [], total: 0, waiting: false, stopping: false, stopped: false, sent: 0 };
  running = session;
  show("starting");
  try {
    const opened = await spSound.open((data, rate) => {
      if (session.stopping || running !== session) return;
      session.parts.push(data);
      session.total += data.length;
      while (session.total > KEEP * rate) session.total -= session.parts.shift().length;
      level(data.reduce((most, x) => Math.max(most, Math.abs(x)), 0));
      if (session.sent) next(session);
    });
    if (running !== session) return spSound.release(opened); // stopped meanwhile
    Object.assign(session, opened);
  } catch (error) {
    if (running === session) quit(spSound.sentence(error));
    return;
  }
  send(session, "start");
  // Whoever turns to another tab of the page is no longer listened to.
  session.timer = setInterval(() => (element.offsetParent ? next(session) : stop(session)), 250);
}

function stop(session) {
  if (!session.context || !session.sent) return quit(); // the browser was still asking
  session.stopping = true;
  session.stream.getTracks().forEach((track) => track.stop());
  level(null);
  next(session);
}

button.addEventListener("click", () => (running ? stop(running) : start()));

watch("reply", () => {
  const session = running, reply = props.reply;
  if (!session || reply?.sequence !== sequence) return;
  session.waiting = false;
  if (reply.state === "off") return quit(reply.message);
  if (!session.stopping) show(reply.state);
  next(session);
});
