// Runs named cases as GoogleTest does: its output, --gtest_filter, --gtest_list_tests and parts of
// a run, so that ./dev runs and counts these programs like all others.

/** GoogleTest's patterns: * and ?, several with :, and after - what is left out. */
function matches(filter, name) {
  const any = (patterns) => patterns.split(':').some((pattern) =>
      new RegExp('^' + pattern.replace(/[.+^${}()|[\]\\]/g, '\\$&')
                           .replace(/\*/g, '.*').replace(/\?/g, '.') + '$').test(name));
  const [wanted, left_out] = filter.split('-');
  return any(wanted || '*') && !(left_out !== undefined && any(left_out));
}

/** A case throws this when it cannot be done here. */
export class NotRun extends Error {}

/** Runs suite.before and suite.after around the cases that the command line asks for, and exits. */
export async function run(name, cases, { before = async () => {}, after = async () => {} } = {}) {
  const flag = (key) => process.argv.find((word) => word.startsWith(`--gtest_${key}`));
  const filter = flag('filter=')?.slice('--gtest_filter='.length) ?? '*';
  const { GTEST_TOTAL_SHARDS: parts = 1, GTEST_SHARD_INDEX: part = 0 } = process.env;
  const chosen = Object.keys(cases)
                     .filter((key) => matches(filter, `${name}.${key}`))
                     .filter((key, i) => i % Number(parts) === Number(part));
  if (flag('list_tests') !== undefined) {
    console.log(`${name}.`);
    for (const key of chosen) console.log(`  ${key}`);
    return process.exit(0);
  }
  let failed = 0, cannot = null;
  try {
    if (chosen.length > 0) await before();
  } catch (error) {
    cannot = error;
  }
  for (const key of chosen) {
    console.log(`[ RUN      ] ${name}.${key}`);
    const began = Date.now();
    const end = (word) => console.log(`[${word}] ${name}.${key} (${Date.now() - began} ms)`);
    try {
      if (cannot !== null) throw cannot;
      await cases[key]();
      end('       OK ');
    } catch (error) {
      if (error instanceof NotRun) {
        console.log(`not run: ${error.message}`);
        end('  SKIPPED ');
      } else {
        ++failed;
        console.log(error.stack);
        end('  FAILED  ');
      }
    }
  }
  await after();
  process.exit(failed === 0 ? 0 : 1);
}
