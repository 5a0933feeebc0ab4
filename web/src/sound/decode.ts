/** The bytes of a sound file -> waveform at 16 kHz, or one sentence. The browser decodes, at the file's own rate. */
import { Complaint } from "../complaint";
import { MAX_SECONDS, checkNumbers, checkSeconds, mixDown, withoutOffset } from "./limits";
import { resample } from "./resample";

const MAX_BYTES = 64 << 20; // a minute of 192 kHz, 24 bit, stereo has 69 MB; of usual sound 12
const USUAL_RATE = 48_000;
const LONG_BYTES = 1 << 20; // what is shorter is decoded sooner than its length is found
const PATIENCE_MS = 5000;

/** Samples of channels at a rate -> float32 [T] at 16 kHz, checked as the Python package checks it. */
export function toWaveform(channels: Float32Array[], rate: number, most = MAX_SECONDS): Float32Array {
  if (!channels.length || !channels[0].length) throw new Complaint("The recording is empty (0 bytes): record it again.");
  checkSeconds(channels[0].length / rate, most);
  const mono = mixDown(channels);
  checkNumbers(mono);
  return withoutOffset(resample(mono, rate));
}

export async function decode(bytes: ArrayBuffer, most = MAX_SECONDS): Promise<Float32Array> {
  if (!bytes.byteLength) throw new Complaint("The recording is empty (0 bytes): record it again.");
  if (bytes.byteLength > MAX_BYTES)
    throw new Complaint(`The file has ${Math.round(bytes.byteLength / 1e6)} MB, more than the ${MAX_BYTES >> 20} MB that are read: cut it into parts.`);
  const stated = headerSeconds(new DataView(bytes)) ?? (bytes.byteLength > LONG_BYTES ? await mediaSeconds(bytes) : undefined);
  if (stated !== undefined) checkSeconds(stated, most); // before a long one takes memory
  let decoded: AudioBuffer;
  try {
    const rate = headerRate(new DataView(bytes)) ?? USUAL_RATE;
    decoded = await new OfflineAudioContext(1, 1, rate).decodeAudioData(bytes.slice(0));
  } catch {
    throw new Complaint("This browser cannot decode the file: choose a recording such as WAV, FLAC, OGG or MP3.");
  }
  const channels = Array.from({ length: decoded.numberOfChannels }, (_, i) => decoded.getChannelData(i));
  return toWaveform(channels, decoded.sampleRate, most);
}

const text = (view: DataView, at: number, n: number) =>
  at + n <= view.byteLength ? String.fromCharCode(...new Uint8Array(view.buffer, view.byteOffset + at, n)) : "";

/** Offset of a chunk's content in a WAV file and its length. */
function chunk(view: DataView, name: string): [number, number] | undefined {
  for (let at = 12; at + 8 <= view.byteLength; ) {
    const size = view.getUint32(at + 4, true);
    if (text(view, at, 4) === name) return [at + 8, size];
    at += 8 + size + (size & 1);
  }
  return undefined;
}

/** The rate in a file's header, in Hz; undefined where it is none that is known. */
export function headerRate(view: DataView): number | undefined {
  let rate: number | undefined;
  if (text(view, 0, 4) === "RIFF" && text(view, 8, 4) === "WAVE") {
    const format = chunk(view, "fmt ");
    if (format && format[0] + 8 <= view.byteLength) rate = view.getUint32(format[0] + 4, true);
  } else if (text(view, 0, 4) === "fLaC" && view.byteLength > 26) {
    rate = view.getUint32(18) >>> 12;
  } else if (text(view, 0, 4) === "OggS" && text(view, 29, 6) === "vorbis" && view.byteLength > 44) {
    rate = view.getUint32(40, true);
  } else {
    rate = mp3Rate(view);
  }
  return rate && rate >= 8_000 && rate <= 192_000 ? rate : undefined; // what is outside is left to the browser
}

/** The length that a WAV or FLAC file states, in seconds. */
function headerSeconds(view: DataView): number | undefined {
  if (text(view, 0, 4) === "RIFF") {
    const [format, data] = [chunk(view, "fmt "), chunk(view, "data")];
    if (!format || !data || format[0] + 12 > view.byteLength) return undefined;
    return Math.min(data[1], view.byteLength - data[0]) / view.getUint32(format[0] + 8, true);
  }
  if (text(view, 0, 4) === "fLaC" && view.byteLength > 26) {
    const samples = (view.getUint8(21) & 15) * 2 ** 32 + view.getUint32(22);
    return samples ? samples / (view.getUint32(18) >>> 12) : undefined;
  }
  return undefined;
}

/** The length that the browser finds in a file without decoding all of it, in seconds. */
function mediaSeconds(bytes: ArrayBuffer): Promise<number | undefined> {
  const address = URL.createObjectURL(new Blob([bytes]));
  const media = new Audio();
  return new Promise<number | undefined>((resolve) => {
    media.onloadedmetadata = () => resolve(Number.isFinite(media.duration) ? media.duration : undefined);
    media.onerror = () => resolve(undefined); // decoding says what is wrong
    setTimeout(() => resolve(undefined), PATIENCE_MS);
    media.preload = "metadata";
    media.src = address;
  }).finally(() => {
    media.removeAttribute("src");
    URL.revokeObjectURL(address);
  });
}

function mp3Rate(view: DataView): number | undefined {
  let at = 0;
  if (text(view, 0, 3) === "ID3" && view.byteLength > 10) {
    const [a, b, c, d] = [6, 7, 8, 9].map((i) => view.getUint8(i) & 127);
    at = 10 + ((a << 21) | (b << 14) | (c << 7) | d);
  }
  if (at + 4 > view.byteLength || view.getUint16(at) >> 5 !== 0x7ff) return undefined;
  const version = (view.getUint8(at + 1) >> 3) & 3;
  const base = [44_100, 48_000, 32_000][(view.getUint8(at + 2) >> 2) & 3];
  return base && base / (version === 3 ? 1 : version === 2 ? 2 : 4);
}
