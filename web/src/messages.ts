/** Questions to a worker: a promise for each at one end, one after the other at the other end. */
import { Complaint } from "./complaint";

export interface Progress {
  done: number;
  total: number;
  doing: string;
}

interface Request {
  id: number;
  method: PropertyKey;
  args: unknown[];
}

interface Reply {
  id: number;
  value?: unknown;
  complaint?: string;
  failure?: string;
  progress?: Progress;
}

/** What a worker may be asked: E names its methods. */
export class Client<E> {
  private readonly waiting = new Map<number, { resolve(value: never): void; reject(error: Error): void; report?(progress: Progress): void }>();
  private count = 0;

  constructor(private readonly worker: Worker) {
    worker.onmessage = ({ data }: MessageEvent<Reply>) => {
      const one = this.waiting.get(data.id);
      if (!one) return;
      if (data.progress) return one.report?.(data.progress);
      this.waiting.delete(data.id);
      if (data.complaint !== undefined) one.reject(new Complaint(data.complaint));
      else if (data.failure !== undefined) one.reject(new Error(data.failure));
      else one.resolve(data.value as never);
    };
    worker.onerror = (event) => {
      for (const one of this.waiting.values()) one.reject(new Error(event.message || "the worker stopped"));
      this.waiting.clear();
    };
  }

  ask<M extends keyof E>(
    method: M,
    args: E[M] extends (...args: infer A) => unknown ? A : never,
    report?: (progress: Progress) => void,
  ): Promise<E[M] extends (...args: never[]) => infer R ? Awaited<R> : never> {
    return new Promise((resolve, reject) => {
      const request: Request = { id: ++this.count, method, args };
      this.waiting.set(request.id, { resolve, reject, report });
      this.worker.postMessage(request);
    });
  }
}

export type Report = (progress: Progress) => void;
type Given<R> = R | Promise<R | Later<R>> | Later<R>;
export type Methods<E> = { [M in keyof E]: E[M] extends (...args: infer A) => infer R ? (report: Report, ...args: A) => Given<Awaited<R>> : never };

/** What takes long and computes little: other questions are answered meanwhile. */
export class Later<R> {
  constructor(readonly value: Promise<R>) {}
}

/** Answer what this worker is asked; rest: what is done whenever nobody asks, until it says that nothing is left. */
export function serve<E>(methods: Methods<E>, rest: () => Promise<boolean> = () => Promise.resolve(false)): void {
  let last: Promise<unknown> = Promise.resolve();
  let waiting = 0;
  const idle = () => {
    if (waiting) return;
    const done = rest();
    last = done.then((more) => void (more && setTimeout(idle, 0)), () => {});
  };
  self.onmessage = ({ data }: MessageEvent<Request>) => {
    const reply = (part: Omit<Reply, "id">) => self.postMessage({ id: data.id, ...part });
    const give = (value: unknown) => reply({ value });
    const refuse = (error: unknown) => reply(error instanceof Complaint ? { complaint: error.message } : { failure: String(error) });
    const method = methods[data.method as keyof E] as (report: Report, ...args: unknown[]) => unknown;
    waiting++;
    last = last
      .then(() => method((progress) => reply({ progress }), ...data.args))
      .then((value) => (value instanceof Later ? void (value.value as Promise<unknown>).then(give, refuse) : give(value)), refuse)
      .then(() => {
        waiting--;
        setTimeout(idle, 200);
      });
  };
}
