// What every recorder of the page shares: the microphone, waveforms, WAV files, and the sentences for what went wrong.
window.spSound = (() => {
  const DENIED = "The browser did not allow the microphone: allow it beside the address, then start again.";
  const INSECURE = "Browsers give a microphone only to pages opened over https or on this machine.";
  const MISSING = "No microphone was found: connect one, or choose a file.";
  const LONGEST = 60; // s, the server's limit
  const SILENCE = 1.0; // s of silence after speech that end a recording, where that is wished
  const TAP = `registerProcessor("sp-tap", class extends AudioWorkletProcessor {
    process([channels]) {
      if (channels.length) {
        const mixed = new Float32Array(channels[0].length);
        for (const channel of channels) channel.forEach((x, i) => (mixed[i] += x / channels.length));
        this.port.postMessage(mixed, [mixed.buffer]);
      }
      return true;
    }
  });`;

  function sentence(error) {
    if (error.name === "NotAllowedError" || error.name === "SecurityError") return DENIED;
    if (error.name === "NotFoundError" || error.name === "OverconstrainedError") return MISSING;
    return error.message === INSECURE ? INSECURE : `There is no sound: ${error.message}`;
  }

  // Opens the microphone and hands over its samples as they come; resolves to what `release` takes.
  async function open(onSamples) {
    if (!navigator.mediaDevices || !window.AudioWorkletNode) throw new Error(INSECURE);
    const session = {};
    try {
      session.stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      session.context = new AudioContext();
      await session.context.resume();
      const url = URL.createObjectURL(new Blob([TAP], { type: "text/javascript" }));
      await session.context.audioWorklet.addModule(url).finally(() => URL.revokeObjectURL(url));
      const tap = new AudioWorkletNode(session.context, "sp-tap");
      tap.port.onmessage = ({ data }) => onSamples(data, session.context.sampleRate);
      session.context.createMediaStreamSource(session.stream).connect(tap).connect(session.context.destination);
      return session;
    } catch (error) {
      release(session);
      throw error;
    }
  }

  function release(session) {
    session.stream?.getTracks().forEach((track) => track.stop());
    if (session.context && session.context.state !== "closed") session.context.close();
  }

  function wav(parts, rate, name = "recording.wav") {
    const total = parts.reduce((n, part) => n + part.length, 0);
    const view = new DataView(new ArrayBuffer(44 + 2 * total));
    const text = (at, letters) => [...letters].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
    text(0, "RIFF"), view.setUint32(4, 36 + 2 * total, true), text(8, "WAVEfmt ");
    view.setUint32(16, 16, true), view.setUint16(20, 1, true), view.setUint16(22, 1, true);
    view.setUint32(24, rate, true), view.setUint32(28, 2 * rate, true);
    view.setUint16(32, 2, true), view.setUint16(34, 16, true), text(36, "data"), view.setUint32(40, 2 * total, true);
    let at = 44;
    for (const part of parts) {
      for (const x of part) view.setInt16(at, Math.max(-1, Math.min(1, x)) * 32767, true), (at += 2);
    }
    return new File([view.buffer], name, { type: "audio/wav" });
  }

  // One recording: resolves to {stop, done}; done resolves to a WAV file once it ended, by `stop` or by itself.
  async function record({ onLevel = () => {}, silenceEnds = () => false } = {}) {
    const parts = [];
    let finish, rate = 48000, total = 0, quiet = 0, floor = Infinity, loudest = 0;
    const done = new Promise((resolve) => (finish = resolve));
    const session = await open((samples, hertz) => {
      rate = hertz;
      parts.push(samples);
      total += samples.length;
      let sum = 0;
      for (const x of samples) sum += x * x;
      const level = Math.sqrt(sum / samples.length);
      onLevel(level, total / rate);
      // The room's own level is the lowest yet; speech is well above it.
      if (total > 0.3 * rate) floor = Math.min(floor, Math.max(level, 1e-4));
      loudest = Math.max(loudest, level);
      const spoken = loudest > 0.01 && loudest > 8 * floor;
      quiet = spoken && level < loudest / 12 ? quiet + samples.length : 0;
      if (total > LONGEST * rate - samples.length || (silenceEnds() && quiet > SILENCE * rate)) stop();
    });
    function stop() {
      release(session);
      finish(wav(parts, rate));
    }
    return { stop, done };
  }

  // Peaks of n columns, 0 to 1, scaled to the loudest (room noise stays small).
  function peaks(samples, n) {
    const found = new Float32Array(n), step = samples.length / n;
    for (let i = 0; i < n; i++) {
      for (let j = Math.floor(i * step); j < Math.floor((i + 1) * step); j++) {
        found[i] = Math.max(found[i], Math.abs(samples[j]));
      }
    }
    const top = Math.max(0.02, ...found);
    return found.map((x) => x / top);
  }

  let decoder;
  async function decode(url) {
    decoder ||= new OfflineAudioContext(1, 1, 48000); // without a device: it needs no click to be made
    const bytes = await (await fetch(url)).arrayBuffer();
    const buffer = await decoder.decodeAudioData(bytes);
    const samples = Float32Array.from(buffer.getChannelData(0));
    for (let c = 1; c < buffer.numberOfChannels; c++) {
      buffer.getChannelData(c).forEach((x, i) => (samples[i] += x));
    }
    return { samples: samples.map((x) => x / buffer.numberOfChannels), rate: buffer.sampleRate };
  }

  return { record, open, release, wav, peaks, decode, sentence };
})();
