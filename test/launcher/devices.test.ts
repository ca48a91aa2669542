// Virtqueues and devices: cases T69 to T71 of the Host's catalogue, and every way in which a Guest can end itself with a bad ring.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { echo } from '../../src/launcher/echo';
import { type Device, DevicePage } from '../../src/launcher/devices';
import type { Machine, Stop } from '../../src/launcher/machine';
import { elf, hypercall, LOOP, machine } from './bench';

const PAGE = 4096;
const MEGABYTE = 0x100000;
/** Where the tests put their buffers. */
const BUFFERS = 0x200000;
const NEXT = 1;
const WRITE = 2;

/** The Guest's side of one queue. */
class Ring {
  private avail = 0;
  constructor(
    private readonly m: Machine,
    private readonly device: Device,
    private readonly index: number,
  ) {}
  get base(): number {
    return this.device.queues[this.index].pfn * PAGE;
  }
  desc(i: number, address: number, length: number, flags = 0, next = 0): this {
    const at = this.base + 16 * i;
    this.m.memory.set32(at, address);
    this.m.memory.set32(at + 4, 0);
    this.m.memory.set32(at + 8, length);
    this.m.memory.set16(at + 12, flags);
    this.m.memory.set16(at + 14, next);
    return this;
  }
  /** A chain of buffers from descriptor 0 on. */
  chain(...buffers: [address: number, length: number, flags?: number][]): this {
    buffers.forEach(([address, length, flags = 0], i) => {
      const last = i === buffers.length - 1;
      this.desc(i, address, length, flags | (last ? 0 : NEXT), last ? 0 : i + 1);
    });
    return this.offer(0);
  }
  offer(head: number): this {
    this.m.memory.set16(this.base + 2048 + 4 + 2 * (this.avail % 128), head);
    return this.setIdx(this.avail + 1);
  }
  setIdx(idx: number): this {
    this.avail = idx;
    this.m.memory.set16(this.base + 2048 + 2, idx & 0xffff);
    return this;
  }
  noInterrupt(): this {
    this.m.memory.set16(this.base + 2048, 1);
    return this;
  }
  get usedIdx(): number {
    return this.m.memory.u16(this.base + PAGE + 2);
  }
  used(i: number): [id: number, length: number] {
    const at = this.base + PAGE + 4 + 8 * i;
    return [this.m.memory.u32(at), this.m.memory.u32(at + 4)];
  }
}

/** A kernel that kicks the page at `address` and loops. INIT first, with lguest_data in the last page of RAM. */
const LD = 3 * MEGABYTE;
const kicking = (address: number): Uint8Array => elf([...hypercall(1, LD), ...hypercall(17, address), ...LOOP]);
const prepare = (m: Machine): void => {
  m.memory.set32(LD + 1128, 0xc0000000);
  m.memory.set32(LD + 1132, 0x80);
  for (let i = 0; i < 64; i++) m.memory.set8(LD + 20 + i, 0xff);
};
const kick = (m: Machine): Stop => {
  prepare(m);
  return m.run({ instructions: 1000 });
};
/** Queue pages begin one page after RAM, two for each queue, blocks and nets first, the console last. */
const queuePage = (n: number): number => 4 * MEGABYTE + PAGE + n * 2 * PAGE;
const message = (stop: Stop): string => ('message' in stop ? stop.message : stop.kind);

test('the device page lists blocks, nets and at last the console, with queues and interrupts in order', () => {
  const { memory } = machine({ blockDevices: [new Uint8Array(2048)], network: 'loopback' }).machine;
  const at = 4 * MEGABYTE;
  assert.equal(
    Buffer.from(memory.view(at, 84)).toString('hex'),
    [
      '021a00', // block: 26 bytes of config
      '0208800001000104' + '0000', // 128 entries, irq 1, page 0x401
      '41080400000000000000', // capacity 4 sectors
      '43047e000000', // seg_max 126
      '011c00', // net
      '020880000200030400000208800003000504' + '0000',
      '4106026c67000002',
      '031400', // console
      '0208800004000704000002088000050009040000',
    ]
      .join('')
      .padEnd(168, '0'),
  );
});

test('console output is printed and given back with its length, without an interrupt when the Guest polls', () => {
  const run = machine({ kernel: kicking(queuePage(1)) });
  const m = run.machine;
  m.memory.write(BUFFERS, new TextEncoder().encode('hello '));
  m.memory.write(BUFFERS + 100, new TextEncoder().encode('world'));
  const ring = new Ring(m, m.console.device, 1).noInterrupt().chain([BUFFERS, 6], [BUFFERS + 100, 5]);
  assert.equal(kick(m).kind, 'budget');
  assert.equal(run.console(), 'hello world');
  assert.deepEqual([ring.usedIdx, ring.used(0)], [1, [0, 11]]);
  assert.equal(m.host.lg.irqsPending, 0);
});

test('a device interrupts unless the Guest said that it looks by itself', () => {
  const m = machine({ kernel: kicking(queuePage(1)) }).machine;
  new Ring(m, m.console.device, 1).chain([BUFFERS, 1]);
  kick(m);
  assert.equal(m.host.lg.irqsPending, 1 << 2);
});

test('console input waits for a buffer, fills one chain at a time, and goes on at the next kick', () => {
  const m = machine().machine;
  m.inputs.console(Buffer.from('abcdef'));
  assert.equal(m.console.waiting, 6);
  const ring = new Ring(m, m.console.device, 0).noInterrupt().chain([BUFFERS, 3, WRITE], [BUFFERS + 8, 1, WRITE]);
  m.devices.notify(queuePage(0));
  assert.deepEqual([ring.usedIdx, ring.used(0)], [1, [0, 4]]);
  assert.equal(Buffer.from(m.memory.view(BUFFERS, 9)).toString('latin1'), 'abc\0\0\0\0\0d');
  assert.equal(m.console.waiting, 2);
  ring.chain([BUFFERS + 16, 100, WRITE]);
  m.inputs.console(Buffer.from('g'));
  assert.deepEqual([ring.usedIdx, ring.used(1)], [2, [0, 3]]);
  assert.equal(Buffer.from(m.memory.view(BUFFERS + 16, 3)).toString('latin1'), 'efg');
});

test('after the end of input a kick of the input queue is taken for a string, as in the original', () => {
  const run = machine();
  run.machine.inputs.consoleEnd();
  run.machine.memory.write(queuePage(0), new TextEncoder().encode('eek\0'));
  assert.equal(String.fromCharCode(...(run.machine.devices.notify(queuePage(0)) ?? [])), 'eek');
});

test('NOTIFY of an address that is no queue prints the string there, and beyond the Guest it ends the Launcher', () => {
  const run = machine({ kernel: kicking(BUFFERS) });
  run.machine.memory.write(BUFFERS, new TextEncoder().encode('early words\0'));
  kick(run.machine);
  assert.equal(run.console(), 'early words');
  assert.equal(message(kick(machine({ kernel: kicking(0x7fffffff) }).machine)), 'lguest: Bad NOTIFY 0x7fffffff');
});

// ---- block --------------------------------------------------------------------------------------------------------------------------------

const HEADER = BUFFERS;
const STATUS = BUFFERS + 64;
const BLOCK_DATA = BUFFERS + 0x1000;
const blockMachine = (
  image = Uint8Array.from({ length: 4096 }, (_, i) => (i >> 9) + 1),
): { m: Machine; ring: Ring; warnings: string[]; image: Uint8Array } => {
  const run = machine({ kernel: kicking(queuePage(0)), blockDevices: [image] });
  return { m: run.machine, ring: new Ring(run.machine, run.machine.blocks[0].device, 0), warnings: run.warnings, image };
};
const header = (m: Machine, type: number, sector: number): void => {
  m.memory.set32(HEADER, type);
  m.memory.set32(HEADER + 8, sector);
  m.memory.set8(STATUS, 0xaa);
};

test('T69: the last sector is read with status 0 and used length 513', () => {
  const { m, ring } = blockMachine();
  header(m, 0, 7);
  ring.chain([HEADER, 24], [BLOCK_DATA, 512, WRITE], [STATUS, 1, WRITE]);
  kick(m);
  assert.deepEqual([ring.usedIdx, ring.used(0), m.memory.u8(STATUS)], [1, [0, 513], 0]);
  assert.ok(m.memory.view(BLOCK_DATA, 512).every((b) => b === 8));
  assert.equal(m.host.lg.irqsPending, 1 << 1);
});

test('T69: a write that crosses the end ends the Launcher', () => {
  const { m, ring } = blockMachine();
  header(m, 1, 7);
  ring.chain([HEADER, 24], [BLOCK_DATA, 1024], [STATUS, 1, WRITE]);
  const stop = kick(m);
  assert.deepEqual([stop.kind, message(stop)], ['killed', 'lguest: Write past end 3584+1024']);
  assert.deepEqual(m.run(), stop);
});

test('what the Guest writes it reads again, and the image is not changed', () => {
  const { m, ring, image } = blockMachine();
  const before = image.slice();
  header(m, 1, 2);
  for (let i = 0; i < 700; i++) m.memory.set8(BLOCK_DATA + i, 0x55);
  ring.chain([HEADER, 24], [BLOCK_DATA, 700], [STATUS, 1, WRITE]);
  kick(m);
  assert.deepEqual([ring.used(0), m.memory.u8(STATUS)], [[0, 1], 0]);
  header(m, 0, 2);
  ring.chain([HEADER, 24], [BLOCK_DATA + 0x1000, 1024, WRITE], [STATUS, 1, WRITE]);
  m.devices.notify(queuePage(0));
  const read = m.memory.view(BLOCK_DATA + 0x1000, 1024);
  assert.ok(read.subarray(0, 700).every((b) => b === 0x55));
  assert.ok(read.subarray(700).every((b) => b === 4));
  assert.deepEqual(image, before);
});

test('each write is told with its place, in order; a barrier among them is served like the rest, after what came before it', () => {
  const { m, ring } = blockMachine();
  const told: [number, number, number][] = [];
  m.blocks[0].onWrite = (at, bytes) => told.push([at, bytes.length, bytes[0]]);
  const BARRIER = 0x80000000;
  for (const [i, type, sector] of [
    [0, 1, 3],
    [1, BARRIER | 1, 1],
    [2, 1, 2],
  ]) {
    const at = HEADER + i * 0x100;
    m.memory.set32(at, type);
    m.memory.set32(at + 8, sector);
    m.memory.set8(at + 64, 0xaa);
    m.memory.set8(BLOCK_DATA + i * 512, 0x40 + i);
    ring.desc(i * 3, at, 24, NEXT, i * 3 + 1).desc(i * 3 + 1, BLOCK_DATA + i * 512, 512, NEXT, i * 3 + 2);
    ring.desc(i * 3 + 2, at + 64, 1, WRITE).offer(i * 3);
  }
  kick(m);
  assert.deepEqual(told, [
    [3 * 512, 512, 0x40],
    [512, 512, 0x41],
    [2 * 512, 512, 0x42],
  ]);
  assert.deepEqual(
    [0, 1, 2].map((i) => m.memory.u8(HEADER + i * 0x100 + 64)),
    [0, 0, 0],
  );
});

test('a read past the end moves nothing and succeeds', () => {
  const { m, ring } = blockMachine();
  header(m, 0, 100);
  ring.chain([HEADER, 24], [BLOCK_DATA, 512, WRITE], [STATUS, 1, WRITE]);
  kick(m);
  assert.deepEqual([ring.used(0), m.memory.u8(STATUS)], [[0, 1], 0]);
});

test('SCSI commands are refused with status 2, before the write bit is looked at', () => {
  const { m, ring, warnings } = blockMachine();
  header(m, 3, 0);
  ring.chain([HEADER, 24], [BLOCK_DATA, 512], [STATUS, 1, WRITE]);
  kick(m);
  assert.deepEqual([ring.used(0), m.memory.u8(STATUS), warnings], [[0, 1], 2, ['lguest: Scsi commands unsupported']]);
});

test('a block request without header or status, or of the wrong sizes, ends the Launcher', () => {
  const dies = (...buffers: [number, number, number?][]): string => {
    const { m, ring } = blockMachine();
    ring.chain(...buffers);
    return message(kick(m));
  };
  assert.equal(dies([HEADER, 24]), 'lguest: Bad virtblk cmd 0 out=1 in=0');
  assert.equal(dies([STATUS, 1, WRITE]), 'lguest: Bad virtblk cmd 0 out=0 in=1');
  assert.equal(dies([HEADER, 23], [STATUS, 1, WRITE]), 'lguest: Bad iovec size 23 for virtio_blk_outhdr');
  assert.equal(dies([HEADER, 24], [STATUS, 2, WRITE]), 'lguest: Bad iovec size 2 for virtio_blk_inhdr');
  assert.match(dies([HEADER + 2, 24], [STATUS, 1, WRITE]), /^lguest: Bad alignment [0-9a-f]{8} for virtio_blk_outhdr$/);
});

// ---- rings --------------------------------------------------------------------------------------------------------------------------------

test('T70: an available index that jumps beyond the ring ends the Launcher', () => {
  const m = machine({ kernel: kicking(queuePage(1)) }).machine;
  new Ring(m, m.console.device, 1).setIdx(129);
  assert.equal(message(kick(m)), 'lguest: Guest moved used index from 0 to 129');
});

test('every other broken ring ends the Launcher with its own line', () => {
  const dies = (break_: (ring: Ring) => void, queue = 1): string => {
    const m = machine({ kernel: kicking(queuePage(queue)) }).machine;
    if (queue === 0) m.inputs.console(Buffer.from('x'));
    break_(new Ring(m, m.console.device, queue));
    return message(kick(m));
  };
  assert.equal(
    dies((r) => r.offer(128)),
    'lguest: Guest says index 128 is available',
  );
  assert.equal(
    dies((r) => r.chain([BUFFERS, 1, WRITE], [BUFFERS, 1])),
    'lguest: Descriptor has out after in',
  );
  assert.equal(
    dies((r) => r.desc(0, BUFFERS, 1, NEXT, 0).offer(0)),
    'lguest: Looped descriptor',
  );
  assert.equal(
    dies((r) => r.desc(0, BUFFERS, 1, NEXT, 200).offer(0)),
    'lguest: Desc next is 200',
  );
  const limit = 4 * MEGABYTE + 5 * PAGE;
  for (const [address, length] of [
    [limit, 1],
    [limit - 4, 4],
    [0xfffff000, 0x2000],
    [BUFFERS, 0xffffffff],
  ]) {
    assert.match(
      dies((r) => r.chain([address, length])),
      new RegExp(`^lguest: lguest.c:\\S+: Invalid address 0x${address.toString(16)}$`),
    );
  }
  assert.equal(
    dies((r) => r.chain([BUFFERS, 4, WRITE])),
    'lguest: Input buffers in output queue?',
  );
  assert.equal(
    dies((r) => r.chain([BUFFERS, 4]), 0),
    'lguest: Output buffers in console in queue?',
  );
});

// ---- net ----------------------------------------------------------------------------------------------------------------------------------

test('a frame sent on the loopback wire comes back through the receive queue, behind its header', () => {
  const run = machine({ network: 'loopback' });
  const m = run.machine;
  const net = m.net;
  assert.ok(net);
  const receive = new Ring(m, net.device, 0).chain([BUFFERS, 8, WRITE], [BUFFERS + 0x100, 1514, WRITE]);
  m.memory.set16(BUFFERS + 4, 0x1234); // header fields that the Launcher leaves alone
  const send = new Ring(m, net.device, 1).chain([BUFFERS + 0x1000, 8], [BUFFERS + 0x1100, 42]);
  // ARP: who has 10.0.0.1, tell 10.0.0.2
  const arp = [
    ...[255, 255, 255, 255, 255, 255],
    ...[2, 108, 103, 0, 0, 2],
    8,
    6,
    0,
    1,
    8,
    0,
    6,
    4,
    0,
    1,
    ...[2, 108, 103, 0, 0, 2],
    10,
    0,
    0,
    2,
    0,
    0,
    0,
    0,
    0,
    0,
    10,
    0,
    0,
    1,
  ];
  m.memory.write(BUFFERS + 0x1100, Uint8Array.from(arp));
  m.devices.notify(queuePage(1));
  assert.deepEqual(
    [send.used(0), receive.used(0)],
    [
      [0, 42],
      [0, 50],
    ],
  );
  const answer = [...m.memory.view(BUFFERS + 0x100, 42)];
  assert.deepEqual(answer.slice(0, 6), [2, 108, 103, 0, 0, 2]);
  assert.deepEqual(answer.slice(20, 22), [0, 2]);
  assert.deepEqual(answer.slice(28, 32), [10, 0, 0, 1]);
  assert.equal(m.memory.u16(BUFFERS + 4), 0x1234);
  assert.equal(m.host.lg.irqsPending, (1 << 1) | (1 << 2));
});

test('a frame without a buffer waits; a ready driver is told on stderr', () => {
  const run = machine({ network: 'wire' });
  const m = run.machine;
  const net = m.net;
  assert.ok(net);
  m.inputs.netReceive(Uint8Array.of(1, 2, 3));
  assert.deepEqual(run.warnings, []);
  m.memory.set8(net.device.descriptor + 2, 4);
  m.inputs.netReceive(Uint8Array.of(4, 5));
  assert.deepEqual(run.warnings, ['lguest: network: no dma buffer!']);
  const ring = new Ring(m, net.device, 0).chain([BUFFERS, 8, WRITE], [BUFFERS + 16, 100, WRITE]);
  m.devices.notify(queuePage(0));
  assert.deepEqual(
    [ring.used(0), [...m.memory.view(BUFFERS + 16, 3)]],
    [
      [0, 11],
      [1, 2, 3],
    ],
  );
});

test('two Guests on one wire reach each other', () => {
  const a = machine({ network: 'wire' }).machine;
  const b = machine({ network: 'wire' }).machine;
  assert.ok(a.net && b.net);
  a.net.onTransmit = (frame) => b.inputs.netReceive(frame);
  const receive = new Ring(b, b.net.device, 0).chain([BUFFERS, 8, WRITE], [BUFFERS + 16, 100, WRITE]);
  new Ring(a, a.net.device, 1).chain([BUFFERS, 8], [BUFFERS + 16, 5]);
  a.memory.write(BUFFERS + 16, Uint8Array.of(9, 8, 7, 6, 5));
  a.devices.notify(queuePage(1));
  assert.deepEqual(
    [receive.used(0), [...b.memory.view(BUFFERS + 16, 5)]],
    [
      [0, 13],
      [9, 8, 7, 6, 5],
    ],
  );
});

test('the neighbour answers ping with a good checksum, echoes UDP, and has nothing to say to TCP', () => {
  const ip = (protocol: number, payload: number[]): Uint8Array =>
    Uint8Array.from([
      ...new Array<number>(12).fill(1),
      8,
      0,
      0x45,
      0,
      0,
      20 + payload.length,
      0,
      0,
      0,
      0,
      64,
      protocol,
      0,
      0,
      10,
      0,
      0,
      2,
      10,
      0,
      0,
      1,
      ...payload,
    ]);
  const sum = (bytes: Uint8Array): number => {
    let total = 0;
    for (let i = 0; i < bytes.length; i += 2) total += (bytes[i] << 8) | (bytes[i + 1] ?? 0);
    while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
    return total;
  };
  const ping = ip(1, [8, 0, 0xf7, 0xfc, 0, 1, 0, 2]);
  assert.equal(sum(ping.subarray(34)), 0xffff);
  const pong = echo(ping);
  assert.ok(pong);
  assert.equal(pong[34], 0);
  assert.equal(sum(pong.subarray(34)), 0xffff);
  assert.deepEqual([...pong.subarray(26, 34)], [10, 0, 0, 1, 10, 0, 0, 2]);
  const udp = echo(ip(17, [0x10, 0, 0x20, 0, 0, 8, 0, 0]));
  assert.deepEqual([...(udp ?? []).slice(34, 38)], [0x20, 0, 0x10, 0]);
  assert.equal(echo(ip(6, new Array<number>(20).fill(0))), undefined);
  assert.equal(echo(new Uint8Array(5)), undefined);
});

test('net buffers without a proper header end the Launcher', () => {
  const dies = (buffers: [number, number, number?][]): string => {
    const m = machine({ network: 'loopback', kernel: kicking(queuePage(1)) }).machine;
    assert.ok(m.net);
    new Ring(m, m.net.device, 1).chain(...buffers);
    return message(kick(m));
  };
  assert.equal(dies([[BUFFERS, 10]]), 'lguest: Bad iovec size 10 for virtio_net_hdr');
  assert.match(
    dies([
      [BUFFERS + 1, 8],
      [BUFFERS + 16, 4],
    ]),
    /^lguest: Bad alignment [0-9a-f]{8} for virtio_net_hdr$/,
  );
  assert.equal(dies([[BUFFERS, 8, WRITE]]), 'lguest: Input buffers in output queue?');
});

test('a frame that names all of memory over and over is dropped and given back, and the next one goes out', () => {
  const m = machine({ network: 'wire' }).machine;
  assert.ok(m.net);
  const lengths: number[] = [];
  m.net.onTransmit = (frame) => lengths.push(frame.length);
  const huge: [number, number][] = Array.from({ length: 100 }, () => [0, 4 * MEGABYTE]);
  const ring = new Ring(m, m.net.device, 1).chain([BUFFERS, 8], ...huge);
  m.devices.notify(queuePage(1));
  ring.chain([BUFFERS, 8], [BUFFERS + 16, 60]);
  m.devices.notify(queuePage(1));
  assert.deepEqual([ring.usedIdx, ring.used(0)[1], lengths], [2, 400 * MEGABYTE, [60]]);
});

test('a kick that asks a device to move more than 64 MB ends the Guest instead of keeping everybody waiting', () => {
  const all: [number, number, number?][] = Array.from({ length: 100 }, () => [0, 4 * MEGABYTE]);
  const run = machine({ kernel: kicking(queuePage(1)) });
  new Ring(run.machine, run.machine.console.device, 1).chain(...all);
  assert.equal(message(kick(run.machine)), 'lguest: Guest asked a device to move more than 64 MB at once');
  const disk = machine({ kernel: kicking(queuePage(0)), blockDevices: [new Uint8Array(4 * MEGABYTE)] }).machine;
  // A read of the whole disk into the same place, twenty times in one chain: the first buffer is the header, the last one the status.
  const ring = new Ring(disk, disk.blocks[0].device, 0);
  for (let head = 0; head < 120; head += 4) {
    ring.desc(head, BUFFERS, 24, NEXT, head + 1);
    ring.desc(head + 1, BUFFERS + PAGE, MEGABYTE + 0x80000, NEXT | WRITE, head + 2);
    ring.desc(head + 2, BUFFERS + PAGE, MEGABYTE + 0x80000, NEXT | WRITE, head + 3);
    ring.desc(head + 3, BUFFERS + 32, 1, WRITE);
    ring.offer(head);
  }
  assert.equal(message(kick(disk)), 'lguest: Guest asked a device to move more than 64 MB at once');
});

// ---- ends ---------------------------------------------------------------------------------------------------------------------------------

test('T71: power-off and panic end with the text of CRASH, each as its own kind of stop', () => {
  const ends = (text: string): [string, string] => {
    const code = [...hypercall(1, LD), ...hypercall(2, MEGABYTE + 64), ...LOOP];
    while (code.length < 64) code.push(0);
    const m = machine({ kernel: elf([...code, ...new TextEncoder().encode(`${text}\0`), ...new Array<number>(128).fill(0)]) }).machine;
    const stop = kick(m);
    return [stop.kind, message(stop)];
  };
  assert.deepEqual(ends('Power down'), ['power-off', 'lguest: CRASH: Power down']);
  assert.deepEqual(ends('Attempted to kill init!'), ['panic', 'lguest: CRASH: Attempted to kill init!']);
});

test('a receive queue with a buffer of the wrong direction ends the Launcher when a frame arrives', () => {
  const m = machine({ network: 'wire' }).machine;
  assert.ok(m.net);
  new Ring(m, m.net.device, 0).chain([BUFFERS, 8], [BUFFERS + 16, 60]);
  m.inputs.netReceive(new Uint8Array(60));
  assert.equal(message(m.run({ instructions: 10 })), 'lguest: Output buffers in network recv queue?');
});

test('devices whose descriptors do not fit on the page are refused', () => {
  const { memory } = machine().machine;
  const page = new DevicePage(memory, () => {});
  assert.throws(() => {
    for (let i = 0; i < 200; i++) page.add('block', 2, 0, [{ type: 0x41, bytes: new Uint8Array(32) }]);
  }, /^LauncherError: Too many devices: take some away$|Too many devices/);
});

test('more block devices than the device pages hold are refused', () => {
  assert.throws(() => machine({ blockDevices: new Array<Uint8Array>(130).fill(new Uint8Array(512)) }), /Not enough memory for devices/);
});
