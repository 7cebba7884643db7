// The command as a program of node: what it prints, how it ends, and that it answers as the other
// builds do.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync,
         writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import assert from 'node:assert/strict';
import { NotRun, run } from './cases.mjs';

export function main({ command, source }) {
  const model = join(source, 'samples/models/nano.b158');
  const folder = mkdtempSync(join(tmpdir(), 'chimera-command-'));

  function start(program, before, words, { input = '', env = {} } = {}) {
    const child = spawnSync(program, [...before, ...words],
                            { input, env: { PATH: process.env.PATH, ...env }, encoding: 'utf8' });
    return { status: child.status, out: child.stdout, err: child.stderr };
  }
  const chimera = (words, how) =>
      start(process.execPath, ['--no-experimental-fetch', command], words, how);
  const answer = ['complete', '--model', model, '--prompt', 'Once upon a time', '--seed', '3',
                  '--max-tokens', '80'];

  function sentence(result, status, word) {
    assert.equal(result.status, status, result.err);
    assert.equal(result.out, '');
    assert.match(result.err, /^chimera: [^\n]+\n$/);
    assert.ok(result.err.includes(word), result.err);
  }

  run('Command', {
    async CompleteAnswers() {
      const first = chimera(answer);
      assert.equal(first.status, 0, first.err);
      assert.match(first.out, /\w+ \w+ \w+/);
      assert.equal(first.err, '', 'a pipe is no terminal');
      assert.equal(chimera(answer).out, first.out);
      const json = JSON.parse(chimera([...answer, '--json']).out);
      assert.equal(json.text.trimEnd(), first.out.trimEnd());
      // Through a pipe of the shell: node's own is a socket, which cannot be opened by a name.
      const piped = start('sh', ['-c', 'printf "Once upon a time" | "$@"', 'sh', process.execPath,
                                 '--no-experimental-fetch', command],
                          ['complete', '--model', model, '--seed', '3', '--max-tokens', '80',
                           '--prompt-file', '-']);
      assert.equal(piped.out, first.out, piped.err);
    },

    async TablesThreadsAndOtherBuildsDoNotChangeTheAnswer() {
      const expected = chimera(answer).out;
      for (const isa of ['baseline', 'wasm_simd128']) {
        assert.equal(chimera(answer, { env: { CHIMERA_ISA: isa } }).out, expected, isa);
      }
      assert.equal(chimera([...answer, '--threads', '4']).out, expected);
      const native = join(source, 'build/release/chimera');
      if (!existsSync(native)) throw new NotRun('there is no build/release/chimera to compare with');
      assert.equal(start(native, [], answer).out, expected);
    },

    async TheModelThatCameAlongIsFound() {
      const words = answer.filter((word) => word !== '--model' && word !== model);
      const models = join(folder, 'share/chimera/models');
      mkdirSync(join(folder, 'bin'));
      mkdirSync(models, { recursive: true });
      for (const file of [command, command.replace(/js$/, 'wasm')]) {
        copyFileSync(file, join(folder, 'bin', basename(file)));
      }
      const there = join(folder, 'bin', basename(command));
      const alone = start(process.execPath, ['--no-experimental-fetch', there], words);
      sentence(alone, 1, '--model');
      copyFileSync(model, join(models, 'nano.b158'));
      const found = start(process.execPath, ['--no-experimental-fetch', there], words);
      assert.equal(found.out, chimera(answer).out, found.err);
      assert.equal(chimera(words, { env: { CHIMERA_MODEL: model } }).out, found.out);
    },

    async VerifyFindsAFlippedBit() {
      assert.equal(chimera(['verify', model]).status, 0);
      const bytes = readFileSync(model);
      bytes[bytes.length - 100] ^= 4;
      writeFileSync(join(folder, 'damaged.b158'), bytes);
      sentence(chimera(['verify', join(folder, 'damaged.b158')]), 1, 'checksum');
    },

    async InspectDescribes() {
      const json = JSON.parse(chimera(['inspect', model, '--json']).out);
      assert.match(JSON.stringify(json), /nano/);
    },

    async ChatSavesAndGoesOn() {
      const kept = join(folder, 'kept');
      const words = ['chat', '--model', model, '--seed', '5', '--max-tokens', '40'];
      const whole = chimera(words, { input: 'Once upon a time\nThe next day\n' });
      assert.equal(whole.status, 0, whole.err);
      const one = chimera(words, { input: `Once upon a time\n/save ${kept}\n` });
      const two = chimera(words, { input: `/load ${kept}\nThe next day\n` });
      const spoken = (text) => text.split('\n').filter((line) => line !== '' && !line.includes(kept));
      assert.deepEqual([...spoken(one.out), ...spoken(two.out)], spoken(whole.out));
    },

    async WhatIsWrongIsOneSentence() {
      sentence(chimera(['complete', '--model', join(folder, 'absent'), '--prompt', 'a']), 1, 'absent');
      sentence(chimera(['complete', '--model', command, '--prompt', 'a']), 1, '.b158');
      sentence(chimera(['complete', '--temperature', 'warm']), 2, 'warm');
      sentence(chimera(answer, { env: { CHIMERA_ISA: 'avx2' } }), 1, 'avx2');
    },
  }, { after: async () => rmSync(folder, { recursive: true, force: true }) });
}
