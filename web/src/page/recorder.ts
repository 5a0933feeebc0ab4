/** A recorder of one line: record, hear, choose or drop a file. It yields a waveform at 16 kHz. */
import { Complaint } from "../complaint";
import { decode, toWaveform } from "../sound/decode";
import { MAX_SECONDS, RATE } from "../sound/limits";
import { find } from "./html";
import { type Microphone, joined, listen } from "./microphone";

const EARLY = "The recording ended early, as this tab was put to sleep or the microphone went: what was recorded is kept.";

export class Recorder {
  waveform?: Float32Array;
  private running?: Microphone;
  private starting = false; // the browser asks whether it may, which takes as long as a person takes
  private parts: Float32Array[] = [];
  private levels: number[] = [];
  private playing?: AudioBufferSourceNode;

  /** got: a recording of a person; complain: a sentence, or "" where there is nothing to complain about. */
  constructor(
    private readonly element: HTMLElement,
    private readonly got: (waveform: Float32Array) => void,
    private readonly complain: (sentence: string) => void,
    private readonly most = MAX_SECONDS,
  ) {
    element.classList.add("sp-recorder");
    element.innerHTML = `
      <button type="button" class="sp-record" data-part="record"><i aria-hidden="true"></i><span data-part="word">Record</span></button>
      <div class="sp-strip" role="group" aria-label="Recording">
        <button type="button" data-part="play" aria-label="Play" disabled>▶</button>
        <canvas data-part="wave" role="img" aria-label="Waveform"></canvas>
        <span class="sp-time" data-part="time"></span>
        <button type="button" data-part="upload">Upload</button>
      </div>
      <input type="file" data-part="input" accept="audio/*,.flac,.ogg,.opus,.m4a" aria-label="Choose a recording" tabindex="-1">`;
    this.part("record").onclick = () => void (this.running ? this.stop() : this.start());
    this.part("play").onclick = () => this.play();
    const input = find<HTMLInputElement>("[data-part=input]", element);
    this.part("upload").onclick = () => input.click();
    input.onchange = () => {
      if (input.files?.[0]) void this.take(input.files[0]);
      input.value = "";
    };
    element.ondragover = (event) => event.preventDefault();
    element.ondrop = (event) => {
      event.preventDefault();
      if (event.dataTransfer?.files[0]) void this.take(event.dataTransfer.files[0]);
    };
    new ResizeObserver(() => this.draw()).observe(element);
  }

  private part(name: string): HTMLButtonElement {
    return find(`[data-part=${name}]`, this.element);
  }

  /** Show a recording without asking about it. */
  show(waveform?: Float32Array): void {
    this.waveform = waveform;
    this.sync();
  }

  async take(file: Blob): Promise<void> {
    await this.trying(async () => this.settle(await decode(await file.arrayBuffer(), this.most)));
  }

  private async start(): Promise<void> {
    if (this.starting) return;
    this.starting = true;
    this.playing?.stop();
    notice("");
    await this.trying(async () => {
      [this.parts, this.levels] = [[], []];
      let n = 0;
      this.running = await listen(
        (samples) => {
          this.parts.push(samples);
          this.levels.push(Math.max(...samples.map(Math.abs)));
          n += samples.length;
          if (this.running && n >= this.most * this.running.rate) this.stop();
          else this.sync();
        },
        () => this.stop(EARLY),
      );
    });
    this.starting = false;
    this.sync();
  }

  private stop(note = ""): void {
    const { running } = this;
    if (!running) return;
    running.stop();
    this.running = undefined;
    notice(note); // beside the answer, which takes the place of a complaint
    void this.trying(async () => {
      const samples = joined(this.parts);
      this.settle(toWaveform([samples.subarray(0, Math.floor(this.most * running.rate))], running.rate, this.most));
    });
    this.sync();
  }

  private settle(waveform: Float32Array): void {
    this.show(waveform);
    this.got(waveform);
  }

  private async trying(work: () => Promise<void>): Promise<void> {
    this.complain("");
    try {
      await work();
    } catch (error) {
      if (!(error instanceof Complaint)) throw error;
      this.complain(error.message);
    }
  }

  /** Play the recording that is shown, or another one; what plays already stops. */
  play(waveform = this.waveform): void {
    if (this.playing) return this.playing.stop();
    if (!waveform || this.running) return;
    const context = new AudioContext();
    const source = new AudioBufferSourceNode(context, { buffer: toBuffer(waveform) });
    source.connect(context.destination);
    source.onended = () => {
      this.playing = undefined;
      void context.close();
      this.sync();
    };
    source.start();
    this.playing = source;
    this.sync();
  }

  private sync(): void {
    const { waveform, running, playing } = this;
    this.element.dataset.state = running ? "recording" : waveform ? "ready" : "empty";
    this.part("word").textContent = running ? "Stop" : waveform ? "Record again" : "Record";
    const play = this.part("play");
    play.disabled = !waveform || Boolean(running);
    play.textContent = playing ? "❚❚" : "▶";
    play.setAttribute("aria-label", playing ? "Stop playing" : "Play");
    const seconds = running ? this.parts.reduce((sum, part) => sum + part.length, 0) / running.rate : (waveform?.length ?? 0) / RATE;
    this.part("time").textContent = seconds ? `${seconds.toFixed(1)} s` : "";
    this.draw();
  }

  private draw(): void {
    const canvas = find<HTMLCanvasElement>("canvas", this.element);
    const [width, height, ratio] = [canvas.clientWidth, canvas.clientHeight, devicePixelRatio || 1];
    const pen = canvas.getContext("2d");
    if (!width || !pen) return;
    [canvas.width, canvas.height] = [width * ratio, height * ratio];
    pen.scale(ratio, ratio);
    const columns = Math.floor(width / 5);
    const heights = this.running ? Array.from({ length: columns }, (_, i) => this.levels[this.levels.length - columns + i] ?? 0) : peaks(this.waveform, columns);
    pen.fillStyle = getComputedStyle(this.element).getPropertyValue(this.running ? "--sp-record" : "--sp-wave");
    heights.forEach((level, i) => {
      const tall = Math.max(2, Math.min(1, level) * (height - 4));
      pen.fillRect(i * 5 + 1, (height - tall) / 2, 3, tall);
    });
  }
}

function notice(text: string): void {
  find("#sp-notice").textContent = text;
}

/** The loudest of each part, as a share of the loudest of all. */
export function peaks(waveform: Float32Array | undefined, columns: number): number[] {
  const found = new Array<number>(columns).fill(0);
  waveform?.forEach((sample, i) => {
    const at = Math.floor((i * columns) / waveform.length);
    found[at] = Math.max(found[at], Math.abs(sample));
  });
  const most = Math.max(1e-9, ...found);
  return found.map((level) => level / most);
}

function toBuffer(waveform: Float32Array): AudioBuffer {
  const buffer = new AudioBuffer({ length: waveform.length, sampleRate: RATE });
  buffer.copyToChannel(new Float32Array(waveform), 0);
  return buffer;
}
