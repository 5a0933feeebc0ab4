// Keeps this folder's files in the browser, so that the page needs no network after the first visit, and isolates the
// page, without which WebAssembly has one thread. The builder fills in the version and the files of the page itself.
const VERSION = "__VERSION__";
const PAGE = ["./"]; // __FILES__

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(VERSION).then((cache) => cache.addAll(PAGE)).catch(unlessFull).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches.keys()
      .then((names) => Promise.all(names.filter((name) => name !== VERSION).map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || new URL(request.url).origin !== self.location.origin || request.headers.has("range")) return;
  event.respondWith(answer(request));
});

async function answer(request) {
  const cache = await caches.open(VERSION);
  const kept = await cache.match(request.mode === "navigate" ? "./" : request, { ignoreSearch: true });
  const response = kept || (await fetch(request));
  if (!kept && response.ok) cache.put(request, response.clone()).catch(unlessFull).catch(() => {});
  return isolated(response);
}

function isolated(response) {
  const headers = new Headers(response.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}

/** A full storage takes the visits without a network, and nothing else. */
async function unlessFull(error) {
  if (error.name !== "QuotaExceededError") throw error;
  for (const client of await self.clients.matchAll({ includeUncontrolled: true })) client.postMessage({ full: true });
}
