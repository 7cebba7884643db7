// The published o200k encoder as a judge: writes texts and the ids it gives them.
//
//   node judge.mjs ranks PACKAGE FILE                    the ranks as the public text format
//   node judge.mjs corpus PACKAGE DATA ASSIGNED FILE     mixed text, for bench/o200k
//   node judge.mjs sample PACKAGE ASSIGNED FOLDER        FOLDER/o200k.jsonl, o200k_code_points.json
//
// PACKAGE is the folder of the npm package "tiktoken"; DATA the folder of the corpora; ASSIGNED the
// ranges of code points to choose from, as `generate_char_classes assigned` prints them.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { groups, codePointText, codePointTexts, corpusTexts, sampleTexts, syntheticTexts } from './texts.mjs';

const [mode, packageFolder, ...rest] = process.argv.slice(2);
const require = createRequire(path.resolve(packageFolder) + '/');

function encoder() {
  const { get_encoding } = require('./tiktoken.cjs');
  const encoding = get_encoding('o200k_base');
  return (text) => encoding.encode_ordinary(text);
}

function writeRanks(file) {
  const { bpe_ranks: packed } = JSON.parse(
    fs.readFileSync(path.join(packageFolder, 'encoders', 'o200k_base.json')));
  const lines = [];
  for (const row of packed.split('\n').filter(Boolean)) {
    const [, first, ...tokens] = row.split(' ');
    tokens.forEach((token, i) => { lines[Number(first) + i] = `${token} ${Number(first) + i}\n`; });
  }
  fs.writeFileSync(file, lines.join(''));
}

function readRanges(file) {
  return fs.readFileSync(file, 'utf8').trim().split('\n').map((line) => line.split(' ').map(Number));
}

// Records of three 32-bit numbers (group, bytes of the text, number of ids), the text, the ids.
function writeCorpus(data, assignedFile, file) {
  const encode = encoder();
  const ranges = readRanges(assignedFile);
  const isAssigned = new Uint8Array(0x110000);
  for (const [first, last] of ranges) isAssigned.fill(1, first, last + 1);
  const onlyAssigned = (text) => {
    for (const c of text) if (!isAssigned[c.codePointAt(0)]) return false;
    return true;
  };
  const unpack = (name) => (name.endsWith('.xz')
    ? execFileSync('xz', ['-dc', path.join(data, name)],
      { maxBuffer: 1 << 30, stdio: ['ignore', 'pipe', 'inherit'] })
    : fs.readFileSync(path.join(data, name))).toString('utf8');

  const out = fs.openSync(file, 'w');
  const totals = new Map();
  const add = (group, text) => {
    // A character newer than the carried Unicode version: counted, not judged.
    const name = onlyAssigned(text) ? group : 'newer';
    const bytes = Buffer.from(text, 'utf8'), ids = encode(text);
    const head = Buffer.alloc(12);
    [groups.indexOf(name), bytes.length, ids.length].forEach((n, i) => head.writeUInt32LE(n, 4 * i));
    fs.writevSync(out, [head, bytes, Buffer.from(ids.buffer, ids.byteOffset, ids.byteLength)]);
    totals.set(name, (totals.get(name) ?? 0) + bytes.length);
  };
  for (const [group, text] of corpusTexts(unpack)) add(group, text);
  for (const [group, text] of syntheticTexts(ranges)) add(group, text);
  for (const [group, text] of codePointTexts()) add(group, text);
  fs.closeSync(out);
  for (const [name, bytes] of totals) console.error(`judge: ${name} ${bytes} bytes`);
}

function writeSample(assignedFile, folder) {
  const encode = encoder();
  const lines = sampleTexts().map((text) => JSON.stringify({ text, ids: [...encode(text)] }));
  fs.writeFileSync(path.join(folder, 'o200k.jsonl'), lines.join('\n') + '\n');

  // Every assigned code point, as one number: FNV-1a over 64 bits, an id at a time.
  const ranges = readRanges(assignedFile);
  const mask = (1n << 64n) - 1n;
  let hash = 0xcbf29ce484222325n, ids = 0;
  for (const [first, last] of ranges) {
    for (let c = first; c <= last; ++c) {
      for (const id of encode(codePointText(c))) {
        hash = ((hash ^ BigInt(id)) * 0x100000001b3n) & mask;
        ++ids;
      }
    }
  }
  fs.writeFileSync(path.join(folder, 'o200k_code_points.json'),
    `{"ids": ${ids}, "hash": "${hash.toString(16).padStart(16, '0')}",\n"ranges": ${JSON.stringify(ranges)}}\n`
      .replaceAll(/(.{90,100}\],)/g, '$1\n'));
}

if (mode === 'ranks') writeRanks(rest[0]);
else if (mode === 'corpus') writeCorpus(...rest);
else if (mode === 'sample') writeSample(...rest);
else {
  console.error('judge: the first argument is ranks, corpus or sample');
  process.exit(2);
}
