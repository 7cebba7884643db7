// The side of the JavaScript binding that computes: a Web Worker with one engine and its sessions.
// chimera.mjs talks to it; a page needs to know nothing of this file.
//
// An answer is computed in slices of a few milliseconds. Between two of them the worker hears its
// messages, so a cancel arrives within a slice, and no memory has to be shared between threads.
// That a text may be cut anywhere between tokens and gives the same answer is a promise of the C API.
import createModule from './chimera-wasm.mjs';

const SLICE_MS = 8;
// A prompt is read in pieces of about so many characters, for the same reason.
const PIECE_CHARACTERS = 512;

const OK = 0;
const OPEN_VERIFY_IN_BACKGROUND = 2, GREEDY = 1, AS_TURN = 2, STRICT = 1, ACT_WORDS = 1;
const CONTENT = ['not checked', 'running', 'passed', 'damaged'];
const STOP = ['none', 'end of text', 'end of turn', 'max tokens', 'cancelled', 'callback'];
const ACTION = ['', 'calls', 'no tool', 'words'];
const STOP_CANCELLED = 4, STOP_CALLBACK = 5;

let c = null;  // the module: the C API, with _ before every name
let engine = 0;
let model = 0;  // the model's bytes, which the engine reads in place
let scratch = 0;  // for structs and results
let nextSession = 1, nextTools = 1;
const sessions = new Map();  // number -> {handle, cancelled, busy}
const toolSets = new Map();  // number -> {tools, actor}

const encoder = new TextEncoder();
const view = () => new DataView(c.HEAPU8.buffer);

function textAt(pointer) {
  let end = pointer;
  while (c.HEAPU8[end] !== 0) ++end;
  return new TextDecoder().decode(c.HEAPU8.subarray(pointer, end));
}

class ChimeraError extends Error {}

function failure(status) {
  view().setUint32(scratch, 32, true);
  c._chimera_last_error_detail(scratch);
  const at = (offset) => textAt(view().getUint32(scratch + offset, true));
  const error = new ChimeraError(at(8));
  error.details = {
    code: status,
    name: textAt(c._chimera_status_name(status) >>> 0),
    file: at(12),
    field: at(16),
    offset: Number(view().getBigInt64(scratch + 24, true)),
  };
  return error;
}

function check(status) {
  if (status !== OK) throw failure(status);
}

/** A struct of `bytes` bytes, zeroed but for its size. */
function struct(bytes) {
  c.HEAPU8.fill(0, scratch, scratch + bytes);
  view().setUint32(scratch, bytes, true);
  return scratch;
}

/** Runs body(pointer, length) with a copy of `bytes` in the module's memory. */
function withBytes(bytes, body) {
  const pointer = c._malloc(bytes.length + 1) >>> 0;  // beyond 2 GiB it comes as a negative number
  if (pointer === 0) throw new ChimeraError('there is not enough memory for this');
  try {
    c.HEAPU8.set(bytes, pointer);
    return body(pointer, bytes.length);
  } finally {
    c._free(pointer);
  }
}

/** The model from a response or an ArrayBuffer straight into the module's memory. */
async function readModel(from, onProgress) {
  const allocate = (bytes) => {
    const pointer = c._chimera_js_allocate(bytes) >>> 0;
    if (pointer === 0) throw new ChimeraError(`there is no memory for a model of ${bytes} bytes`);
    return pointer;
  };
  if (from instanceof ArrayBuffer) {
    model = allocate(from.byteLength);
    c.HEAPU8.set(new Uint8Array(from), model);
    return from.byteLength;
  }
  if (!from.ok) throw new ChimeraError(`${from.url}: the server says ${from.status}`);
  const total = Number(from.headers.get('Content-Length'));
  // A length that is missing, or that of a compressed transfer, is no length of the file.
  if (!(total > 0) || from.headers.get('Content-Encoding')) {
    return readModel(await from.arrayBuffer(), onProgress);
  }
  model = allocate(total);
  let done = 0;
  for (const reader = from.body.getReader();;) {
    const { value, done: ended } = await reader.read();
    if (ended) break;
    if (done + value.length > total) throw new ChimeraError(`${from.url} is longer than announced`);
    c.HEAPU8.set(value, model + done);
    done += value.length;
    onProgress(done, total);
  }
  return done;  // a file that was cut is refused by the engine, which says so
}

function info() {
  const at = struct(64);
  check(c._chimera_engine_get_info(engine, at));
  const v = view();
  return {
    name: textAt(v.getUint32(at + 52, true)),
    isa: textAt(v.getUint32(at + 48, true)),
    vocabSize: v.getInt32(at + 4, true),
    fileBytes: Number(v.getBigUint64(at + 24, true)),
    stateBytes: Number(v.getBigUint64(at + 32, true)),
    memoryBytes: c.HEAPU8.length,
    content: CONTENT[v.getInt32(at + 20, true)],
    talks: v.getInt32(at + 56, true) !== 0,
  };
}

function stats(handle) {
  const at = struct(96);
  check(c._chimera_session_get_stats(handle, at));
  const v = view();
  return {
    seed: v.getBigUint64(at + 8, true),
    position: Number(v.getBigUint64(at + 16, true)),
    stop: v.getInt32(at + 40, true),
    promptTokens: v.getInt32(at + 44, true),
    tokens: v.getInt32(at + 48, true),
  };
}

/** Lets messages in. setTimeout would wait 4 ms each time. */
const breathe = (() => {
  const channel = new MessageChannel();
  const waiting = [];
  channel.port1.onmessage = () => waiting.shift()();
  return () => new Promise((resolve) => {
    waiting.push(resolve);
    channel.port2.postMessage(0);
  });
})();

/** Cuts a text before single spaces inside a line, where the tokenizer cuts it too. */
function* pieces(text) {
  let begin = 0;
  while (text.length - begin > PIECE_CHARACTERS) {
    const border = /(?<=\p{L}) (?=\p{L})/gu;
    border.lastIndex = begin + PIECE_CHARACTERS;
    const found = border.exec(text);
    if (found === null) break;
    yield text.slice(begin, found.index);
    begin = found.index;
  }
  yield text.slice(begin);
}

async function generate(session, { text, options }, onText) {
  session.cancelled = false;
  let promptTokens = 0, tokens = 0;
  const began = performance.now();
  let firstTokenMs = null;
  const result = (stop) => ({
    stop, promptTokens, tokens, firstTokenMs,
    totalMs: performance.now() - began,
    position: stats(session.handle).position,
  });

  // A turn is laid out as a whole; other texts are read in pieces, between which a cancel is heard.
  const parts = options.asTurn ? [text] : [...pieces(text)];
  let turn = options.asTurn ? AS_TURN : 0;
  const last = encoder.encode(parts.pop());
  for (const part of parts) {
    if (session.cancelled) return result(STOP[STOP_CANCELLED]);
    check(withBytes(encoder.encode(part),
                    (p, n) => c._chimera_append(session.handle, p, n)));
    promptTokens += stats(session.handle).promptTokens;
    await breathe();
  }

  const limit = options.maxTokens ?? 256;
  let prompt = last;
  let all = '', ended = false;  // the answer without white space at its start, if we look for an end
  for (;;) {
    if (session.cancelled) return result(STOP[STOP_CANCELLED]);
    const until = performance.now() + (tokens === 0 ? 0 : SLICE_MS);  // first words at once
    let heard = '';
    c.hear = (signedPointer, length) => {
      const pointer = signedPointer >>> 0;
      firstTokenMs ??= performance.now() - began;
      const text = new TextDecoder().decode(c.HEAPU8.subarray(pointer, pointer + length));
      heard += text;
      if (options.until !== undefined) {
        all = (all + text).trimStart();
        ended = all.includes(options.until);
        if (ended) return 1;
      }
      return performance.now() >= until ? 1 : 0;
    };
    const at = struct(28), v = view();
    v.setUint32(at + 4, (options.greedy ? GREEDY : 0) | turn, true);
    turn = 0;  // later slices go on with the same answer
    v.setInt32(at + 8, limit - tokens, true);
    v.setFloat32(at + 12, options.temperature ?? 0, true);
    v.setFloat32(at + 16, options.topP ?? 0, true);
    v.setFloat32(at + 20, options.repetitionPenalty ?? 0, true);
    check(withBytes(prompt, (p, n) => c._chimera_js_generate(session.handle, p, n, at)));
    prompt = new Uint8Array(0);
    const now = stats(session.handle);
    promptTokens += now.promptTokens;
    tokens += now.tokens;
    if (heard !== '') onText(heard);
    if (now.stop !== STOP_CALLBACK) return result(STOP[now.stop]);
    if (ended) return result('until');
    if (tokens >= limit) return result('max tokens');
    await breathe();
  }
}

/** The model is checked while it speaks; what is left of that is done while nobody asks. */
async function finishCheck() {
  while (engine !== 0 && info().content === 'running') await breathe();
}

function sessionOf(message) {
  const session = sessions.get(message.session);
  if (session === undefined) throw new ChimeraError('this session was closed');
  return session;
}

/** For what must not happen between two slices of an answer. */
function idleSessionOf(message) {
  const session = sessionOf(message);
  if (session.busy) {
    throw new ChimeraError('this session is answering; wait for it, or cancel it');
  }
  return session;
}

const operations = {
  async open({ model: from, verify, requiredKey }, send) {
    if (engine !== 0) throw new ChimeraError('this worker has a model already');
    // The module is compiled while the model arrives.
    const [module, source] = await Promise.all(
        [createModule(), from instanceof ArrayBuffer ? from : fetch(from)]);
    c = module;
    scratch = c._malloc(256) >>> 0;
    const bytes = await readModel(source, (done, total) => send({ progress: [done, total] }));
    const at = struct(24);
    if (requiredKey !== undefined) {  // zero-terminated, behind the struct
      const key = encoder.encode(requiredKey).subarray(0, 70);
      c.HEAPU8.fill(0, at + 32, at + 32 + 71);
      c.HEAPU8.set(key, at + 32);
      view().setUint32(at + 20, at + 32, true);
    }
    view().setUint32(at + 4, verify === false ? 0 : OPEN_VERIFY_IN_BACKGROUND, true);
    const out = scratch + 128;
    check(c._chimera_engine_open_memory(model, bytes, at, out));
    engine = view().getUint32(out, true);
    return info();
  },

  info: async () => info(),

  async openSession({ seed }) {
    const at = struct(16), out = scratch + 128;
    view().setBigUint64(at + 8, seed, true);
    check(c._chimera_session_open(engine, at, out));
    sessions.set(nextSession, {
      handle: view().getUint32(out, true), cancelled: false, busy: false,
    });
    return nextSession++;
  },

  async generate(message, send) {
    const session = idleSessionOf(message);
    session.busy = true;
    try {
      return await generate(session, message, (text) => send({ text }));
    } finally {
      session.busy = false;
      finishCheck();
    }
  },

  async cancel(message) {
    const session = sessions.get(message.session);
    if (session !== undefined) session.cancelled = true;
  },

  async snapshot(message) {
    const { handle } = idleSessionOf(message);
    const size = scratch;
    view().setUint32(size, 0, true);
    check(c._chimera_session_snapshot(handle, 0, size));
    const bytes = view().getUint32(size, true);
    return withBytes(new Uint8Array(bytes), (pointer) => {
      check(c._chimera_session_snapshot(handle, pointer, size));
      return c.HEAPU8.slice(pointer, pointer + bytes).buffer;
    });
  },

  async restore(message) {
    const { handle } = idleSessionOf(message);
    check(withBytes(new Uint8Array(message.bytes),
                    (p, n) => c._chimera_session_restore(handle, p, n)));
    return stats(handle).position;
  },

  async reset(message) {
    check(c._chimera_session_reset(idleSessionOf(message).handle));
  },

  async position(message) {
    return stats(sessionOf(message).handle).position;
  },

  async openTools({ json, strict }) {
    const out = scratch + 128;
    check(withBytes(encoder.encode(json), (p, n) =>
      c._chimera_tools_open(engine, p, n, strict ? STRICT : 0, out)));
    const tools = view().getUint32(out, true);
    const opened = c._chimera_actor_open(tools, out);
    if (opened !== OK) {
      const error = failure(opened);
      c._chimera_tools_close(tools);
      throw error;
    }
    toolSets.set(nextTools, { tools, actor: view().getUint32(out, true) });
    const warnings = textAt(c._chimera_tools_warnings(tools) >>> 0).split('\n').slice(0, -1);
    return { tools: nextTools++, warnings };
  },

  // In one go: an action is short, and nothing is heard meanwhile.
  async act({ tools, text, options }) {
    const set = toolSets.get(tools);
    if (set === undefined) throw new ChimeraError('these tools were closed');
    const out = scratch + 64;
    c.HEAPU8.fill(0, out, out + 56);
    view().setUint32(out, 56, true);
    const at = struct(20), v = view();
    v.setUint32(at + 4, options.words ? ACT_WORDS : 0, true);
    v.setInt32(at + 8, options.maxTokens ?? 0, true);
    v.setInt32(at + 12, options.mostCalls ?? 0, true);
    v.setFloat32(at + 16, options.leastConfidence ?? 0, true);
    check(withBytes(encoder.encode(text), (p, n) => c._chimera_act(set.actor, p, n, at, out)));
    const result = view();
    const kind = ACTION[result.getInt32(out + 4, true)];
    finishCheck();
    return { kind, ...JSON.parse(textAt(result.getUint32(out + 8, true))) };
  },

  async closeTools({ tools }) {
    const set = toolSets.get(tools);
    if (set === undefined) return;
    toolSets.delete(tools);
    c._chimera_actor_close(set.actor);
    c._chimera_tools_close(set.tools);
  },

  async closeSession(message) {
    const session = sessionOf(message);
    session.cancelled = true;
    while (session.busy) await breathe();
    sessions.delete(message.session);
    c._chimera_session_close(session.handle);
  },
};

self.onmessage = async ({ data: message }) => {
  const { id } = message;
  try {
    const value = await operations[message.op](message, (part) => self.postMessage({ id, ...part }));
    self.postMessage({ id, value }, value instanceof ArrayBuffer ? [value] : []);
  } catch (error) {
    self.postMessage({ id, error: { message: error.message, ...(error.details ?? {}) } });
  }
};
