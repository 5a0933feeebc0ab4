/** A stream is cut away from the page's thread, which shall answer a click however busy the processor is. */
import { serve } from "./messages";
import { Segmenter, type Stretch } from "./sound/segmenter";
import { SpeechDetector, type Weights } from "./sound/speechDetector";
import { StreamResampler } from "./sound/stream";
import { VoiceDetector } from "./sound/voiceActivity";

/** Stretches that have ended, and whether another one has begun. */
export interface Heard {
  stretches: Stretch[];
  speaking: boolean;
}

export interface Listening {
  /** A stream of so many samples a second. anySound: find what is no speech, too. */
  begin(rate: number, anySound: boolean, weights: Weights): void;
  /** The next 0.1 s. */
  feed(samples: Float32Array): Heard;
  /** What sounds now is over; look for any sound or for speech alone from here on. */
  turn(anySound: boolean): Heard;
  finish(): Heard;
}

let weights: Weights;
let resampler: StreamResampler;
let segmenter: Segmenter;
let any = false;

/** By speech alone, so that neither music nor rain is answered, or by any sound where the task is about such. */
const detector = () => (any ? new VoiceDetector() : new SpeechDetector(weights));
const heard = (stretches: Stretch[]): Heard => ({ stretches, speaking: segmenter.speaking });

serve<Listening>({
  begin(_, rate, anySound, given) {
    [weights, any, resampler] = [given, anySound, new StreamResampler(rate)];
    segmenter = new Segmenter(detector());
  },
  feed: (_, samples) => heard(segmenter.feed(resampler.feed(samples))),
  turn(_, anySound) {
    const stretches = segmenter.finish();
    if (anySound !== any) {
      any = anySound;
      segmenter.detect(detector());
    }
    return heard(stretches);
  },
  finish() {
    const stretches = segmenter.feed(resampler.finish());
    return heard([...stretches, ...segmenter.finish()]);
  },
});
