// The sample of instruction vectors in test/vectors, through both engines. The whole sets are for `npm run test:vectors`.

import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runVectorFile, vectorsCommand } from '../../src/cli/vectors';

const FOLDER = join(process.cwd(), 'test', 'vectors');

for (const file of readdirSync(FOLDER).filter((name) => name.endsWith('.jsonl.gz'))) {
  // System cases are single steps, which the interpreter does whatever the engine.
  for (const engine of file.startsWith('sys_') || file.startsWith('sst286')
    ? (['interpreter'] as const)
    : (['interpreter', 'jit'] as const)) {
    test(`every sampled case of ${file.replace('.jsonl.gz', '')} ends as captured, on the ${engine}`, () => {
      let cases = 0;
      const wrong: string[] = [];
      runVectorFile(join(FOLDER, file), engine, (verdict) => {
        cases++;
        if (verdict.differences.length > 0) wrong.push(`${verdict.name}: ${verdict.differences.join(', ')}\n${verdict.detail()}`);
      });
      assert.ok(cases >= 14, `only ${cases} cases in ${file}`);
      assert.equal(wrong.length, 0, wrong.slice(0, 3).join('\n'));
    });
  }
}

test('the vectors command without a path says how it is used', () => {
  const lines: string[] = [];
  assert.equal(
    vectorsCommand([], (line) => lines.push(line)),
    64,
  );
  assert.match(lines[0], /^usage: /);
});

test('a vector path that cannot be used is one line that says why', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lguest-vectors-'));
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const cases: [string, RegExp][] = [
    [join(folder, 'nowhere'), /nowhere: there is no such file or folder/],
    [mkdtempSync(join(folder, 'empty-')), /no \.jsonl or \.jsonl\.gz file in this folder/],
    [file('words.jsonl', 'zz\n'), /line 1 is not a vector/],
    [file('cut.jsonl', '{"format":"hwvec-1","group":"x"}\n{"n":'), /line 2 is not a vector with n, b, r, f, o/],
    [file('other.jsonl', '{"a":1}\n'), /neither hwvec-1 nor SingleStepTests/],
    [file('broken.jsonl.gz', '\x1f\u{8b}zz'), /broken\.jsonl\.gz: /],
  ];
  for (const [path, message] of cases) {
    assert.throws(
      () => vectorsCommand([path], () => {}),
      (thrown: Error) => thrown.name === 'UsageError' && message.test(thrown.message) && !thrown.message.includes('\n'),
      path,
    );
  }
  rmSync(folder, { recursive: true });
});
