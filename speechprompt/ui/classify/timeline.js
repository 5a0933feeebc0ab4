// The timeline: reading units, zoom, merged repeats, a cursor that follows the player, units played alone.
// Listeners sit on the document, because the answer's HTML is replaced with every answer.
(() => {
  const FRAME = 0.02; // seconds
  const WIDEST = 60000; // pixels; browsers draw no wider tracks well
  const WIDEST_FRAME = 80; // pixels; more shows nothing new
  const SHORT = 0.1; // seconds; a unit that lasts less is played three times
  const GAP = 0.12; // seconds between the times

  const cells = (ribbon) => Array.from(ribbon.children);
  // An attribute, which a new answer sets back with the ribbon; the state of a checkbox would outlive it.
  const isMerged = (card) => card.querySelector(".sp-merge").getAttribute("aria-pressed") === "true";
  const timelineOf = (element) => element.closest(".sp-timeline");
  const say = (card, text, colour) => {
    const readout = card.querySelector(".sp-readout");
    if (readout.textContent === text) return;
    const swatch = document.createElement("i");
    swatch.style.background = colour;
    readout.replaceChildren(...(colour ? [swatch] : []), text);
  };

  // Reading

  function show(cell) {
    const ribbon = cell.parentElement;
    ribbon.querySelector("[aria-selected]")?.removeAttribute("aria-selected");
    cell.setAttribute("aria-selected", "true");
    ribbon.setAttribute("aria-activedescendant", cell.id);
    say(timelineOf(ribbon), cell.getAttribute("aria-label"), cell.style.background);
  }

  function count(card) {
    const box = card.querySelector(".sp-scroll"), n = card.querySelector(".sp-ribbon").childElementCount;
    const noun = isMerged(card) ? "unit" : "frame";
    const share = Math.round((100 * box.clientWidth) / card.querySelector(".sp-track").offsetWidth);
    const part = share < 100 ? `, ${share} % in view` : "";
    card.querySelector(".sp-count").textContent = `${n} ${noun}${n === 1 ? "" : "s"}${part}`;
  }

  // Zoom: the second in the middle of what is seen stays where it is.

  function zoom(card, how) {
    const box = card.querySelector(".sp-scroll"), track = card.querySelector(".sp-track");
    const now = track.offsetWidth;
    const { start, length } = card.querySelector(".sp-ribbon").lastElementChild.dataset;
    const widest = Math.max(box.clientWidth, Math.min(WIDEST, WIDEST_FRAME * (Number(start) + Number(length))));
    const wanted = { in: now * 2, out: now / 2, all: 0 }[how];
    const middle = (box.scrollLeft + box.clientWidth / 2) / now;
    track.style.minWidth = "0"; // zoomed out, all of a long recording is seen at once
    track.style.width = `${Math.min(Math.max(wanted, box.clientWidth), widest)}px`;
    box.scrollLeft = middle * track.offsetWidth - box.clientWidth / 2;
    count(card);
  }

  // Repeats: a run becomes one cell for each of its frames, and back.

  function merge(card) {
    const ribbon = card.querySelector(".sp-ribbon"), merged = !isMerged(card);
    card.querySelector(".sp-merge").setAttribute("aria-pressed", merged);
    ribbon.removeAttribute("aria-activedescendant");
    if (merged) {
      ribbon.replaceChildren(...ribbon.runs);
    } else {
      ribbon.runs = cells(ribbon);
      const frames = [];
      for (const run of ribbon.runs) {
        const { unit, start, length } = run.dataset;
        const left = parseFloat(run.style.left), width = parseFloat(run.style.width) / length;
        for (let i = 0; i < Number(length); i++) {
          const frame = run.cloneNode(true), at = Number(start) + i;
          frame.removeAttribute("aria-selected");
          frame.id = `sp-frame-${at}`;
          frame.dataset.start = at;
          frame.dataset.length = 1;
          frame.style.left = `${left + i * width}%`;
          frame.style.width = `${width}%`;
          const when = card.dataset.player ? ` · ${(at * FRAME).toFixed(2)} s` : "";
          frame.setAttribute("aria-label", `unit ${unit} · frame ${at + 1}${when}`);
          frames.push(frame);
        }
      }
      ribbon.replaceChildren(...frames);
    }
    count(card);
  }

  // The player of the recording: an <audio> in the shadow of its waveform, or one that stands for itself.

  function media(card) {
    const player = document.getElementById(card.dataset.player);
    const all = player ? [player, ...player.querySelectorAll("*")] : [];
    const found = all.map((e) => e.shadowRoot?.querySelector("audio") || (e.matches("audio") ? e : null));
    return found.find((audio) => audio?.currentSrc || audio?.src);
  }

  function place(card, seconds) {
    const cursor = card.querySelector(".sp-cursor");
    cursor.hidden = seconds === null;
    if (seconds === null) return;
    const share = Math.min(1, seconds / Number(card.dataset.seconds));
    cursor.style.left = `${100 * share}%`;
    const box = card.querySelector(".sp-scroll");
    const x = share * card.querySelector(".sp-track").offsetWidth;
    if (x < box.scrollLeft || x > box.scrollLeft + box.clientWidth) box.scrollLeft = x - box.clientWidth / 8;
  }

  const followed = new WeakSet();
  function follow(audio) {
    followed.add(audio);
    const card = () => Array.from(document.querySelectorAll(".sp-timeline[data-player]")).find((c) => media(c) === audio);
    const move = () => {
      const own = card();
      // The player seeks to its start while it loads: that is nobody's wish to see where it is.
      const loading = audio.paused && audio.currentTime === 0 && own?.querySelector(".sp-cursor").hidden;
      if (own && !loading) place(own, audio.currentTime);
      if (own && !audio.paused) requestAnimationFrame(move);
    };
    for (const event of ["play", "seeking"]) audio.addEventListener(event, move);
    audio.addEventListener("play", hush);
  }
  setInterval(() => {
    for (const card of document.querySelectorAll(".sp-timeline[data-player]")) {
      const audio = media(card);
      if (audio && !followed.has(audio)) follow(audio);
    }
  }, 300);

  // One unit alone, from the recording in the player

  let context, playing = [], running = 0;
  const decoded = { source: "", buffer: null };

  function hush() {
    running++;
    for (const source of playing.splice(0)) source.stop();
  }

  async function recording(card) {
    const audio = media(card);
    if (!audio) throw new Error("The recording is no longer in the player.");
    const source = audio.currentSrc || audio.src;
    if (decoded.source !== source) {
      const bytes = await (await fetch(source)).arrayBuffer();
      decoded.buffer = await context.decodeAudioData(bytes);
      decoded.source = source;
    }
    if (Math.abs(decoded.buffer.duration - Number(card.dataset.seconds)) > 0.15) {
      throw new Error("The player holds another recording now.");
    }
    return decoded.buffer;
  }

  async function play(cell) {
    const card = timelineOf(cell);
    if (!card.dataset.player) return;
    hush();
    media(card)?.pause();
    const own = running;
    context ||= new AudioContext(); // made by a click or key, as browsers want it
    context.resume();
    try {
      const buffer = await recording(card);
      if (own !== running) return;
      const start = cell.dataset.start * FRAME, length = cell.dataset.length * FRAME;
      const times = length < SHORT ? 3 : 1, first = context.currentTime + 0.02;
      for (let i = 0; i < times; i++) {
        const source = new AudioBufferSourceNode(context, { buffer });
        source.connect(context.destination);
        source.start(first + i * (length + GAP), start, length);
        playing.push(source);
      }
      const often = times > 1 ? " · played 3 times, as it is short" : " · played";
      say(card, cell.getAttribute("aria-label") + often, cell.style.background);
      const move = () => {
        const passed = context.currentTime - first;
        const over = own !== running || !cell.isConnected || passed > times * (length + GAP);
        cell.toggleAttribute("data-playing", !over);
        if (own === running) place(card, over ? null : start + Math.min(Math.max(0, passed % (length + GAP)), length));
        if (!over) requestAnimationFrame(move);
      };
      move();
    } catch (error) {
      const known = error.message.startsWith("The ");
      const sentence = known ? error.message : "This browser cannot play parts of the recording.";
      say(card, sentence);
      card.querySelector(".sp-count").textContent = sentence; // the readout is not read out
    }
  }

  // Events

  for (const type of ["pointerover", "pointerdown"]) {
    document.addEventListener(type, (event) => {
      const cell = event.target.closest?.(".sp-ribbon > i");
      if (cell) show(cell);
    });
  }

  document.addEventListener("click", (event) => {
    const cell = event.target.closest?.(".sp-ribbon > i");
    if (cell) play(cell);
    const button = event.target.closest?.(".sp-tools [data-zoom]");
    if (button) zoom(timelineOf(button), button.dataset.zoom);
    if (event.target.matches?.(".sp-merge")) merge(timelineOf(event.target));
  });

  document.addEventListener("focusin", (event) => {
    if (!event.target.matches?.(".sp-ribbon")) return;
    const ribbon = event.target;
    const first = ribbon.querySelector("[aria-selected]") || ribbon.firstElementChild;
    if (first) show(first);
  });

  document.addEventListener("keydown", (event) => {
    if (!event.target.matches?.(".sp-ribbon") || event.ctrlKey || event.metaKey || event.altKey) return;
    const all = cells(event.target);
    const at = all.findIndex((cell) => cell.hasAttribute("aria-selected"));
    const how = { "+": "in", "=": "in", "-": "out", 0: "all" }[event.key];
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
    const plays = event.key === "Enter" || event.key === " ";
    if (!all.length || !(how || to !== undefined || plays)) return;
    event.preventDefault();
    if (how) return zoom(timelineOf(event.target), how);
    if (plays) return at >= 0 && play(all[at]);
    const cell = all[Math.min(Math.max(to, 0), all.length - 1)];
    show(cell);
    cell.scrollIntoView({ block: "nearest", inline: "nearest" });
  });
})();
