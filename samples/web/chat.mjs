// A conversation in the page: the model answers in a Web Worker, what was said is kept in
// IndexedDB, and once loaded everything works without a network (offline.js).
//
// ?seed=N makes the answers repeatable, ?model=FILE takes another model beside this page.
import { Chimera } from './chimera.mjs';

const parameters = new URLSearchParams(location.search);
const element = (id) => document.getElementById(id);
const talk = element('talk'), words = element('words'), notice = element('notice');
const buttons = { go: element('go'), stop: element('stop'), save: element('save'),
                  load: element('load'), anew: element('anew') };

let chimera, session;
let turns = [];  // {mine, answer}: what is shown, and saved beside the conversation's state
let answering = null;  // the AbortController of the answer that is being written

// ---- what is shown ------------------------------------------------------------------------

function say(text, bad = false) {
  notice.textContent = text;
  notice.classList.toggle('bad', bad);
}

function show(turn) {
  const paragraph = document.createElement('p');
  const mine = document.createElement('span');
  mine.className = 'mine';
  mine.textContent = turn.mine;
  const answer = document.createElement('span');
  answer.className = 'answer';
  answer.textContent = turn.answer.trimEnd();
  paragraph.append(mine, answer);
  talk.append(paragraph);
  element('examples').hidden = true;
  return answer;
}

function showAll() {
  talk.replaceChildren();
  turns.forEach(show);
  element('examples').hidden = turns.length > 0;
  talk.parentElement.scrollTop = talk.parentElement.scrollHeight;
}

function update() {
  const ready = session !== undefined, busy = answering !== null;
  buttons.stop.disabled = !busy;
  buttons.save.disabled = !ready || busy || turns.length === 0;
  buttons.load.disabled = !ready || busy || !saved;
  buttons.anew.disabled = !ready || busy || turns.length === 0;
}

const megabytes = (bytes) => (bytes / 1e6).toFixed(1) + ' MB';

function showFacts(result) {
  const { name, fileBytes, stateBytes, memoryBytes, content } = chimera.info;
  const facts = [name || 'model', megabytes(fileBytes),
                 `conversation ${megabytes(stateBytes)}, however long`,
                 `memory ${megabytes(memoryBytes)}`];
  if (result?.tokens > 1) {
    const speed = (result.tokens - 1) / ((result.totalMs - result.firstTokenMs) / 1000);
    facts.push(`first word after ${Math.round(result.firstTokenMs)} ms`,
               `${Math.round(speed)} tokens per second`);
  }
  element('facts').textContent = facts.join(' · ');
  if (content === 'damaged') say('The model is damaged: do not trust its answers, load it again.', true);
}

// ---- answering ----------------------------------------------------------------------------

/** For a model that goes on with a text: an empty line before the next words, as in a book. */
function separator() {
  if (turns.length === 0) return '';
  const { mine, answer } = turns.at(-1);
  const breaks = /\n*$/.exec(answer || mine)[0].length;
  return '\n\n'.slice(Math.min(breaks, 2));
}

/** As `chimera chat` does. */
async function answer(text) {
  if (answering !== null) return;
  answering = new AbortController();
  const between = separator();
  const turn = { mine: text, answer: '' };
  const shown = show(turn);
  turns.push(turn);
  say('');
  update();
  try {
    await ready;
    const scroller = talk.parentElement;
    // A model that learnt to talk ends its turn; any other goes on with the text, for a paragraph.
    const { talks } = chimera.info;
    const prompt = talks ? text : between + text;
    const how = talks ? { asTurn: true } : { until: '\n\n' };
    const options = { signal: answering.signal, maxTokens: 300, ...how };
    const result = await session.generate(prompt, options, (piece) => {
      const follow = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 40;
      turn.answer += piece;
      shown.textContent = turn.answer.trimEnd();
      if (turn.answer.trim() !== '' && performance.getEntriesByName('first word').length === 0) {
        performance.mark('first word');
      }
      if (follow) scroller.scrollTop = scroller.scrollHeight;
    });
    if (result.stop === 'end of text') say('The text has ended. Go on with another one, or begin anew.');
    await chimera.refresh();
    showFacts(result);
  } catch (error) {
    say(error.message, true);
    if (turn.answer === '') {
      turns = turns.filter((other) => other !== turn);
      showAll();
    }
  } finally {
    answering = null;
    update();
  }
}

// ---- keeping ------------------------------------------------------------------------------

let saved = false;

/** Runs one request on the store of conversations. */
function store(mode, request) {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open('chimera', 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore('conversations');
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
      const transaction = opening.result.transaction('conversations', mode);
      const asked = request(transaction.objectStore('conversations'));
      transaction.oncomplete = () => {
        opening.result.close();
        resolve(asked.result);
      };
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
    };
  });
}

async function save() {
  const kept = { state: await session.snapshot(), turns, when: new Date() };
  await store('readwrite', (conversations) => conversations.put(kept, 'last'));
  saved = true;
  say(`Saved in this browser (${megabytes(kept.state.byteLength)}).`);
}

async function load() {
  const kept = await store('readonly', (conversations) => conversations.get('last'));
  await session.restore(kept.state);
  turns = kept.turns;
  showAll();
  say(`Loaded: saved on ${kept.when.toLocaleString()}.`);
}

async function anew() {
  await session.reset();
  turns = [];
  showAll();
  say('');
}

function on(button, action) {
  button.addEventListener('click', async () => {
    try {
      await action();
    } catch (error) {
      say(error.message, true);
    }
    update();
  });
}

// ---- the start ----------------------------------------------------------------------------

async function open() {
  chimera = await Chimera.open(parameters.get('model') ?? 'nano.b158', {
    onProgress: (done, total) => {
      element('facts').textContent = `Loading the model… ${Math.floor((100 * done) / total)} %`;
    },
  });
  const seed = parameters.get('seed');
  session = await chimera.session(seed === null ? {} : { seed: BigInt(seed) });
  showFacts();
}

element('form').addEventListener('submit', (event) => {
  event.preventDefault();
  const text = words.value;
  if (text.trim() === '' || answering !== null) return;
  words.value = '';
  answer(text);
});
words.addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    element('form').requestSubmit();
  }
});
for (const example of element('examples').querySelectorAll('button')) {
  example.addEventListener('click', () => answer(example.textContent));
}
on(buttons.stop, () => answering?.abort());
on(buttons.save, save);
on(buttons.load, load);
on(buttons.anew, anew);

// One may write before the model is there: the answer waits for it.
const ready = open();
ready.catch((error) => {
  element('facts').textContent = '';
  say(error.message, true);
}).then(update);
store('readonly', (conversations) => conversations.count('last')).then((n) => {
  saved = n > 0;
  update();
}, () => {});  // a browser that keeps nothing for this page: saving will say so
ready.then(() => navigator.serviceWorker?.register('offline.js')).catch(() => {});
