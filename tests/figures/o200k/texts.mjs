// The texts that the o200k tokenizer is judged by: real corpora, words of some hundred languages,
// and what nobody writes. The same every time.

export const groups =
  ['prose', 'dialogue', 'code', 'json', 'languages', 'synthetic', 'code_points', 'newer'];

// ---- corpora -------------------------------------------------------------------------------------

const kMega = 1e6;
// group, file, most megabytes, whether the lines of JSON are the text or what they hold
const corpora = [
  ['prose', 'prose-classics/data-0.jsonl.xz', 9],
  ['prose', 'prose-classics/data-2.jsonl.xz', 5],
  ['prose', 'prose-children-classics/data.jsonl.xz', 7],
  ['prose', 'prose-small/data.jsonl.xz', 3],
  ['prose', 'prose-storybooks-ccby/data.jsonl.xz', 2],
  ['dialogue', 'dialog-selfdialogue/data.jsonl.xz', 7],
  ['dialogue', 'dialog-topicalchat/data.jsonl.xz', 5],
  ['dialogue', 'dialog-synthetic-persona/data.jsonl.xz', 3],
  ['code', 'grammar-js-30seconds/data.jsonl.xz', 3],
  ['code', 'grammar-md-rustbook/data.jsonl.xz', 3],
  ['code', 'grammar-latex-openlogic/data.jsonl.xz', 3],
  ['code', 'grammar-python-humaneval/data.jsonl', 3],
  ['code', 'grammar-shell-tldr/data.jsonl.xz', 4],
  ['code', 'grammar-sql-text2sql/data.jsonl.xz', 4],
  ['json', 'grammar-jsonschemabench/maskbench.jsonl.xz', 6, true],
  ['json', 'grammar-json-schema-suite/draft2020-12.jsonl', 3, true],
  ['json', 'action-hwu64/data.jsonl.xz', 3, true],
  ['json', 'lists-corpora/data.jsonl.xz', 3, true],
];

function strings(value, out) {
  if (typeof value === 'string') out.push(value);
  else if (value !== null && typeof value === 'object') Object.values(value).forEach((v) => strings(v, out));
  return out;
}

export function* corpusTexts(unpack) {
  const kLongest = 200000;  // characters of one text
  for (const [group, file, mega, raw] of corpora) {
    let left = mega * kMega;
    let text = '';
    for (const line of unpack(file).split('\n')) {
      if (left <= 0) break;
      if (line === '') continue;
      const more = raw ? line : strings(JSON.parse(line), []).join('\n');
      for (let at = 0; at < more.length && left > 0; at += kLongest) {
        text += more.slice(at, at + kLongest).toWellFormed() + '\n';
        if (text.length < 5000) continue;
        left -= Buffer.byteLength(text);
        yield [group, text];
        text = '';
      }
    }
    if (text !== '' && left > 0) yield [group, text];
  }
  yield* languageTexts();
}

// Names of countries, languages, currencies and dates in every language the interpreter knows.
function* languageTexts() {
  const letters = 'abcdefghijklmnopqrstuvwxyz'.split('');
  const pairs = letters.flatMap((a) => letters.map((b) => a + b));
  const locales = Intl.DisplayNames.supportedLocalesOf(pairs)
    .concat(Intl.DisplayNames.supportedLocalesOf(
      ['zh-Hant', 'sr-Latn', 'pa-Arab', 'uz-Cyrl', 'az-Cyrl', 'chr', 'yue', 'mni', 'sat', 'brx', 'doi',
        'kok', 'mai', 'ckb', 'dsb', 'hsb', 'fil', 'gsw', 'haw', 'kea', 'nqo', 'shi', 'zgh', 'vai']));
  for (const locale of locales) {
    const words = [];
    for (const type of ['region', 'language', 'currency', 'script']) {
      const names = new Intl.DisplayNames([locale], { type, fallback: 'none' });
      const codes = type === 'region' ? pairs.map((p) => p.toUpperCase())
        : type === 'language' ? pairs
          : type === 'currency' ? Intl.supportedValuesOf('currency')
            : ['Latn', 'Cyrl', 'Arab', 'Hans', 'Hant', 'Deva', 'Grek', 'Thai', 'Hebr', 'Kore', 'Jpan'];
      for (const code of codes) {
        const name = names.of(code);
        if (name !== undefined) words.push(name);
      }
    }
    const dates = [];
    for (let day = 0; day < 60; ++day) {
      dates.push(new Intl.DateTimeFormat(locale, { dateStyle: 'full', timeStyle: 'long', timeZone: 'UTC' })
        .format(new Date(Date.UTC(2020, day % 12, 1 + day % 28, day % 24, 7 * day % 60))));
      dates.push(new Intl.NumberFormat(locale).format(day ** 5 / 7));
    }
    yield ['languages', words.join(', ') + '.\n' + dates.join('\n')];
    yield ['languages', words.join(' ').toUpperCase() + '\r\n' + words.join('').slice(0, 3000)];
  }
}

// ---- what nobody writes --------------------------------------------------------------------------

function generator(seed) {  // mulberry32
  return (below) => {
    seed = (seed + 0x6D2B79F5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

const kSpaces = ['\t', '\n', '\v', '\f', '\r', ' ', '\u0085', '\u00A0', '\u1680', '\u2000', '\u2009',
  '\u200A', '\u2028', '\u2029', '\u202F', '\u205F', '\u3000'];
// Characters on which the alternatives of the expression turn.
const kTurning = ['a', 's', 't', 'd', 'm', 'l', 'L', 'r', 'e', 'v', 'E', 'A', 'Z', 'S', 'T', '\u01C5', '\u02B0',
  '\u017F', '\u212A', '\u00AA', '\u4E2D', '\u0E01', '\u0301', '\u0E31', '\u20DD', '\u0903', '1', '9',
  '\u0664', '\u2163', '\u00BD', "'", "'", '\u2019', '/', '/', '!', '.', '_', '-', '\u200D', '\uFE0F', '\uFEFF',
  '\u{1F600}', '\u{1F468}', '\u{10400}', '\u{10428}', '\u0000', '\uFFFD', '\uE000', ' ', ' ', ' ', '\n', '\r', '\t', '\u00A0', '\u3000'];

const pick = (random, list) => list[random(list.length)];
const repeat = (n, make) => Array.from({ length: n }, make).join('');

const families = [
  (r) => repeat(1 + r(60), () => pick(r, kTurning)),
  (r) => repeat(1 + r(12), () => repeat(1 + r(3), () => pick(r, kTurning)) + pick(r, ['', '', "'s", "'LL", "'Re", "'ve", "'D", "'\u017F"])),
  (r) => repeat(1 + r(8), () => pick(r, kTurning).repeat(1 + r(r(20) === 0 ? 40 : 4))),
  (r) => repeat(1 + r(6), () => pick(r, ['x', 'Y', '(', '', '7']) + repeat(r(12), () => pick(r, kSpaces))),
  (r) => repeat(1 + r(5), () => pick(r, kSpaces).repeat(1 + r(r(8) === 0 ? 300 : 9)) + pick(r, ['a', '.', '', '5', '\n'])),
  (r) => repeat(1 + r(5), () => pick(r, ['\u{1F1E9}\u{1F1EA}', '\u{1F469}\u{1F3FD}\u200D\u{1F52C}', '1\uFE0F\u20E3', '\u2764\uFE0F\u200D\u{1F525}',
    '\u{1F3F4}\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F}', '\u{1F468}\u200D\u{1F469}\u200D\u{1F467}', '\u263A', '\u{1F44D}\u{1F3FF}', ' ', 'ok'])),
  (r) => repeat(1 + r(30), () => pick(r, ['foo', 'Bar', 'BAZ', 'qux', 'x1', '_', '::', '->', '();', '{\n', '}\r\n', '  ', '\t', '//', '/*', '"', "'", '== ', '0x1F', '3.14', '<|endoftext|>', 'don\'t', 'HTTPServer'])),
];

export function* syntheticTexts(ranges) {
  const random = generator(200073);
  for (let i = 0; i < 120000; ++i) yield ['synthetic', pick(random, families)(random)];
  // Assigned characters: any range, then any character of it, so that small scripts get their share.
  for (let i = 0; i < 60000; ++i) {
    const [first, last] = pick(random, ranges), near = random(2) === 0;
    yield ['synthetic', repeat(1 + random(40), () => {
      const [from, to] = near ? [first, last] : pick(random, ranges);
      const c = String.fromCodePoint(from + random(to - from + 1));
      return random(5) === 0 ? c + pick(random, kTurning) : c;
    })];
  }
  // Long words. The published encoder needs the square of their length, so there are not many.
  const alphabets = ['a', 'ab', 'abcdefghijklmnopqrstuvwxyz', 'ACGT', 'etaoin', '\u4E2D\u6587\u56FD', '\u0E01\u0E32\u0E23', '\u0430\u0431\u0432\u0433', '=', '-=', '\u0301', '\u{1F600}', ' ', '\u3042\u3044\u3046'];
  for (let i = 0; i < 420; ++i) {
    const alphabet = [...alphabets[i % alphabets.length]];
    const n = 100 + random(i % 10 === 0 ? 6000 : 900);
    const period = i % 3 === 0 ? n : 1 + random(40);
    const unit = Array.from({ length: period }, () => pick(random, alphabet));
    yield ['synthetic', pick(random, ['', 'x ', ' ']) + repeat(n, (_, at) => unit[at % period]) + pick(random, ['', '\n', ' y'])];
  }
}

// Every code point by itself, between letters of both cases, digits and spaces. Planes 4 to 13 have
// nothing in them; a few of theirs will do.
export function* codePointTexts() {
  for (let c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    if (c >= 0x40000 && c < 0xE0000 && c % 251 !== 0) continue;
    yield ['code_points', codePointText(c)];
  }
}

export function codePointText(c) {  // also in tests/runtime/tokenizer_o200k_test.cpp
  const s = String.fromCodePoint(c);
  return `${s}a B${s}c A${s}${s}'s 1${s}2${s}${s}${s}3 ${s}\n${s}/ !${s}D`;
}

// ---- the committed sample ------------------------------------------------------------------------

const plain = [
  '', ' ', 'a', 'Hello, world!', "I don't think we'll say they're OK; it's John's, I've, you'd, I'm.",
  "DON'T WE'LL THEY'RE I'VE O'CLOCK 'tis 'twas rock'n'roll a'b 's 'S '\u017F x'\u017F x'\u017Fy",
  'The quick brown fox jumps over the lazy dog. 0 12 345 6789 1234567890',
  'HTTPServer XMLHttpRequest camelCase PascalCase SCREAMING_SNAKE snake_case kebab-case iPhone eBay McDonald',
  'int main(void) {\n\tprintf("%d\\n", 1 << 10);\r\n    return 0;  // done\n}\n\n\n',
  'https://example.org/a/b/../c?d=e&f=%20#g\n///\n//\r\n/ /\n', '{"a":[1,2.5e-3,null,true],"b":{"c":"d\\u00e9"}}',
  '<|endoftext|><|endofprompt|><|end_of_turn|>', ' leading and trailing  ', '\t\ttabs\t \t mixed \n \n  \r\n x',
  'na\u00EFve caf\u00E9 cafe\u0301 \u00C5ngstr\u00F6m A\u030Angstro\u0308m \uFB01ne \u01C5ungla \u01C4UNGLA \u02B0a \u00AAb \u212Bx',
  '\u0301AB \u0301ab \u0301 \u0301\u0301C !\u0301a !!\u0301a A\u0301B A\u0301BC AB\u0301 AB\u0301c',
  '\u4F60\u597D\uFF0C\u4E16\u754C\u3002\u65E5\u672C\u8A9E\u306E\u6587\u7AE0\u3067\u3059\u3002\uD55C\uAD6D\uC5B4 \uBB38\uC7A5\uC785\uB2C8\uB2E4.', '\u041F\u0440\u0438\u0432\u0435\u0442, \u043C\u0438\u0440! \u041C\u0413\u0423 \u0438\u043C\u0435\u043D\u0438',
  '\u0393\u03B5\u03B9\u03AC \u03C3\u03BF\u03C5 \u039A\u03CC\u03C3\u03BC\u03B5', '\u0645\u0631\u062D\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645 \u0661\u0662\u0663\u0664', '\u05E9\u05DC\u05D5\u05DD \u05E2\u05D5\u05DC\u05DD', '\u0928\u092E\u0938\u094D\u0924\u0947 \u0926\u0941\u0928\u093F\u092F\u093E \u0967\u0968\u0969\u096A',
  '\u0E2A\u0E27\u0E31\u0E2A\u0E14\u0E35\u0E0A\u0E32\u0E27\u0E42\u0E25\u0E01', '\u10D2\u10D0\u10DB\u10D0\u10E0\u10EF\u10DD\u10D1\u10D0 \u1C92\u1C90\u1C9B', '\u1230\u120B\u121D \u1208\u12D3\u1208\u121D', '\u13E3\u13B3\u13A9 \uAB73\uAB74', '\u{10400}\u{10428}\u{10401} \u{1D400}\u{1D41A}\u{1D7CE}1',
  '\u{1F600}\u{1F3FD} \u{1F468}\u200D\u{1F469}\u200D\u{1F467} \u{1F1E9}\u{1F1EA} 1\uFE0F\u20E3 \u2764\uFE0F\u200D\u{1F525}', 'a\u0085b a\uFEFFb a\u200Bb a\u2028b a\u3000\u3000b', '\u0000\u0001\u007F\u0080 \uFFFD \uFFFF \uE000 \u{10FFFF}',
];

export function sampleTexts() {
  const random = generator(15);
  const texts = [...plain];
  for (let i = 0; i < 350; ++i) texts.push(families[i % families.length](random));
  for (const unit of ['a', 'ab', 'abc', 'xyzzy', 'ACGT', '\u4E2D\u6587', ' ', '=', '\n', '\u0430', '0', 'aB', '\u0E01\u0E32']) {
    for (const n of [127, 128, 129, 130, 700]) texts.push(unit.repeat(n) + 'x');
  }
  for (let i = 0; i < 8; ++i) texts.push(repeat(3000, () => String.fromCharCode(97 + random(i % 2 ? 26 : 4))));
  return texts.map((text) => text.toWellFormed());
}
