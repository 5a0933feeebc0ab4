/** The page's end of the worker: a promise for each question. */
import { Complaint } from "./complaint";
import type { Engine, Reply, Request } from "./worker";

type Progress = NonNullable<Reply["progress"]>;

export class Client {
  private readonly worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  private readonly waiting = new Map<number, { resolve(value: never): void; reject(error: Error): void; report?(progress: Progress): void }>();
  private count = 0;

  constructor() {
    this.worker.onmessage = ({ data }: MessageEvent<Reply>) => {
      const one = this.waiting.get(data.id);
      if (!one) return;
      if (data.progress) return one.report?.(data.progress);
      this.waiting.delete(data.id);
      if (data.complaint !== undefined) one.reject(new Complaint(data.complaint));
      else if (data.failure !== undefined) one.reject(new Error(data.failure));
      else one.resolve(data.value as never);
    };
    this.worker.onerror = (event) => {
      for (const one of this.waiting.values()) one.reject(new Error(event.message || "the worker stopped"));
      this.waiting.clear();
    };
  }

  ask<M extends keyof Engine>(method: M, args: Parameters<Engine[M]>, report?: (progress: Progress) => void): Promise<ReturnType<Engine[M]>> {
    return new Promise((resolve, reject) => {
      const request: Request = { id: ++this.count, method, args };
      this.waiting.set(request.id, { resolve, reject, report });
      this.worker.postMessage(request);
    });
  }
}
