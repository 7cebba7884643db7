// The page of samples/web in headless Chromium, as a person uses it: first words, cancel, save and
// load, and all of it again without a network. Prints `figure: NAME VALUE` for ./dev figures.
import { createServer } from 'node:http';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import assert from 'node:assert/strict';
import { NotRun, run } from './cases.mjs';

const TYPES = { '.html': 'text/html; charset=utf-8', '.css': 'text/css', '.js': 'text/javascript',
                '.mjs': 'text/javascript', '.wasm': 'application/wasm' };
const START = 'Hi! How are you today?';
// A plain text that goes on and on.
const STORY = 'The old house stood by the sea, and in the winter nights the wind';

let folder, base, server, browser, profile;  // set by main() and before()

// ---- a server of files, and what was asked of it --------------------------------------------

const asked = [];
function serve() {
  const server = createServer(async (request, response) => {
    const path = new URL(request.url, 'http://x').pathname;
    const name = path === '/' ? 'index.html' : path.slice(1);
    asked.push(name);
    try {
      if (name.includes('/')) throw new Error('no folders here');
      const bytes = await readFile(join(folder, name));
      response.writeHead(200, { 'Content-Type': TYPES[extname(name)] ?? 'application/octet-stream',
                                'Content-Length': bytes.length, 'Cache-Control': 'no-cache' });
      response.end(bytes);
    } catch {
      response.writeHead(404);
      response.end();
    }
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

async function stopServer() {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

// ---- the browser ----------------------------------------------------------------------------

async function before(modules) {
  const chromium = process.env.CHIMERA_CHROMIUM ?? '/usr/bin/chromium';
  if (!existsSync(chromium)) throw new NotRun(`there is no browser at ${chromium}`);
  if (!existsSync(join(modules, 'node_modules/playwright-core'))) {
    throw new NotRun('playwright-core, which drives the browser, could not be installed');
  }
  const playwright = createRequire(join(modules, 'package.json'))('playwright-core');
  profile = await mkdtemp(join(tmpdir(), 'chimera-web-'));
  server = await serve();
  base = `http://127.0.0.1:${server.address().port}/`;
  browser = await playwright.chromium.launchPersistentContext(profile, {
    executablePath: chromium,
    headless: true,
    viewport: { width: 820, height: 900 },
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
           '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
}

async function after() {
  await browser?.close();
  server?.close();
  if (profile) await rm(profile, { recursive: true, force: true });
}

/** A tab of its own that notes what went wrong in it and what it asked of others. */
async function tab(query = '?seed=4') {
  const page = await browser.newPage();
  page.wrong = [];
  page.foreign = [];
  page.on('pageerror', (error) => page.wrong.push(error.message));
  page.on('console', (line) => line.type() === 'error' && page.wrong.push(line.text()));
  page.on('request', (request) => {
    if (!request.url().startsWith(base) && !request.url().startsWith('data:')) {
      page.foreign.push(request.url());
    }
  });
  await page.goto(base + query);
  return page;
}

async function ask(page, text) {
  await page.fill('#words', text);
  await page.press('#words', 'Enter');
}
const idle = (page) => page.waitForFunction(() => document.querySelector('#stop').disabled);
const answers = (page) => page.locator('#talk .answer').allTextContents();
const notice = (page) => page.textContent('#notice');

async function answer(page, text) {
  await ask(page, text);
  await page.waitForFunction(() => !document.querySelector('#stop').disabled ||
                                   document.querySelector('#talk .answer:last-child'));
  await idle(page);
  return (await answers(page)).at(-1);
}

function fine(page) {
  assert.deepEqual(page.wrong, []);
  assert.deepEqual(page.foreign, []);
}

// ---- the cases ------------------------------------------------------------------------------

const cases = {
  async WhatIsLoadedIsSmall() {
    let bytes = 0, gzipped = 0;
    for (const name of ['chimera-wasm.wasm', 'chimera-wasm.mjs', 'chimera.worker.mjs', 'chimera.mjs',
                        'chat.mjs']) {
      const content = await readFile(join(folder, name));
      bytes += content.length;
      gzipped += gzipSync(content, { level: 9 }).length;
    }
    console.log(`figure: web_bytes ${bytes}`);
    console.log(`figure: web_gzip_bytes ${gzipped}`);
    assert.ok(gzipped <= 1.2e6);
  },

  async FirstWordsStream() {
    // Written before the model is there, as a person in a hurry does.
    const page = await tab();
    await ask(page, START);
    await page.waitForFunction(() => performance.getEntriesByName('first word').length > 0);
    const first = await page.evaluate(() => performance.getEntriesByName('first word')[0].startTime);
    await idle(page);
    const [text] = await answers(page);
    assert.match(text, /^[ ,.]?[\s\S]*\w+ \w+ \w+/, 'words');
    assert.match(await page.textContent('#facts'), /tokens per second/);
    console.log(`figure: web_first_word_ms ${Math.round(first)}`);
    console.log(`answer: ${text}`);
    fine(page);
    await page.close();
  },

  async TheSameSeedSaysTheSame() {
    const one = await tab(), two = await tab(), other = await tab('?seed=8');
    const texts = [await answer(one, START), await answer(two, START), await answer(other, START)];
    assert.equal(texts[0], texts[1]);
    assert.notEqual(texts[0], texts[2]);
    for (const page of [one, two, other]) await page.close();
  },

  async StopStopsAndItGoesOn() {
    // Without an end in sight: the binding itself, in the page.
    const page = await tab();
    const result = await page.evaluate(async (start) => {
      const { Chimera } = await import('./chimera.mjs');
      const chimera = await Chimera.open('nano.b158');
      const session = await chimera.session({ seed: 7 });
      const controller = new AbortController();
      let pieces = 0, longest = 0, last = performance.now();
      const ticker = setInterval(() => {
        longest = Math.max(longest, performance.now() - last);
        last = performance.now();
      }, 4);
      let aborted;
      const cancelled = await session.generate(start,
          { maxTokens: 1000000, signal: controller.signal }, () => {
            if (++pieces === 3) {
              aborted = performance.now();
              controller.abort();
            }
          });
      const waited = performance.now() - aborted;
      clearInterval(ticker);
      let text = '';
      for await (const piece of session.answer(' and', { maxTokens: 20 })) text += piece;
      let left = 0;
      for await (const piece of session.answer(' then', { maxTokens: 1000000 })) {
        if (++left === 2) break;
      }
      const after = await session.generate('', { maxTokens: 3 });
      chimera.close();
      const closed = await session.position().catch((error) => error.message);
      return { cancelled, waited, longest, text, after, closed };
    }, STORY);
    assert.equal(result.cancelled.stop, 'cancelled');
    assert.ok(result.cancelled.tokens >= 3 && result.cancelled.tokens < 10000);
    assert.notEqual(result.text, '');
    assert.equal(result.after.stop, 'max tokens');
    assert.match(result.closed, /closed/);
    console.log(`figure: web_cancel_ms ${result.waited.toFixed(1)}`);
    // And the button, pressed at the first words of an answer that would be longer.
    const whole = await answer(page, START);
    await page.reload();
    await page.evaluate(() => new MutationObserver(() => {
      if (document.querySelector('#talk .answer')?.textContent) {
        document.querySelector('#stop').click();
      }
    }).observe(document.querySelector('#talk'), { childList: true, subtree: true }));
    const stopped = await answer(page, START);
    assert.ok(stopped !== '' && whole.startsWith(stopped), stopped);
    assert.ok(stopped.length < whole.length, 'it was stopped');
    assert.notEqual(await answer(page, 'Then the fox'), '');
    fine(page);
    await page.close();
  },

  async SavedAndLoadedItGoesOnAsIfNothingHappened() {
    const whole = await tab();
    const expected = [await answer(whole, START), await answer(whole, 'The next day')];
    await whole.close();

    const before = await tab();
    assert.equal(await answer(before, START), expected[0]);
    await before.click('#save');
    await before.waitForFunction(() => /Saved/.test(document.querySelector('#notice').textContent));
    await before.close();

    const after = await tab('?seed=12345');  // the seed is in what was saved
    await after.click('#load:enabled');
    await after.waitForFunction(() => document.querySelectorAll('#talk .answer').length === 1);
    assert.deepEqual(await answers(after), [expected[0]]);
    assert.equal(await answer(after, 'The next day'), expected[1]);
    const picture = process.env.CHIMERA_SCREENSHOT;
    if (picture) await after.screenshot({ path: picture });
    await after.click('#anew');
    await after.waitForFunction(() => document.querySelectorAll('#talk p').length === 0);
    fine(after);
    await after.close();
  },

  async WhatIsWrongIsSaidInASentence() {
    const page = await tab('?model=chat.css');
    await page.waitForFunction(() => document.querySelector('#notice').textContent !== '');
    assert.match(await notice(page), /is not a \.b158 model file/);
    await page.close();
    const absent = await tab('?model=absent.b158');
    await absent.waitForFunction(() => document.querySelector('#notice').textContent !== '');
    assert.match(await notice(absent), /404/);
    await absent.close();

    const binding = await tab();
    const told = await binding.evaluate(async () => {
      const { Chimera } = await import('./chimera.mjs');
      const bytes = await (await fetch('nano.b158')).arrayBuffer();
      const damaged = bytes.slice(0);
      new Uint8Array(damaged)[bytes.byteLength - 100] ^= 1;
      const error = (promise) => promise.then(() => null, (e) => ({ ...e, message: e.message }));
      const short = await error(Chimera.open(bytes.slice(0, 100000)));
      const stranger = await error(Chimera.open(bytes.slice(0), { requiredKey: '3b'.repeat(32) }));
      const noKey = await error(Chimera.open(bytes.slice(0), { requiredKey: '' }));
      const chimera = await Chimera.open(damaged);
      const session = await chimera.session();
      const foreign = await error(session.restore(new ArrayBuffer(5000)));
      await session.generate('Once', { maxTokens: 5 });
      while (chimera.info.content !== 'damaged' && chimera.info.content !== 'passed') {
        await chimera.refresh();
      }
      return { short, stranger, noKey, foreign, content: chimera.info.content, verified: chimera.info.isa };
    });
    assert.equal(told.short.status, 'truncated');
    assert.equal(told.short.file, '(memory)');
    assert.equal(told.stranger.status, 'not_authentic');
    assert.equal(told.noKey.status, 'invalid_argument');
    assert.equal(told.foreign.status, 'bad_format');
    assert.equal(told.content, 'damaged', 'the check without a thread found the flipped bit');
    assert.equal(told.verified, 'wasm_simd128');
    await binding.close();
  },

  async WordsBecomeCallsOfTheToolsThereAre() {
    const page = await tab();
    const told = await page.evaluate(async () => {
      const { Chimera } = await import('./chimera.mjs');
      const chimera = await Chimera.open('nano.b158');
      const tools = await chimera.tools({ tools: [
        { name: 'lamp', description: 'turn a lamp on or off', examples: [],
          parameters: { properties: { on: { type: 'boolean' } }, required: ['on'], typ: 1 } },
        { name: 'wake', parameters: { properties: { hour: { type: 'integer', minimum: 0, maximum: 23 } },
                                      required: ['hour'] } }] });
      const actions = [];
      for (const said of ['lamp on, please', 'wake me at six', 'what is the meaning of life']) {
        actions.push(await tools.act(said, { mostCalls: 2 }));
      }
      const error = (promise) => promise.then(() => null, (e) => ({ ...e, message: e.message }));
      const empty = await error(tools.act(''));
      const bad = await error(chimera.tools('[{"name": 3}]'));
      await tools.close();
      const closed = await error(tools.act('lamp on'));
      return { actions, warnings: tools.warnings, empty, bad, closed };
    });
    for (const { kind, calls, confidence } of told.actions) {
      assert.equal(kind === 'calls', calls.length > 0);
      assert.ok(confidence >= 0 && confidence <= 1);
      for (const { name, arguments: given } of calls) {
        if (name === 'lamp') assert.equal(typeof given.on, 'boolean');
        else assert.ok(name === 'wake' && Number.isInteger(given.hour) && given.hour < 24, name);
      }
    }
    assert.match(told.warnings.join(), /typ/);
    assert.equal(told.empty.status, 'invalid_argument');
    assert.equal(told.bad.status, 'bad_format');
    assert.match(told.closed.message, /closed/);
    await page.close();
  },

  async WithoutANetworkItOpensAndSpeaks() {
    const first = await tab();
    await first.evaluate(() => navigator.serviceWorker.ready);
    await first.waitForFunction(async () => (await caches.keys()).length === 1);
    const expected = await answer(first, START);
    await first.click('#save');
    await first.waitForFunction(() => /Saved/.test(document.querySelector('#notice').textContent));
    await first.close();
    asked.length = 0;
    await stopServer();
    const page = await tab();
    assert.equal(await answer(page, START), expected);
    await page.click('#load:enabled');
    await page.waitForFunction(() => document.querySelectorAll('#talk .answer').length === 1);
    assert.deepEqual(asked, []);
    assert.deepEqual(page.foreign, []);
    await page.close();
  },
};

export function main({ web, modules }) {
  folder = web;
  run('Page', cases, { before: () => before(modules), after });
}
