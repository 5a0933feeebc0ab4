/** The microphone's samples as they come, or one sentence that says how to allow it. */
import { Complaint } from "../complaint";

export interface Microphone {
  rate: number;
  stop(): void;
}

const REFUSED: Record<string, string> = {
  NotAllowedError: "The microphone is not allowed for this page: allow it in the address bar, or choose a file.",
  NotFoundError: "There is no microphone: plug one in, or choose a file.",
  NotReadableError: "Another program uses the microphone: close that, or choose a file.",
};

/** more: called with about 0.1 s each; lost: when the tab was put to sleep or the microphone unplugged. */
export async function listen(more: (samples: Float32Array) => void, lost: () => void): Promise<Microphone> {
  if (!navigator.mediaDevices?.getUserMedia)
    throw new Complaint("This browser gives no microphone to this page: open it by https or on localhost, or choose a file.");
  let stream: MediaStream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
  } catch (error) {
    throw new Complaint(REFUSED[(error as Error).name] ?? "The microphone cannot be used: choose a file instead.");
  }
  const context = new AudioContext();
  const stop = () => {
    context.onstatechange = null;
    for (const track of stream.getTracks()) track.stop();
    if (context.state !== "closed") void context.close();
  };
  try {
    await context.audioWorklet.addModule("capture.js");
    const capture = new AudioWorkletNode(context, "capture", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
    capture.port.onmessage = ({ data }: MessageEvent<Float32Array>) => more(data);
    context.createMediaStreamSource(stream).connect(capture);
    await context.resume();
  } catch {
    stop();
    throw new Complaint("This browser cannot record here: choose a file instead.");
  }
  context.onstatechange = () => context.state !== "running" && lost();
  for (const track of stream.getTracks()) track.onended = lost;
  return { rate: context.sampleRate, stop };
}

export function joined(parts: Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
