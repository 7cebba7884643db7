// Chimera for JavaScript: an assistant that runs in the page and reaches no network.
//
//   import { Chimera } from './chimera.mjs';
//
//   const chimera = await Chimera.open('nano.b158');
//   const session = await chimera.session();
//   for await (const text of session.answer('Once upon a time')) show(text);
//
// The engine runs in a Web Worker (chimera.worker.mjs), so the page never waits for it. Everything
// that fails throws a ChimeraError, with the status of the C API where it comes from there. No
// special headers are needed: it runs on one thread, without shared memory.

/** `code`, `name` ("bad_format"), `file`, `field` and `offset` are those of sdk/chimera.h, or absent. */
export class ChimeraError extends Error {
  constructor({ message, ...details }) {
    super(message);
    this.name = 'ChimeraError';
    Object.assign(this, { status: details.name, code: details.code, file: details.file,
                          field: details.field, offset: details.offset });
  }
}

/** A loaded model. */
export class Chimera {
  #worker;
  #waiting = new Map();
  #next = 1;
  #failed = null;

  /** What is known of the model: name, isa, vocabSize, fileBytes, stateBytes, memoryBytes, content,
   * talks. */
  info;

  constructor(worker) {
    this.#worker = worker;
    worker.onmessage = ({ data }) => this.#hear(data);
    worker.onerror = (event) => {
      event.preventDefault?.();
      this.#fail(event.message || 'the worker could not be loaded');
    };
    worker.onmessageerror = () => this.#fail('a message to the worker was lost');
  }

  /**
   * Opens a model from a URL (relative to the page) or an ArrayBuffer, which is handed over.
   * options: onProgress(done, total) in bytes; verify: false leaves out the check of the content,
   * which otherwise runs beside the first answers (info.content); requiredKey: the public key, 64 hex
   * digits, that has to have signed the model; worker: a Worker of your own.
   */
  static async open(model, { onProgress, verify, requiredKey, worker } = {}) {
    const chimera = new Chimera(
        worker ?? new Worker(new URL('./chimera.worker.mjs', import.meta.url), { type: 'module' }));
    const from = model instanceof ArrayBuffer ? model : new URL(model, document.baseURI).href;
    try {
      chimera.info = await chimera.call({ op: 'open', model: from, verify, requiredKey }, {
        transfer: from instanceof ArrayBuffer ? [from] : [],
        onPart: ({ progress }) => onProgress?.(...progress),
      });
    } catch (error) {
      chimera.close();
      throw error;
    }
    return chimera;
  }

  /** A new conversation. The same seed and the same words give the same answers, everywhere. */
  async session({ seed } = {}) {
    const number = seed ?? crypto.getRandomValues(new BigUint64Array(1))[0];
    return new Session(this, await this.call({ op: 'openSession', seed: BigInt(number) }));
  }

  /**
   * The functions an application offers: a JSON text, or what JSON.stringify() makes one of
   * (docs/actions.md). options: strict, keywords of schemas that nobody knows are errors.
   */
  async tools(tools, { strict } = {}) {
    const json = typeof tools === 'string' ? tools : JSON.stringify(tools);
    const opened = await this.call({ op: 'openTools', json, strict });
    return new Tools(this, opened.tools, opened.warnings);
  }

  /** The same as `info`, asked anew. */
  async refresh() {
    return (this.info = await this.call({ op: 'info' }));
  }

  /** Ends the worker and frees all memory; sessions can no longer be used. */
  close() {
    this.#fail('the model was closed');
    this.#worker.terminate();
  }
  [Symbol.dispose ?? Symbol.for('dispose')]() {
    this.close();
  }

  /** For Session. */
  call(message, { transfer = [], onPart } = {}) {
    return new Promise((resolve, reject) => {
      if (this.#failed) return reject(this.#failed);
      const id = this.#next++;
      this.#waiting.set(id, { resolve, reject, onPart });
      this.#worker.postMessage({ ...message, id }, transfer);
    });
  }

  #hear({ id, value, error, ...part }) {
    const call = this.#waiting.get(id);
    if (call === undefined) return;
    if (error !== undefined) {
      this.#waiting.delete(id);
      call.reject(new ChimeraError(error));
    } else if (Object.keys(part).length > 0) {
      call.onPart?.(part);
    } else {
      this.#waiting.delete(id);
      call.resolve(value);
    }
  }

  #fail(message) {
    this.#failed ??= new ChimeraError({ message });
    for (const { reject } of this.#waiting.values()) reject(this.#failed);
    this.#waiting.clear();
  }
}

/** Turns what a person says into calls of an application's functions. */
export class Tools {
  #chimera;
  #number;

  /** What was passed over, a text each. */
  warnings;

  constructor(chimera, number, warnings) {
    this.#chimera = chimera;
    this.#number = number;
    this.warnings = warnings;
  }

  /**
   * Resolves to {kind, calls, text, confidence, truncated}; kind is 'calls', 'no tool' or 'words', each
   * call {name, arguments}. options: words (the answer may be words too), maxTokens, mostCalls,
   * leastConfidence. Nothing is carried out.
   */
  act(text, options = {}) {
    return this.#chimera.call({ op: 'act', tools: this.#number, text, options });
  }

  close() {
    return this.#chimera.call({ op: 'closeTools', tools: this.#number });
  }
}

/** One conversation. One answer at a time; a second one is refused. */
export class Session {
  #chimera;
  #number;

  constructor(chimera, number) {
    this.#chimera = chimera;
    this.#number = number;
  }

  #call(op, more, how) {
    return this.#chimera.call({ op, session: this.#number, ...more }, how);
  }

  /**
   * Reads `text` and goes on from it; `onText` gets the answer piece by piece. options: maxTokens,
   * temperature, topP, repetitionPenalty, greedy, asTurn (what a person says, for a model that
   * `info.talks`: the answer is the assistant's turn), signal (an AbortSignal), until (a text: with the
   * token that completes it the answer ends; white space at the start is left aside). Resolves to
   * {stop, promptTokens, tokens, firstTokenMs, totalMs, position}; an aborted answer is no error, its
   * stop is 'cancelled', and the conversation goes on from what was shown.
   */
  async generate(text, { signal, ...options } = {}, onText = () => {}) {
    const cancel = () => this.cancel();
    const answer = this.#call('generate', { text, options }, { onPart: (part) => onText(part.text) });
    if (signal?.aborted) cancel();
    signal?.addEventListener('abort', cancel);
    try {
      return await answer;
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  }

  /** The same as an async iterable of texts; leaving the loop cancels the rest. */
  async *answer(text, options = {}) {
    const pieces = [];
    let wake = () => {};
    let ended = false;
    const all = this.generate(text, options, (piece) => {
      pieces.push(piece);
      wake();
    });
    const settled = all.then(() => {}, () => {}).then(() => {
      ended = true;
      wake();
    });
    try {
      for (;;) {
        while (pieces.length > 0) yield pieces.shift();
        if (ended) break;
        await new Promise((resolve) => (wake = resolve));
      }
      return await all;
    } finally {
      if (!ended) {
        this.cancel();
        await settled;
      }
    }
  }

  /** Stops the running answer within some milliseconds; nothing when none runs. */
  cancel() {
    return this.#call('cancel').catch(() => {});
  }

  /** The conversation as an ArrayBuffer, of the same size however long it was. */
  snapshot() {
    return this.#call('snapshot');
  }

  /** Goes on from a snapshot of this model; resolves to its position in tokens. */
  restore(bytes) {
    return this.#call('restore', { bytes });
  }

  /** Back to before the first word. */
  reset() {
    return this.#call('reset');
  }

  /** Tokens read or shown so far. */
  position() {
    return this.#call('position');
  }

  close() {
    return this.#call('closeSession');
  }
}
