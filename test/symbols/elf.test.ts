import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ElfFile } from '../../src/symbols/elf';
import { SymbolError } from '../../src/symbols/errors';
import { loadProgram } from '../../src/symbols/program-symbols';
import { whole } from '../../src/symbols/pieces';
import { withCompressed, withSection } from './add-section';
import { fixtureBytes } from './fixture';

const altered = (change: (bytes: Uint8Array, view: DataView) => void): Uint8Array => {
  const bytes = fixtureBytes('gcc-O2-dwarf5.elf').slice();
  change(bytes, new DataView(bytes.buffer));
  return bytes;
};
const refused = (bytes: Uint8Array, message: RegExp): void => {
  assert.throws(
    () => new ElfFile(bytes, { name: 'vmlinux' }),
    (error) => error instanceof SymbolError && message.test(error.message) && !error.message.includes('\n'),
  );
};

test('a file that is no i386 ELF is refused in one line that says what to give instead', () => {
  refused(new Uint8Array(0), /^vmlinux is too short .*check the path/);
  refused(new Uint8Array(4096), /^vmlinux is not an ELF file: give the uncompressed vmlinux/);
  refused(
    altered((bytes) => (bytes[4] = 2)),
    /64-bit ELF file: build it for i386/,
  );
  refused(
    altered((bytes) => (bytes[5] = 2)),
    /big-endian/,
  );
  refused(
    altered((_, view) => view.setUint16(18, 62, true)),
    /is for x86-64, not i386: build it with -m32/,
  );
});

test('segments and sections of a linked program are where the linker put them', () => {
  const elf = new ElfFile(fixtureBytes('gcc-O2-dwarf5.elf'));
  const text = elf.sectionNamed('.text')!;
  assert.deepEqual([text.address, text.executable, text.alloc], [0xc0100000, true, true]);
  assert.equal(elf.sectionNamed('.data')!.address, 0xc0200000);
  assert.equal(elf.sectionAt(0xc0100010)?.name, '.text');
  assert.equal(elf.sectionAt(0xc0fffff0), undefined);
  assert.ok(elf.segments.some((segment) => segment.type === 1 && segment.vaddr <= 0xc0100000));
  assert.equal(elf.problems.list.length, 0);
});

test('contents are read by run-time address, and .bss has none', () => {
  const elf = new ElfFile(fixtureBytes('gcc-O2-dwarf5.elf'));
  const symbols = new Map([...elf.symbols()].map((symbol) => [symbol.name, symbol]));
  const banner = elf.read(symbols.get('banner')!.value, 8);
  assert.equal(String.fromCharCode(...banner!), 'fixture\0');
  assert.equal(elf.read(symbols.get('table')!.value, 4), undefined);
  assert.equal(elf.read(0x1000, 4), undefined);
});

test('compressed debug sections read like plain ones', () => {
  const program = loadProgram(fixtureBytes('gcc-O1-dwarf5-zlib.elf'));
  assert.equal(program.elf.sectionNamed('.debug_info')!.flags & 0x800, 0x800);
  assert.deepEqual(
    program.compilationUnits().map((unit) => unit.name),
    ['main.c', 'other.c', 'entry.S'],
  );
  assert.deepEqual(program.problems, []);
});

test('a compressed section that claims an impossible size is refused before memory is taken', () => {
  const bytes = fixtureBytes('gcc-O1-dwarf5-zlib.elf').slice();
  const section = new ElfFile(bytes).sectionNamed('.debug_info')!;
  new DataView(bytes.buffer).setUint32(section.offset + 4, 0xf0000000, true);
  const program = loadProgram(bytes, { name: 'vmlinux' });
  assert.match(program.problems.join(), /\.debug_info of vmlinux claims to hold 4026531840 bytes/);
  assert.equal(program.hasDebugInfo, false);
  assert.ok(program.symbols.named('work'));
});

test('compressed sections that hold more or less than they claim, or more together than memory should hold, are left out and named', () => {
  const plain = fixtureBytes('gcc-O2-dwarf5.elf');
  const zeros = new Uint8Array(1 << 16);
  for (const claimed of [1, 65_535, 65_537]) {
    const program = loadProgram(withCompressed(plain, '.debug_junk', zeros, claimed), { name: 'vmlinux' });
    whole(program.elf.unpack());
    assert.match(program.problems.join(), /compressed debug section is damaged/, String(claimed));
    assert.equal(program.elf.contentsOf('.debug_junk'), undefined);
    assert.ok(program.hasDebugInfo);
  }
  // Headers only: nothing as large is ever unpacked here.
  const packed = new Uint8Array(600_000);
  new DataView(packed.buffer).setUint32(0, 1, true);
  new DataView(packed.buffer).setUint32(4, 400 << 20, true);
  let many: Uint8Array = plain.slice();
  for (const name of ['.debug_a', '.debug_b', '.debug_c']) many = withSection(many, name, packed, 0x800);
  const program = loadProgram(many, { name: 'vmlinux' });
  whole(program.elf.unpack());
  assert.match(program.problems.join(), /\.debug_b of vmlinux is one too many: its sections claim to hold 838860800 bytes/);
  new DataView(packed.buffer).setUint32(4, 600 << 20, true);
  const one = loadProgram(withSection(plain, '.debug_a', packed, 0x800), { name: 'vmlinux' });
  whole(one.elf.unpack());
  assert.match(one.problems.join(), /\.debug_a of vmlinux claims to hold 629145600 bytes, more than it can/);
});

test('a section table that is cut off leaves the segments readable and says so', () => {
  const whole = fixtureBytes('gcc-O2-dwarf5.elf');
  const elf = new ElfFile(whole.slice(0, whole.length - 100), { name: 'vmlinux' });
  assert.match(elf.problems.list.join(), /section header table of vmlinux is cut off/);
  assert.ok(elf.segments.length > 0);
});

test('an object file is relocated: without addresses its sections follow each other, with addresses they are there', () => {
  const plain = loadProgram(fixtureBytes('module.o'));
  assert.equal(plain.functionsNamed('make_opaque')[0]!.entry, 0);
  const addresses = new Map([
    ['.text', 0xf8801000],
    ['.data', 0xf8802000],
    ['.bss', 0xf8803000],
  ]);
  const placed = loadProgram(fixtureBytes('module.o'), { sectionAddresses: addresses });
  const [made] = placed.functionsNamed('make_opaque');
  assert.equal(made!.entry, 0xf8801000);
  assert.equal(placed.lineAt(0xf8801000)?.file, '/fixture/other.c');
  assert.equal(placed.globals('hidden')[0]!.staticAddress, 0xf8802000);
  assert.ok((placed.globals('pairs')[0]!.staticAddress ?? 0) >= 0xf8803000);
  assert.deepEqual([placed.unwind(0xf8801000)?.cfa], [{ kind: 'register', register: 4, offset: 4 }]);
});

test('sections of a module that were not loaded give no addresses', () => {
  const program = loadProgram(fixtureBytes('module.o'), { sectionAddresses: new Map([['.data', 0xf8802000]]) });
  assert.deepEqual(program.symbols.addressesOf('make_opaque'), []);
  assert.deepEqual(program.symbols.addressesOf('hidden'), [0xf8802000]);
});
