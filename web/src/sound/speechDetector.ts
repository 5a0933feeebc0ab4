/** When somebody speaks: Silero's model, frame by frame, as audio/speech_detector.py runs it. */
import type { Stored } from "../prompts/safetensors";
import { RATE } from "./limits";
import { type Change, VoiceDetector } from "./voiceActivity";

const FRAME = 512; // samples of a frame
const CONTEXT = 64; // of the stream before it
const WIDTH = 128;
const BINS = 129;
const FFT = 256;
const STRIDE = 128;
const OPEN = 0.5;
const HOLD = 0.35;
const SHORTEST = 3;
const CONVOLUTIONS = [[128, BINS, 1], [64, 128, 2], [64, 64, 2], [128, 64, 1]] as const; // out, in, stride

export type Weights = Map<string, Stored>;

function dot(a: Float32Array, at: number, b: Float32Array, from: number, n: number): number {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += a[at + i] * b[from + i];
  return sum;
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

/** The network over one stream: what it remembers of the past is its LSTM's state. */
export class SpeechModel {
  private readonly w: (name: string) => Float32Array;
  private hidden = new Float32Array(WIDTH);
  private cell = new Float32Array(WIDTH);

  constructor(weights: Weights) {
    this.w = (name) => {
      const found = weights.get(name);
      if (!found) throw new Error(`the speech detector lacks ${name}`);
      return found.data;
    };
  }

  /** float32 [64 + 512], the 64 from before -> the probability of speech. */
  probability(samples: Float32Array): number {
    let x = this.spectrum(samples);
    let n = x.length / BINS;
    CONVOLUTIONS.forEach(([rows, columns, stride], i) => {
      x = convolved(x, n, this.w(`conv${i + 1}.weight`), this.w(`conv${i + 1}.bias`), rows, columns, stride);
      n = x.length / rows;
    });
    this.remember(x);
    let sum = this.w("final_conv.bias")[0];
    const last = this.w("final_conv.weight");
    for (let i = 0; i < WIDTH; i++) sum += Math.max(0, this.hidden[i]) * last[i];
    return sigmoid(sum);
  }

  /** Magnitudes [frames][bins]. */
  private spectrum(samples: Float32Array): Float32Array {
    const padded = new Float32Array(samples.length + CONTEXT);
    padded.set(samples);
    for (let i = 0; i < CONTEXT; i++) padded[samples.length + i] = samples[samples.length - 2 - i];
    const basis = this.w("stft_conv.weight");
    const n = (padded.length - FFT) / STRIDE + 1;
    const found = new Float32Array(n * BINS);
    for (let t = 0; t < n; t++)
      for (let bin = 0; bin < BINS; bin++)
        found[t * BINS + bin] = Math.hypot(dot(basis, bin * FFT, padded, t * STRIDE, FFT), dot(basis, (bin + BINS) * FFT, padded, t * STRIDE, FFT));
    return found;
  }

  private remember(x: Float32Array): void {
    const [ofInput, ofState] = [this.w("lstm_cell.weight_ih"), this.w("lstm_cell.weight_hh")];
    const biases = [this.w("lstm_cell.bias_ih"), this.w("lstm_cell.bias_hh")];
    const gate = (row: number) => dot(ofInput, row * WIDTH, x, 0, WIDTH) + dot(ofState, row * WIDTH, this.hidden, 0, WIDTH) + biases[0][row] + biases[1][row];
    const hidden = new Float32Array(WIDTH);
    for (let i = 0; i < WIDTH; i++) {
      const [into, forget, made, out] = [0, 1, 2, 3].map((which) => gate(which * WIDTH + i));
      this.cell[i] = sigmoid(forget) * this.cell[i] + sigmoid(into) * Math.tanh(made);
      hidden[i] = sigmoid(out) * Math.tanh(this.cell[i]);
    }
    this.hidden = hidden;
  }
}

/** [n][columns] -> [n / stride][rows], by 3 taps around each, none below 0. weight: [rows][columns][3]. */
function convolved(x: Float32Array, n: number, weight: Float32Array, bias: Float32Array, rows: number, columns: number, stride: number): Float32Array {
  const wide = Math.floor((n - 1) / stride) + 1;
  const found = new Float32Array(wide * rows);
  for (let t = 0; t < wide; t++)
    for (let row = 0; row < rows; row++) {
      let sum = bias[row];
      for (let tap = 0; tap < 3; tap++) {
        const at = t * stride + tap - 1;
        if (at < 0 || at >= n) continue;
        for (let i = 0; i < columns; i++) sum += weight[(row * columns + i) * 3 + tap] * x[at * columns + i];
      }
      found[t * rows + row] = Math.max(0, sum);
    }
  return found;
}

/** As VoiceDetector, by the probability of speech in place of levels; frames of 32 ms. */
export class SpeechDetector extends VoiceDetector {
  override readonly hop = FRAME;
  override readonly window = FRAME;
  override readonly before = CONTEXT;
  protected override readonly openFrames = 1;
  protected override readonly openOf = 1;
  protected override readonly settleFrames = 0;
  protected override readonly hangoverFrames = 6;
  protected override readonly longestFrames = Math.floor((8 * RATE) / FRAME);
  private readonly model: SpeechModel;

  constructor(weights: Weights) {
    super();
    this.model = new SpeechModel(weights);
  }

  override get voiced(): boolean {
    return this.sounded >= SHORTEST;
  }

  override *feed(samples: Float32Array): Generator<Change> {
    for (let at = 0; at + CONTEXT + FRAME <= samples.length; at += FRAME) {
      const probability = this.model.probability(samples.subarray(at, at + CONTEXT + FRAME));
      yield this.step(probability >= OPEN, probability >= HOLD, probability);
    }
  }
}
