// Runs a multiboot image in v86 (npm), serial port to stdout, stops at @DONE or @BAD.
import fs from 'node:fs';
import path from 'node:path';
import url from 'node:url';
const here = path.dirname(url.fileURLToPath(import.meta.url));
const { V86 } = await import(path.join(here, 'node_modules/v86/build/libv86.mjs'));
const ab = (f) => {
  const b = fs.readFileSync(f);
  return b.buffer.slice(b.byteOffset, b.byteOffset + b.length);
};
const image = process.argv[2];
const emulator = new V86({
  wasm_path: path.join(here, 'node_modules/v86/build/v86.wasm'),
  multiboot: { buffer: ab(image) },
  autostart: true,
  memory_size: 64 << 20,
  vga_memory_size: 2 << 20,
  disable_jit: +(process.env.DISABLE_JIT ?? 0),
  disable_keyboard: true,
  disable_mouse: true,
  disable_speaker: true,
  log_level: 0,
});
let line = '';
emulator.add_listener('serial0-output-byte', (b) => {
  line += String.fromCharCode(b);
  if (b === 10) {
    fs.writeSync(1, line);
    if (line.startsWith('@DONE') || line.startsWith('@BAD')) setTimeout(() => process.exit(0), 500);
    line = '';
  }
});
