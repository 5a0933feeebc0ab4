// Hands the microphone's samples to the page, 0.1 s at a time.
class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.held = new Float32Array(Math.round(sampleRate / 10));
    this.filled = 0;
  }

  process([input]) {
    const samples = input && input[0];
    if (samples) {
      for (const sample of samples) {
        this.held[this.filled++] = sample;
        if (this.filled === this.held.length) {
          this.port.postMessage(this.held.slice());
          this.filled = 0;
        }
      }
    }
    return true;
  }
}
registerProcessor("capture", Capture);
