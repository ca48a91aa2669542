// Tiny multiboot kernels and ROMs for the bare machine's tests, written as machine code.

import { BareMachine, type BareOptions } from '../../src/launcher/bare';

export const LOAD = 0x100000;
/** First byte after the header. */
export const ENTRY = LOAD + 32;

export const word16 = (v: number): number[] => [v & 0xff, (v >> 8) & 0xff];
export const word32 = (v: number): number[] => [...word16(v), ...word16(v >>> 16)];

/** mov dx, port; mov al, value; out dx, al */
export const out = (port: number, value: number): number[] => [0x66, 0xba, ...word16(port), 0xb0, value, 0xee];
/** mov dx, port; in al, dx */
export const inByte = (port: number): number[] => [0x66, 0xba, ...word16(port), 0xec];
export const say = (text: string, port = 0x3f8): number[] => [...text].flatMap((c) => out(port, c.charCodeAt(0)));
/** mov al, value; out F4h, al */
export const exit = (value: number): number[] => [0xb0, value, 0xe6, 0xf4];
export const CLI_HLT = [0xfa, 0xf4];

/** A multiboot image by load addresses: the header, then the code. */
export const kernel = (code: readonly number[]): Uint8Array => {
  const flags = 0x10003;
  const header = [0x1badb002, flags, -(0x1badb002 + flags), LOAD, LOAD, 0, LOAD + 0x4000, ENTRY];
  return Uint8Array.from([...header.flatMap(word32), ...code]);
};

/** A descriptor table register's image and what loads it: an IDT at `table` whose gates stand in `gates` (vector to handler), stack at 0x90000. */
export const interruptTable = (gates: Readonly<Record<number, number>>): number[] => {
  const table = 0x110000;
  const code = [0xbc, ...word32(0x90000)]; // mov esp, 0x90000
  for (const [vector, handler] of Object.entries(gates)) {
    const at = table + Number(vector) * 8;
    code.push(0xc7, 0x05, ...word32(at), ...word32(0x80000 | (handler & 0xffff)));
    code.push(0xc7, 0x05, ...word32(at + 4), ...word32((handler & 0xffff0000) | 0x8e00));
  }
  code.push(0x66, 0xc7, 0x05, ...word32(0x118000), ...word16(0x7ff)); // limit
  code.push(0xc7, 0x05, ...word32(0x118002), ...word32(table)); // base
  code.push(0x0f, 0x01, 0x1d, ...word32(0x118000)); // lidt
  return code;
};

/** Both interrupt controllers at vectors 20h and 28h; only the lines in `open` of the first one. */
export const controllers = (open: number): number[] => [
  ...out(0x20, 0x11),
  ...out(0x21, 0x20),
  ...out(0x21, 4),
  ...out(0x21, 1),
  ...out(0xa0, 0x11),
  ...out(0xa1, 0x28),
  ...out(0xa1, 2),
  ...out(0xa1, 1),
  ...out(0x21, 0xff & ~open),
  ...out(0xa1, 0xff),
];

export interface Run {
  machine: BareMachine;
  console: () => string;
  debug: () => string;
  posts: number[];
}

export const boot = (code: readonly number[] | Uint8Array, options: Partial<BareOptions> = {}): Run => {
  const image = code instanceof Uint8Array ? code : kernel(code);
  const machine = new BareMachine({ image, memoryBytes: 4 << 20, jit: false, records: 1024, ...options });
  let console = '';
  let debug = '';
  const posts: number[] = [];
  machine.onConsole = (chunk) => {
    console += String.fromCharCode(...chunk);
  };
  machine.onDebugPort = (byte) => {
    debug += String.fromCharCode(byte);
  };
  machine.onPost = (code) => posts.push(code);
  return { machine, console: () => console, debug: () => debug, posts };
};
