// Draws media/icon.png (128 x 128), the extension's picture: a processor with its pins, and on it the register that
// page faults are about. Run by hand after a change: `node media/make-icon.mjs`. Writes PNG itself; needs nothing but Node.
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { deflateSync } from 'node:zlib';

const SIZE = 128;
const SCALE = 4; // samples per pixel and direction, averaged, so that round corners look round
const COLOURS = {
  back: [27, 39, 51],
  body: [46, 66, 84],
  edge: [111, 163, 199],
  pin: [196, 206, 214],
  text: [255, 179, 71],
  dot: [111, 163, 199],
};

/** Letters on a 5 x 7 grid, one string per row. */
const LETTERS = {
  c: ['.....', '.....', '.###.', '#....', '#....', '#....', '.###.'],
  r: ['.....', '.....', '#.##.', '##..#', '#....', '#....', '#....'],
  2: ['.###.', '#...#', '....#', '..##.', '.#...', '#....', '#####'],
};

const inRounded = (x, y, left, top, right, bottom, radius) => {
  if (x < left || x >= right || y < top || y >= bottom) return false;
  const dx = Math.max(left + radius - x, x - (right - radius), 0);
  const dy = Math.max(top + radius - y, y - (bottom - radius), 0);
  return dx * dx + dy * dy <= radius * radius;
};

function inText(x, y) {
  const cell = 3.6;
  const column = Math.floor((x - 33) / cell);
  const row = Math.floor((y - 51) / cell);
  if (row < 0 || row > 6 || column < 0) return false;
  const letter = ['c', 'r', '2'][Math.floor(column / 6)];
  return letter !== undefined && LETTERS[letter][row][column % 6] === '#';
}

const inPins = (x, y) => {
  const along = (v) => v >= 34 && v < 94 && (v - 34) % 12 < 6;
  return (along(x) && ((y >= 12 && y < 24) || (y >= 104 && y < 116))) || (along(y) && ((x >= 12 && x < 24) || (x >= 104 && x < 116)));
};

function colourAt(x, y) {
  if (!inRounded(x, y, 0, 0, SIZE, SIZE, 22)) return [0, 0, 0, 0];
  if (inText(x, y)) return [...COLOURS.text, 255];
  if (inRounded(x, y, 27, 27, 101, 101, 6)) {
    if (Math.hypot(x - 36, y - 36) < 3.5) return [...COLOURS.dot, 255];
    return [...COLOURS.body, 255];
  }
  if (inRounded(x, y, 24, 24, 104, 104, 9)) return [...COLOURS.edge, 255];
  if (inPins(x, y)) return [...COLOURS.pin, 255];
  return [...COLOURS.back, 255];
}

function pixel(px, py) {
  const sum = [0, 0, 0, 0];
  for (let i = 0; i < SCALE * SCALE; i++) {
    const [r, g, b, a] = colourAt(px + ((i % SCALE) + 0.5) / SCALE, py + (Math.floor(i / SCALE) + 0.5) / SCALE);
    for (const [k, v] of [r * a, g * a, b * a, a].entries()) sum[k] += v;
  }
  const alpha = sum[3];
  return alpha === 0 ? [0, 0, 0, 0] : [sum[0] / alpha, sum[1] / alpha, sum[2] / alpha, alpha / (SCALE * SCALE)].map(Math.round);
}

const CRC = Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c >>> 0;
});
const crc = (bytes) => (bytes.reduce((c, b) => CRC[(c ^ b) & 255] ^ (c >>> 8), 0xffffffff) ^ 0xffffffff) >>> 0;

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(data.length, 0);
  body.copy(out, 4);
  out.writeUInt32BE(crc(body), body.length + 4);
  return out;
}

const header = Buffer.alloc(13);
header.writeUInt32BE(SIZE, 0);
header.writeUInt32BE(SIZE, 4);
header.set([8, 6, 0, 0, 0], 8);
const rows = [];
for (let y = 0; y < SIZE; y++) {
  rows.push(0); // filter "none"
  for (let x = 0; x < SIZE; x++) rows.push(...pixel(x, y));
}
const png = Buffer.concat([
  Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
  chunk('IHDR', header),
  chunk('IDAT', deflateSync(Buffer.from(rows), { level: 9 })),
  chunk('IEND', Buffer.alloc(0)),
]);
const target = join(dirname(fileURLToPath(import.meta.url)), 'icon.png');
writeFileSync(target, png);
console.log(`${target}: ${png.length} bytes`);
