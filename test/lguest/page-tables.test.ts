// Shadow paging: cases T29 to T45, T75, T77, T79, T83, T84 of the Host's catalogue.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LHCALL, PT } from '../../src/lguest/abi';
import { Random } from '../../src/lguest/random';
import { type Bench, bare, Code, FREE, guest, KERNEL_DS, KSTACK, USER } from './bench';

const { P, RW, US, A, D, G, PWT, PCD, PSE } = PT;
const FLAGS = P | RW | US;

type Gates = [vector: number, type: 0xe | 0xf, dpl?: number][];
const userGuest = (user: (c: Code) => void, gates: Gates, before: (c: Code) => void = () => {}): Bench => {
  const b = guest((c) => {
    before(c);
    c.toUser(USER);
  }, gates);
  const c = new Code(USER);
  user(c);
  return b.load(c);
};
/** A Guest that only touches FREE, whose PTE is `flags` with `frame`. */
const touching = (write: boolean, flags: number, frame = FREE): Bench => {
  const b = guest((c) => (write ? c.store(FREE) : c.load(FREE)).done(), [[14, 0xe]]);
  b.set32(b.gpteAt(FREE), frame | flags);
  return b;
};
/** Faults at FREE that the Host filled. */
const fills = (b: Bench): string[] =>
  b
    .traps(14)
    .filter((r) => r.cr2 === FREE)
    .map((r) => r.reason);

/** Where the bench's first page directory always is. */
const b0 = bare(() => {});

test('T29: the first read of a clean page and then a write take two exits, and mark A, then D', () => {
  const b = guest((c) => c.load(FREE).hcall(LHCALL.NOTIFY, 0x1234).store(FREE).done(), [[14, 0xe]]);
  b.read();
  assert.equal(b.gpte(FREE) & 0xfff, FLAGS | A);
  assert.equal(b.sflags(FREE) & RW, 0);
  b.run();
  assert.equal(b.gpte(FREE) & 0xfff, FLAGS | A | D);
  assert.equal(b.sflags(FREE) & RW, RW);
  assert.deepEqual(fills(b), ['read-absent', 'dirty-upgrade']);
});

test('T30: a first write takes one exit and marks both', () => {
  const b = touching(true, FLAGS).run();
  assert.equal(b.gpte(FREE) & 0xfff, FLAGS | A | D);
  assert.deepEqual(fills(b), ['write-absent']);
});

test('the Guest PDE never gets its accessed bit', () => {
  const b = touching(true, FLAGS).run();
  assert.equal(b.u32(b.gpdeAt(FREE)) & 0xfff, FLAGS);
});

test('T31: a ring-1 write to a read-only page is given with the error code of the shadow', () => {
  const fresh = touching(true, P | US).run();
  assert.deepEqual([fresh.box('vector'), fresh.box('w0'), fresh.box('cr2')], [14, 2, FREE]);
  const shadowed = guest((c) => c.load(FREE).store(FREE).done(), [[14, 0xe]]);
  shadowed.set32(shadowed.gpteAt(FREE), FREE | P | US);
  shadowed.run();
  assert.deepEqual([shadowed.box('vector'), shadowed.box('w0')], [14, 3]);
});

test('T32: a ring-3 read of a supervisor page is given with the U bit', () => {
  const b = userGuest((c) => c.load(FREE), [[14, 0xe]]);
  b.set32(b.gpteAt(FREE), FREE | P | RW);
  b.run();
  assert.deepEqual([b.box('vector'), b.box('w0') & 4], [14, 4]);
  assert.deepEqual(fills(b), ['gpte-supervisor']);
});

test('T33: PWT and a frame beyond the Guest kill; PCD and G are fine, and G is not in the shadow', () => {
  assert.equal(touching(false, FLAGS | PWT).die(), 'bad page table entry');
  assert.equal(touching(false, FLAGS | PSE).die(), 'bad page table entry');
  assert.equal(touching(false, FLAGS, 0x401000).die(), 'bad page table entry');
  assert.equal(
    touching(false, FLAGS | PCD)
      .run()
      .sflags(FREE) & PCD,
    PCD,
  );
  assert.equal(
    touching(false, FLAGS | G)
      .run()
      .sflags(FREE) & G,
    0,
  );
});

test('T34: PSE, G, a software bit or a frame beyond the Guest in a PDE kill', () => {
  for (const bad of [PSE, G, 0x200, PWT, PCD, 0x00800000]) {
    const b = bare((c) => c.load(0x80000000));
    b.set32(b.gpdeAt(0x80000000), (b.pgdir - 4096) | FLAGS | bad);
    assert.equal(b.die(), 'bad page directory entry', bad.toString(16));
  }
});

test('A and D in a PDE are fine', () => {
  const b = bare((c) => c.load(0x80000000 + FREE).done());
  b.set32(b.gpdeAt(0x80000000), (b.pgdir - 4096) | FLAGS | A | D);
  b.run();
});

test("T35: ring 3 in the Switcher's slot gets a page fault with error 5", () => {
  const b = userGuest((c) => c.load(0xffc00000), [[14, 0xe]]).run();
  assert.deepEqual([b.box('vector'), b.box('w0'), b.box('cr2')], [14, 5, 0xffc00000]);
});

test('T36: ring 1 cannot write the state page, but its register page', () => {
  const state = guest((c) => c.store(0xffc02000), [[14, 0xe]]).run();
  assert.deepEqual([state.box('vector'), state.box('w0')], [14, 3]);
  guest((c) => c.store(0xffc01000).done(), [[14, 0xe]]).run();
});

test('ring 1 reads the Switcher without a fault, with one page of code or two', () => {
  const one = guest((c) => c.load(0xffc00000).store(FREE).done()).run();
  assert.equal(one.u32(FREE) & 0xff, 0x06); // push %es
  const two = guest((c) => c.store(0xffc02000).done(), [], { stubAlignment: 16 }).run();
  assert.equal(two.host.layout.switcherPages, 2);
  const [low, high] = two.live('gdt', 16);
  assert.deepEqual([low, high], [0x30280067, 0xff0089c0]);
});

test("T37: a Guest PDE for the Switcher's slot makes a fault there a death", () => {
  const b = userGuest((c) => c.load(0xffc00000), [[14, 0xe]]);
  b.set32(b.gpdeAt(0xffc00000), (b.pgdir - 4096) | FLAGS);
  assert.equal(b.die(), 'attempt to access switcher pages');
});

test("T38: SET_PTE in the Switcher's slot kills, SET_PMD of it is ignored", () => {
  const b = bare(() => {});
  assert.equal(bare((c) => c.hcall(LHCALL.SET_PTE, b.pgdir, 0xffc00000, 7)).die(), 'attempt to access switcher pages');
  bare((c) => c.hcall(LHCALL.SET_PMD, b.pgdir, 1023).hcall(LHCALL.SET_PMD, b.pgdir, 0x40000000).done()).run();
});

test('T39: SET_PTE with bit 7 and A kills when the page table is shadowed, else it is nothing', () => {
  const b = bare(() => {});
  assert.equal(bare((c) => c.load(FREE).hcall(LHCALL.SET_PTE, b.pgdir, FREE, FREE | 0xa0)).die(), 'bad page table entry');
  bare((c) => c.hcall(LHCALL.SET_PTE, b.pgdir, 0x80000000, FREE | 0xa0).done()).run();
});

test('SET_PTE without A and D only forgets, even with a frame beyond the Guest', () => {
  const b = bare((c) => c.load(FREE).hcall(LHCALL.SET_PTE, b0.pgdir, FREE, 0x7fff0007).done());
  b.run();
  assert.equal(b.sflags(FREE), 0);
  const killed = bare((c) => c.load(FREE).hcall(LHCALL.SET_PTE, b0.pgdir, FREE, 0x7fff0067));
  assert.equal(killed.die(), 'bad page table entry');
});

test('T40: SET_PTE with A, without D, makes the page writable at once, and the Guest never learns of the write', () => {
  const b = bare((c) =>
    c
      .load(FREE)
      .hcall(LHCALL.SET_PTE, b0.pgdir, FREE, FREE | P | RW | US | A)
      .store(FREE)
      .done(),
  );
  b.run();
  assert.deepEqual(fills(b), ['read-absent']);
  assert.equal(b.gpte(FREE) & D, 0);
  assert.equal(b.sflags(FREE) & RW, RW);
});

/** A second directory that is like the first. */
const SECOND = FREE + 0x10000;
const THIRD = FREE + 0x11000;
const copies = (b: Bench): Bench => {
  for (const directory of [SECOND, THIRD]) for (let i = 0; i < 1024; i++) b.set32(directory + 4 * i, b.u32(b.pgdir + 4 * i));
  return b;
};
/** The slots that directories take, with a seed. */
const slots = (seed: number, n: number): number[] => {
  const random = new Random(seed);
  return Array.from({ length: n }, () => random.next() % 4);
};
/** A seed whose first slots are as wanted. */
const seedFor = (...wanted: number[]): number => {
  for (let seed = 1; ; seed++) if (slots(seed, wanted.length).every((s, i) => s === wanted[i])) return seed;
};

test('T41: SET_PTE of a kernel address reaches every slot, whatever directory it names', () => {
  const b = copies(
    bare(
      (c) =>
        c
          .load(0xc0000000 + FREE)
          .hcall(LHCALL.NEW_PGTABLE, SECOND)
          .load(0xc0000000 + FREE)
          .hcall(LHCALL.SET_PTE, 0, 0xc0000000 + FREE, FREE | FLAGS | A | D)
          .done(),
      { seed: seedFor(2) },
    ),
  );
  for (const directory of [b.pgdir, SECOND]) b.set32(directory + 0xc00, (b.pgdir - 4096) | FLAGS);
  b.run();
  for (const slot of [0, 2]) assert.equal(b.sflags(0xc0000000 + FREE, slot), FLAGS | A | D, `slot ${slot}`);
});

test('T42: a directory in no slot takes a random one: a fresh slot is empty and gets its stack pinned', () => {
  const b = copies(guest((c) => c.hcall(LHCALL.NEW_PGTABLE, SECOND).hcall(LHCALL.NOTIFY, 0x1234).done(), [], { seed: seedFor(3) }));
  b.read();
  assert.equal(b.lg.pgdidx, 3);
  assert.deepEqual(
    b.lg.pgdirs.map((s) => s.gpgdir),
    [b.pgdir, 0, 0, SECOND],
  );
  assert.equal(b.sflags(KSTACK - 1) & (P | RW), P | RW);
  assert.equal(b.sflags(FREE), 0);
  b.run();
});

test('T42: a recycled slot loses its user part, keeps its kernel part, and its stack is not pinned', () => {
  const b = copies(
    guest(
      (c) =>
        c
          .load(FREE)
          .load(0xc0000000 + FREE)
          .hcall(LHCALL.NEW_PGTABLE, SECOND)
          .hcall(LHCALL.NOTIFY, 0x1234),
      [],
      { seed: seedFor(0) },
    ),
  );
  for (const directory of [b.pgdir, SECOND]) b.set32(directory + 0xc00, (b.pgdir - 4096) | FLAGS);
  b.exit((host) => {
    let exit = host.run(1);
    for (let i = 0; b.lg.pgdirs[0].gpgdir !== SECOND && i < 1000; i++) exit = host.run(1, 1);
    return exit;
  });
  // The slot is taken; what ran since is at most the code page and its stack.
  assert.equal(b.lg.pgdidx, 0);
  assert.equal(b.sflags(FREE), 0);
  assert.notEqual(b.sflags(0xc0000000 + FREE), 0);
  assert.equal(b.sflags(KSTACK - 1), 0);
});

test('T42: switching back to a cached directory drops nothing', () => {
  const b = copies(
    guest((c) => c.load(FREE).hcall(LHCALL.NEW_PGTABLE, SECOND).hcall(LHCALL.NEW_PGTABLE, b0.pgdir).load(FREE).done(), [], {
      seed: seedFor(1),
    }),
  ).run();
  assert.equal(b.lg.pgdidx, 0);
  assert.deepEqual(fills(b), ['read-absent']);
});

test('a directory of 0 matches no unused slot', () => {
  const b = bare(
    (c) =>
      c
        .hcall(LHCALL.SET_PMD, 0, 1)
        .hcall(LHCALL.SET_PTE, 0, FREE, FREE | FLAGS | A)
        .hcall(LHCALL.NEW_PGTABLE, 0),
    { seed: seedFor(2) },
  );
  // Guest-physical 0 holds boot parameters, so the next fault finds no page directory entry and no handler.
  assert.match(b.die(), /^(unhandled trap 14|bad page)/);
  assert.equal(b.lg.pgdidx, 2);
});

test('T43: FLUSH_TLB 0 drops the user part of the current slot only', () => {
  const b = copies(
    bare(
      (c) =>
        c
          .load(FREE)
          .load(0xc0000000 + FREE)
          .hcall(LHCALL.NEW_PGTABLE, SECOND)
          .load(FREE)
          .load(0xc0000000 + FREE)
          .hcall(LHCALL.FLUSH_TLB, 0)
          .done(),
      { seed: seedFor(1) },
    ),
  );
  for (const directory of [b.pgdir, SECOND]) b.set32(directory + 0xc00, (b.pgdir - 4096) | FLAGS);
  b.run();
  assert.equal(b.sflags(FREE, 1), 0);
  assert.notEqual(b.sflags(0xc0000000 + FREE, 1), 0);
  assert.notEqual(b.sflags(FREE, 0), 0);
});

test('T44: FLUSH_TLB 1 drops everything in all slots and pins the stack again in the current one', () => {
  const b = copies(
    guest(
      (c) =>
        c
          .load(FREE)
          .load(0xc0000000 + FREE)
          .hcall(LHCALL.NEW_PGTABLE, SECOND)
          .load(FREE)
          .hcall(LHCALL.FLUSH_TLB, 1)
          .done(),
      [],
      { seed: seedFor(1) },
    ),
  );
  for (const directory of [b.pgdir, SECOND]) b.set32(directory + 0xc00, (b.pgdir - 4096) | FLAGS);
  b.run();
  for (const slot of [0, 1]) for (const address of [FREE, 0xc0000000 + FREE]) assert.equal(b.sflags(address, slot), 0);
  assert.equal(b.sflags(KSTACK - 1, 1) & (P | RW), P | RW);
  assert.equal(b.sflags(KSTACK - 1, 0), 0);
  assert.deepEqual(b.lg.pgdirs.map((s) => s.gpgdir).slice(0, 2), [b.pgdir, SECOND]);
});

test('T45: a stack segment of another ring, more than two pages, or a stack that is not there kill', () => {
  assert.equal(bare((c) => c.hcall(LHCALL.SET_STACK, 0x68, KSTACK, 1)).die(), 'bad stack segment 104');
  assert.equal(bare((c) => c.hcall(LHCALL.SET_STACK, 0x69, KSTACK, 3)).die(), 'bad stack pages 3');
  assert.equal(bare((c) => c.hcall(LHCALL.SET_STACK, 0x69, KSTACK, -1)).die(), 'bad stack pages 4294967295');
  assert.equal(bare((c) => c.hcall(LHCALL.SET_STACK, 0x69, 0x80000000, 1)).die(), 'bad stack page 0x7fffffff');
  const readOnly = bare((c) => c.hcall(LHCALL.SET_STACK, 0x69, FREE + 0x1000, 1));
  readOnly.set32(readOnly.gpteAt(FREE), FREE | P | US);
  assert.equal(readOnly.die(), `bad stack page 0x${(FREE + 0xfff).toString(16)}`);
});

test('pinning marks the stack page accessed and dirty, two pages when asked', () => {
  const b = bare((c) => c.hcall(LHCALL.SET_STACK, 0x69, FREE + 0x2000, 2).done()).run();
  for (const page of [FREE, FREE + 0x1000]) assert.equal(b.gpte(page) & (A | D), A | D);
  assert.equal(b.host.records.totals.pinnedFilled, 2);
});

test('T75: a kernel stack page dropped by SET_PTE comes back by itself when int 0x80 needs it', () => {
  const b = userGuest(
    (c) => c.int(0x80),
    [[0x80, 0xf, 3]],
    (c) => c.hcall(LHCALL.SET_PTE, b0.pgdir, KSTACK & ~0xfff, 0),
  ).run();
  assert.deepEqual([b.box('vector'), b.box('esp')], [0x80, KSTACK - 20]);
  const [fill] = b.traps(14).filter((r) => r.cr2 !== undefined && r.cr2 >>> 12 === KSTACK >>> 12 && r.eip === USER);
  assert.deepEqual([fill.err, fill.eip, fill.cpl, fill.outcome], [2, USER, 3, 'paged-in']);
});

test('T77: SET_STACK with a stack top of 0 would lie in the Switcher and kills', () => {
  assert.equal(bare((c) => c.hcall(LHCALL.SET_STACK, KERNEL_DS, 0, 1)).die(), 'attempt to access switcher pages');
});

test('T79: a user PTE under a supervisor PDE makes ring 3 fault for ever, silently', () => {
  const b = userGuest((c) => c.load(0x80000000 + FREE), [[14, 0xe]]);
  b.set32(b.gpdeAt(0x80000000), (b.pgdir - 4096) | P | RW);
  const exit = b.exit((host) => host.run(100_000, 300));
  assert.equal(exit.kind, 'slice');
  const there = b.traps(14).filter((r) => r.cr2 === 0x80000000 + FREE);
  assert.ok(there.length > 100);
  assert.ok(
    there.slice(1).every((r) => r.outcome === 'paged-in' && r.reason === 'filled-before' && r.pos.retired === there[0].pos.retired),
  );
});

test('T83: a page whose PTE is dirty already is writable from the first read on', () => {
  const b = guest(
    (c) =>
      c
        .load(FREE)
        .put(b0.gpteAt(FREE), FREE | FLAGS)
        .store(FREE)
        .done(),
    [[14, 0xe]],
  );
  b.set32(b.gpteAt(FREE), FREE | FLAGS | D);
  b.run();
  assert.deepEqual(fills(b), ['read-absent']);
  assert.equal(b.gpte(FREE) & D, 0);
});

test('T84: SET_PTE of a user address in an unknown directory is ignored, of a kernel address applied', () => {
  const b = bare((c) => {
    c.load(FREE).load(0xc0000000 + FREE);
    c.hcall(LHCALL.SET_PTE, 0x12345000, FREE, 0)
      .hcall(LHCALL.SET_PTE, 0x12345000, 0xc0000000 + FREE, 0)
      .done();
  });
  b.set32(b.gpdeAt(0xc0000000), (b.pgdir - 4096) | FLAGS);
  b.run();
  assert.notEqual(b.sflags(FREE), 0);
  assert.equal(b.sflags(0xc0000000 + FREE), 0);
});

test('SET_PMD forgets one page table of the matching slot only', () => {
  const b = copies(
    bare((c) => c.load(FREE).hcall(LHCALL.NEW_PGTABLE, SECOND).load(FREE).hcall(LHCALL.SET_PMD, b0.pgdir, 0).done(), { seed: seedFor(1) }),
  ).run();
  assert.equal(b.sflags(FREE, 0), 0);
  assert.notEqual(b.sflags(FREE, 1), 0);
});

test('a plain store to a page table is not noticed until the Guest says so', () => {
  const b = guest(
    (c) => c.load(FREE).put(b0.gpteAt(FREE), 0).load(FREE).hcall(LHCALL.SET_PTE, b0.pgdir, FREE, 0).load(FREE),
    [[14, 0xe]],
  ).run();
  assert.deepEqual([b.box('vector'), b.box('cr2')], [14, FREE]);
  assert.deepEqual(fills(b), ['read-absent', 'gpte-absent']);
});

test('a fault that the Host fills forgets what the processor knew of its page, as the fault of a real one does', () => {
  const other = FREE + 0x1000;
  const b = guest(
    (c) => {
      c.put(other + 4, 0x22).put(FREE + 0x2000, 0);
      // A clean page is read-only in the shadow table. The Guest points its entry elsewhere without a word, and writes.
      c.load(FREE + 0x3000)
        .put(b0.gpteAt(FREE + 0x3000), other | FLAGS)
        .load(FREE + 0x3004)
        .store(FREE + 0x2000);
      c.store(FREE + 0x3000)
        .load(FREE + 0x3004)
        .store(FREE + 0x2004)
        .done();
    },
    [[14, 0xe]],
  ).run();
  assert.equal(b.u32(FREE + 0x2000), 0, 'nobody has noticed');
  assert.equal(b.u32(FREE + 0x2004), 0x22);
});

test('a frame that the Launcher does not have kills', () => {
  const b = touching(false, FLAGS, FREE + 0x40000);
  b.exit((host) => host.run(1));
  // Only the frame is missing: the tables and the code lie below.
  const tables = 0x80000;
  for (let i = 0; i < 1024; i++) b.set32(tables + 4096 + i * 4, b.u32(b.pgdir - 4096 + i * 4));
  b.set32(tables, (tables + 4096) | FLAGS);
  b.lg.pgdirs[0].gpgdir = tables;
  b.lg.backedBytes = FREE + 0x40000;
  assert.equal(b.die(), `failed to get page ${(FREE + 0x40000) >>> 12}`);
});

test('when the pool of pages is empty a fault kills', () => {
  const b = bare((c) => c.load(0x80000000 + FREE), { shadowPages: 2 });
  b.set32(b.gpdeAt(0x80000000), (b.pgdir - 4096) | FLAGS);
  assert.equal(b.die(), 'out of memory allocating pte page');
});
