// The handler table has an entry for everything the decoder can produce.

import assert from 'node:assert';
import { test } from 'node:test';
import { decode, M, NEED_MORE, R } from '../../../src/i386/decode';
import { HANDLERS, UNBOUND } from '../../../src/i386/interpreter';
import { ROWS } from '../../../src/i386/rows';
import { stream } from './bench-cpu';

const ROW_UD = 0;

test('every row of the opcode list has a binder', () => {
  assert.deepEqual(UNBOUND, []);
});

test('the table has eight forms for each row, all of them functions', () => {
  assert.equal(HANDLERS.length, ROWS.length * 8);
  assert.ok(HANDLERS.every((handler) => typeof handler === 'function'));
});

test('every encoding that the decoder accepts has a handler of its own, and the rest is row 0', () => {
  const invalid = HANDLERS[ROW_UD]; // form 0 of row 0 never occurs: it holds what unbound forms hold
  const record = new Int32Array(8);
  const next = stream(99);
  const bytes = new Uint8Array(15);
  let accepted = 0;
  for (const prefix of [[], [0x66], [0x67], [0xf3], [0xf2], [0x66, 0x67]]) {
    for (let map = 0; map < 2; map++) {
      for (let opcode = 0; opcode < 256; opcode++) {
        for (let modrm = 0; modrm < 256; modrm++) {
          for (let k = 0; k < 15; k++) bytes[k] = next();
          let p = 0;
          for (const b of prefix) bytes[p++] = b;
          if (map === 1) bytes[p++] = 0x0f;
          bytes[p++] = opcode;
          bytes[p] = modrm;
          const length = decode(bytes, 0, 15, (modrm & 1) === 0 || prefix.length > 0, record, 0);
          if (length === NEED_MORE) continue;
          const row = record[R.FORM] >> 3;
          if (row === ROW_UD) continue;
          accepted++;
          assert.equal((record[R.META] & M.MEMORY) !== 0, (record[R.FORM] & 1) === 1);
          assert.notEqual((record[R.FORM] >> 1) & 3, 3, `${ROWS[row].name}: form without a size`);
          assert.notEqual(HANDLERS[record[R.FORM]], invalid, `${ROWS[row].name} ${ROWS[row].args}: form ${record[R.FORM] & 7} raises #UD`);
        }
      }
    }
  }
  assert.ok(accepted > 500_000, `only ${accepted} encodings were accepted`);
});
