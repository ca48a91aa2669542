// The name table that a Linux kernel carries in its memory, as its build makes it; small, for tests.

export const SYMBOLS: [number, string][] = [
  [0xc0100000, 'T_text'],
  [0xc0100000, 'tstartup_32'],
  ...Array.from({ length: 700 }, (_, i): [number, string] => [0xc0100010 + i * 16, `Tsys_call_${i}`]),
  [0xc0300000, 'Djiffies'],
  [0xc0300004, 'bhidden'],
];

/** A memory image with the table at `at`, made as the kernel's build makes it: frequent strings become tokens. */
export function image(at: number, symbols = SYMBOLS): Uint8Array {
  const tokens = Array.from({ length: 256 }, (_, code) => (code >= 0x20 && code < 0x7f ? String.fromCharCode(code) : `unused${code}`));
  tokens[0x01] = 'sys_';
  tokens[0x80] = 'call_';
  const bytes: number[] = [];
  const align = () => {
    while (bytes.length % 4) bytes.push(0);
  };
  const word = (value: number) => bytes.push(value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24);
  for (const [address] of symbols) word(address);
  word(symbols.length);
  const start = bytes.length;
  const markers: number[] = [];
  for (const [index, [, name]] of symbols.entries()) {
    if (index % 256 === 0) markers.push(bytes.length - start);
    const codes = [...name.replace('sys_', '\x01').replace('call_', '\x80')].map((c) => c.charCodeAt(0));
    bytes.push(codes.length, ...codes);
  }
  align();
  for (const marker of markers) word(marker);
  const offsets: number[] = [];
  const table = bytes.length;
  for (const token of tokens) {
    offsets.push(bytes.length - table);
    bytes.push(...[...token].map((c) => c.charCodeAt(0)), 0);
  }
  align();
  for (const offset of offsets) bytes.push(offset & 255, offset >>> 8);
  const memory = new Uint8Array(at + bytes.length + 5000).fill(0x55, 0, at);
  memory.set(bytes, at);
  return memory;
}
