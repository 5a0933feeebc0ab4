/** Live: each stretch of sound is answered as soon as it is over. */
import { download } from "../download";
import { readTensors } from "../prompts/safetensors";
import { RATE } from "../sound/limits";
import { Segmenter, type Stretch } from "../sound/segmenter";
import { SpeechDetector, type Weights } from "../sound/speechDetector";
import { StreamResampler } from "../sound/stream";
import { VoiceDetector } from "../sound/voiceActivity";
import { shownLabel } from "./answer";
import { alert, escape, find, labelTag, options, percent } from "./html";
import { type Microphone, listen } from "./microphone";
import { type State, sentenceOf } from "./state";

const SHOWN = 50;

export class Live {
  private running?: Microphone;
  private weights?: Weights;
  private segmenter?: Segmenter;
  private task = "";
  private resampler?: StreamResampler;

  constructor(private readonly element: HTMLElement, private readonly state: State) {
    element.innerHTML = `
      <div class="sp-bar"><div class="sp-recorder"><button type="button" class="sp-record"><i aria-hidden="true"></i><span>Start listening</span></button>
        <p class="sp-hint" role="status"></p></div>
        <div class="sp-select"><label for="sp-live-task">Task of Live</label><select id="sp-live-task">${options([...state.prompts.values()])}</select>
        <p class="sp-hint">Speak with pauses between words: each is answered when it is over, in this browser.</p></div></div>
      <div class="sp-complaint"></div>
      <section class="sp-card"><h2 class="sp-eyebrow">Answers, the last first</h2><p class="sp-hint" data-part="none">None yet: press Start listening and say a word that the task knows.</p><ol class="sp-words-said" aria-live="polite"></ol></section>`;
    find<HTMLSelectElement>("select", element).value = state.prompts.has("keyword_spotting") ? "keyword_spotting" : [...state.prompts.keys()][0];
    find("select", element).onchange = () => this.choose();
    find("button", element).onclick = () => void (this.running ? this.stop() : this.start());
  }

  refresh(task: string): void {
    const select = find<HTMLSelectElement>("select", this.element);
    select.innerHTML = options([...this.state.prompts.values()]);
    select.value = task;
    this.choose();
  }

  private get anySound(): boolean {
    return this.state.prompts.get(this.task)?.expects === "any sound";
  }

  /** Another task from here on: what was said before is answered by the one before. */
  private choose(): void {
    const before = this.anySound;
    const stretches = this.segmenter?.speaking ? this.segmenter.finish() : [];
    this.take(stretches);
    this.task = find<HTMLSelectElement>("select", this.element).value;
    if (this.segmenter && this.anySound !== before) this.segmenter.detect(this.detector());
  }

  /** By speech alone, so that neither music nor rain is answered, or by any sound where the task is about such. */
  private detector(): VoiceDetector {
    return this.anySound || !this.weights ? new VoiceDetector() : new SpeechDetector(this.weights);
  }

  private async start(): Promise<void> {
    const complaint = find(".sp-complaint", this.element);
    complaint.innerHTML = "";
    this.resampler = undefined;
    this.task = find<HTMLSelectElement>("select", this.element).value;
    try {
      this.weights ??= readTensors(await download("live/model.safetensors.gz"), "The speech detector");
      const segmenter = (this.segmenter = new Segmenter(this.detector()));
      const heard = (samples: Float32Array) => {
        if (!this.running) return;
        this.resampler ??= new StreamResampler(this.running.rate);
        this.take(segmenter.feed(this.resampler.feed(samples)));
        this.say(segmenter.speaking ? "Somebody speaks." : "Listening.");
      };
      this.running = await listen(heard, () => {
        this.stop();
        complaint.innerHTML = alert("Listening ended, as this tab was put to sleep or the microphone went: start it again.", "Stopped");
      });
    } catch (error) {
      complaint.innerHTML = alert(sentenceOf(error), "Not listening");
    }
    this.sync();
  }

  private stop(): void {
    this.running?.stop();
    this.running = undefined;
    if (this.segmenter && this.resampler) this.take(this.segmenter.feed(this.resampler.finish()));
    this.take(this.segmenter?.finish() ?? []);
    this.segmenter = undefined;
    this.say("");
    this.sync();
  }

  private take(stretches: Stretch[]): void {
    for (const stretch of stretches) void this.answer(stretch, this.task);
  }

  private async answer({ start, sound }: Stretch, task: string): Promise<void> {
    try {
      const { answers } = await this.state.client.ask("classify", [sound, [task]]);
      const silence = this.state.prompts.get(task)?.form.silence_label;
      if (silence && answers[0].label === silence) return; // nobody spoke
      this.add(
        `<li data-fits="${answers[0].fits}" title="${escape(answers[0].reason)}">${labelTag("b", shownLabel(answers[0]) || "nothing")} <data>${percent(answers[0].score)}</data>
        <span>${answers[0].fits === "yes" ? "" : escape(answers[0].reason)}</span><time>${(start / RATE).toFixed(1)} s</time></li>`,
      );
    } catch (error) {
      this.add(`<li data-fits="no"><span>${escape(sentenceOf(error))}</span></li>`);
    }
  }

  private add(item: string): void {
    find("[data-part=none]", this.element).hidden = true;
    const list = find("ol", this.element);
    list.insertAdjacentHTML("afterbegin", item);
    while (list.children.length > SHOWN) list.lastElementChild?.remove();
  }

  private say(text: string): void {
    const status = find("[role=status]", this.element);
    if (status.textContent !== text) status.textContent = text;
  }

  private sync(): void {
    find(".sp-recorder", this.element).dataset.state = this.running ? "recording" : "empty";
    find(".sp-record span", this.element).textContent = this.running ? "Stop listening" : "Start listening";
  }
}
