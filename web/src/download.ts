/** Files of this page's own folder, with how far they are. */
import { Complaint } from "./complaint";

export async function download(url: string, more: (bytes: number) => void = () => {}): Promise<Uint8Array<ArrayBuffer>> {
  let response: Response;
  try {
    response = await fetch(url);
  } catch {
    throw new Complaint("The models cannot be loaded: connect to the network once and load the page again; later visits need none.");
  }
  if (!response.ok || !response.body) throw new Complaint(`${url.split("/").at(-1)} is missing beside this page (${response.status}): build the folder again.`);
  const parts: Uint8Array[] = [];
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    more(value.length);
  }
  const whole = new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer());
  return whole[0] === 0x1f && whole[1] === 0x8b ? unzipped(whole) : whole; // a server may have unpacked it already
}

async function unzipped(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
