// The debugger as a whole, where no other test of this folder looks: names that JavaScript's own objects have, lists of breakpoints, and Guests that get nowhere.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ExpressionError } from '../../src/debugger/expression';
import { recordFilter } from '../../src/debugger/record-query';
import { parseGrouping } from '../../src/debugger/statistics';
import { ask, make } from './stand';

test('names that every JavaScript object has are no registers, commands, fields or groups', () => {
  const { d } = make();
  for (const name of ['constructor', 'toString', 'valueOf']) {
    assert.throws(() => d.evaluate(`$${name}`, undefined, false), ExpressionError, name);
    assert.throws(() => recordFilter(name, d.programs), /a filter of records has no/, name);
    assert.throws(() => parseGrouping(name), /stats by what\?/, name);
    const [watch] = d.setWatches([{ dataId: `reg:${name}`, access: 'write' }]);
    assert.match(watch.problem ?? '', /no register ".*" can be watched/, name);
  }
  assert.throws(() => ask(d, 'constructor'), /"constructor" is no command/);
});
