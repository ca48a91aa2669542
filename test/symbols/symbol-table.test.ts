import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ProgramSymbol, SymbolTable, isPattern, namePattern } from '../../src/symbols/symbol-table';

const symbol = (name: string, address: number, size: number, more: Partial<ProgramSymbol> = {}): ProgramSymbol => ({
  name,
  address,
  size,
  sized: size > 0,
  kind: 'function',
  binding: 'global',
  source: 'elf',
  ...more,
});

const MAP = `c0100000 T _text
c0100000 t startup_32
c0101000 T do_one_initcall
c0101040 t helper.isra.0
c0101080 W weak_one
c0102000 D jiffies
c0102004 b hidden
00000004 A constant
         U undefined_symbol
garbage
f8801000 t probe	[demo]
`;

test('a sized symbol contains its last byte and not the one after', () => {
  const table = new SymbolTable([symbol('f', 0x1000, 0x10), symbol('g', 0x1020, 0x10)]);
  assert.deepEqual([table.lookup(0x100f)?.name, table.lookup(0x100f)?.offset], ['f', 15]);
  assert.equal(table.lookup(0x1010), undefined);
  assert.deepEqual([table.nearest(0x1010)?.name, table.nearest(0x1010)?.offset], ['f', 16]);
  assert.equal(table.lookup(0xfff), undefined);
  assert.equal(table.nearest(0xfff), undefined);
});

test('an enclosing symbol answers where a smaller one inside of it has ended', () => {
  const table = new SymbolTable([symbol('outer', 0x1000, 0x100), symbol('inner', 0x1010, 4)]);
  assert.equal(table.lookup(0x1012)?.name, 'inner');
  assert.deepEqual([table.lookup(0x1020)?.name, table.lookup(0x1020)?.offset], ['outer', 0x20]);
});

test('a symbol without a size reaches to the next one', () => {
  const table = SymbolTable.fromText(MAP);
  const hit = table.lookup(0xc0101050);
  assert.deepEqual([hit?.name, hit?.offset, hit?.size, hit?.sized], ['helper.isra.0', 0x10, 0x40, false]);
});

test('of several names of one address functions go before labels and globals before locals', () => {
  const table = new SymbolTable([
    symbol('label', 0x1000, 0, { kind: 'label' }),
    symbol('local', 0x1000, 8, { binding: 'local' }),
    symbol('weak', 0x1000, 8, { binding: 'weak' }),
    symbol('global', 0x1000, 8),
  ]);
  assert.equal(table.lookup(0x1000)?.name, 'global');
  assert.equal(table.lookup(0x1004)?.name, 'global');
});

test('System.map letters give kind and binding, and lines that name no place are passed over', () => {
  const table = SymbolTable.fromText(MAP);
  assert.equal(table.size, 8);
  assert.deepEqual([table.named('jiffies')?.kind, table.named('jiffies')?.binding], ['object', 'global']);
  assert.deepEqual([table.named('hidden')?.kind, table.named('hidden')?.binding], ['object', 'local']);
  assert.equal(table.named('weak_one')?.binding, 'weak');
  assert.equal(table.named('constant'), undefined);
  assert.equal(table.lookup(0xc0100000)?.name, '_text');
});

test('kallsyms text names the module of a symbol', () => {
  assert.equal(SymbolTable.fromText(MAP, 'kallsyms').named('probe')?.module, 'demo');
});

test('merging keeps what the first table says and counts each source', () => {
  const elf = new SymbolTable([symbol('do_one_initcall', 0xc0101000, 0x33)]);
  const merged = SymbolTable.merge([elf, SymbolTable.fromText(MAP)]);
  assert.deepEqual([merged.named('do_one_initcall')?.source, merged.named('do_one_initcall')?.size], ['elf', 0x33]);
  assert.deepEqual(merged.counts(), { elf: 1, 'System.map': 7 });
});

test('every address of a repeated name is found, in order', () => {
  const table = new SymbolTable([
    symbol('init', 0x3000, 4, { binding: 'local' }),
    symbol('init', 0x1000, 4, { binding: 'local' }),
    symbol('init', 0x2000, 4),
  ]);
  assert.deepEqual(table.addressesOf('init'), [0x1000, 0x2000, 0x3000]);
  assert.equal(table.named('init')?.address, 0x2000);
});

test('names are searched by wildcard and by regular expression, and a bad expression finds nothing', () => {
  const table = SymbolTable.fromText(MAP);
  assert.deepEqual(
    table
      .search('*_one*')
      .map((s) => s.name)
      .sort(),
    ['do_one_initcall', 'weak_one'],
  );
  assert.deepEqual(
    table.search('/^(jiff|hid)/').map((s) => s.name),
    ['jiffies', 'hidden'],
  );
  assert.deepEqual(table.search('/(/'), []);
  assert.deepEqual(table.search('hidden').length, 1);
  assert.deepEqual(table.search('helper.isra.?').length, 1);
  assert.deepEqual(table.search('helperXisra.?'), []);
  assert.ok(isPattern('sys_*') && isPattern('/x/') && !isPattern('/') && !isPattern('plain'));
  assert.ok(namePattern('a.b*')!.test('a.bc') && !namePattern('a.b*')!.test('axbc'));
});

test('completion gives names with the prefix, sorted and limited', () => {
  const table = SymbolTable.fromText(MAP);
  assert.deepEqual(table.completions('h'), ['helper.isra.0', 'hidden']);
  assert.deepEqual(table.completions('', 2).length, 2);
});

test('thousands of symbols at one address (a kallsyms without permission) are read in linear time', () => {
  const text = Array.from({ length: 50_000 }, (_, i) => `00000000 T name_${i}`).join('\n');
  const started = process.cpuUsage().user;
  assert.equal(SymbolTable.fromText(text, 'kallsyms').size, 50_000);
  assert.ok(process.cpuUsage().user - started < 5e6);
});
