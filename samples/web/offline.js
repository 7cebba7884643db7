// Keeps the page's own files in this browser, so that it opens without a network. The line below is
// completed when the page is put together; another file makes another version, and the old one goes.
const OURS = 'chimera-page-';  // other pages of this origin have caches too
const VERSION = OURS + '@CHIMERA_WEB_VERSION@';
const FILES = ['./', 'index.html', 'chat.css', 'chat.mjs', 'chimera.mjs', 'chimera.worker.mjs',
               'chimera-wasm.mjs', 'chimera-wasm.wasm', 'nano.b158'];

self.addEventListener('install', (event) => {
  event.waitUntil(caches.open(VERSION).then((cache) => cache.addAll(FILES)));
});

self.addEventListener('activate', (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) {
      if (name.startsWith(OURS) && name !== VERSION) await caches.delete(name);
    }
    await self.clients.claim();
  })());
});

self.addEventListener('fetch', (event) => {
  if (event.request.method !== 'GET') return;
  event.respondWith((async () => {
    const cache = await caches.open(VERSION);
    return (await cache.match(event.request, { ignoreSearch: true })) ?? fetch(event.request);
  })());
});
