// Every contestant is a command that boots IMAGE and prints the guest's serial output on stdout.
// Fields: kind 'multiboot' | 'iso' | 'linux' (which image), scale [num, den] of the default iteration counts,
// cmd(image, tmp) -> [file, args, env?], cpuField: the guest's own time field is CPU nanoseconds (native only).
import fs from 'node:fs';
import path from 'node:path';
import url from 'node:url';
const here = path.dirname(url.fileURLToPath(import.meta.url));
const cli = path.join(here, '../../dist/cli.js');
const qemu =
  (extra = []) =>
  (image) => [
    'qemu-system-i386',
    ['-display', 'none', '-monitor', 'none', '-serial', 'stdio', '-m', '64', '-kernel', image, '-no-reboot', '-net', 'none', ...extra],
  ];
const v86 =
  (bin, env = {}, flags = []) =>
  (image) => [bin, [...flags, path.join(here, 'run-v86.mjs'), image], env];
export default {
  native: { kind: 'linux', scale: [2, 1], cpuField: true, cmd: (image) => [image, []] },
  qemu: { kind: 'multiboot', scale: [1, 1], cmd: qemu() },
  icount: { kind: 'multiboot', scale: [1, 1], cmd: qemu(['-icount', 'shift=0,sleep=off']) }, // used by --count
  bochs: {
    kind: 'iso',
    scale: [1, 8],
    cmd: (image, tmp) => {
      fs.writeFileSync(
        tmp + '.rc',
        `plugin_ctrl: unmapped=true, biosdev=true, speaker=false, extfpuirq=true, parallel=false, serial=true, iodebug=true
memory: guest=64, host=64
romimage: file=/usr/share/bochs/BIOS-bochs-latest, options=fastboot
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
cpu: model=p3_katmai, count=1, ips=100000000, reset_on_triple_fault=0, ignore_bad_msrs=1
display_library: sdl2
clock: sync=none, time0=local
ata0-master: type=cdrom, path=${image}, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=/dev/null
port_e9_hack: enabled=1
log: ${tmp}.log
panic: action=fatal
error: action=ignore
info: action=ignore
`,
      );
      fs.writeFileSync(tmp + '.dbg', 'c\n');
      return ['bochs-bin', ['-q', '-f', tmp + '.rc', '-rc', tmp + '.dbg'], { SDL_VIDEODRIVER: 'dummy' }];
    },
  },
  v86: { kind: 'multiboot', scale: [1, 1], cmd: v86(process.execPath) },
  v86nojit: { kind: 'multiboot', scale: [1, 16], cmd: v86(process.execPath, { DISABLE_JIT: '1' }) },
  // Ours: translated and interpreted on the bare machine, and the same workloads as a Guest in ring 1 under the Host.
  ours: { kind: 'multiboot', scale: [1, 1], cmd: (image) => [process.execPath, [cli, 'bare', image, '--memory', '64M']] },
  interpreter: {
    kind: 'multiboot',
    scale: [1, 16],
    cmd: (image) => [process.execPath, [cli, 'bare', image, '--memory', '64M', '--no-jit']],
  },
  guest: { kind: 'lguest', scale: [1, 1], cmd: (image) => [process.execPath, [cli, 'run', image, '--memory', '64M']] },
};
/** Which of them this machine has. */
export const installed = (name) => {
  const has = (command) => (process.env.PATH ?? '').split(':').some((dir) => fs.existsSync(path.join(dir, command)));
  if (name === 'qemu') return has('qemu-system-i386');
  if (name === 'bochs') return has('bochs-bin') && fs.existsSync(path.join(here, 'guest/bench.iso'));
  if (name === 'v86') return fs.existsSync(path.join(here, 'node_modules/v86'));
  return true;
};
