#!/usr/bin/env node
// One command: node bench.mjs --contestants ours,v86,qemu --runs 5 [--tests a1,e1] [--out results.json]
//   [--add 'name=multiboot:NUM/DEN:command {image}']   one more contestant without editing contestants.mjs
//   --count     count the guest's instructions for every (test, iterations) in use, with qemu -icount shift=0
//   --debugger-costs  measure what debugging costs instead (debugger-costs.mjs): --turns 5, --costs dap,watch, --out FILE
//   --table FILE  only print the table of an earlier results file     --base v86   the ratio's base
// Contestants run interleaved (A B C A B C ...), medians are reported. Speed = guest instructions / CPU seconds of the
// contestant's busiest thread between the guest's @B and @E markers; total CPU of all threads and wall time are kept too.
import fs from 'node:fs';
import path from 'node:path';
import url from 'node:url';
import os from 'node:os';
import { spawn } from 'node:child_process';
import { execFileSync } from 'node:child_process';
import contestants, { installed } from './contestants.mjs';
import { debuggerCosts } from './debugger-costs.mjs';
const here = path.dirname(url.fileURLToPath(import.meta.url)),
  tmp = path.join(here, 'tmp');
fs.mkdirSync(tmp, { recursive: true });
const arg = (n, d) => {
    const i = process.argv.indexOf('--' + n);
    return i < 0 ? d : process.argv[i + 1];
  },
  flag = (n) => process.argv.includes('--' + n);
const add = arg('add');
if (add) {
  const [, name, kind, num, den, cmd] = /^(\w+)=(\w+):(\d+)\/(\d+):(.*)$/.exec(add);
  contestants[name] = { kind, scale: [+num, +den], cmd: (image) => ['/bin/sh', ['-c', 'exec ' + cmd.replaceAll('{image}', image)]] };
}
const TESTS = [...fs.readFileSync(path.join(here, 'guest/bench.c'), 'latin1').matchAll(/^ {4}\{ "(\S+?)",\s+t_/gm)].map((m) => m[1]);
const filter = arg('tests'),
  timeout = +arg('timeout', 400),
  base = arg('base', 'v86');
let mask = 0;
TESTS.forEach((t, i) => {
  if (!filter || filter.split(',').some((f) => t.startsWith(f))) mask |= 1 << i;
});
const countsFile = path.join(here, 'counts.json'),
  counts = fs.existsSync(countsFile) ? JSON.parse(fs.readFileSync(countsFile)) : {};
const sumsFile = path.join(here, 'checksums.json'),
  sums = fs.existsSync(sumsFile) ? JSON.parse(fs.readFileSync(sumsFile)) : {};
const median = (a) => {
  a = [...a].sort((x, y) => x - y);
  const n = a.length;
  return n ? (n & 1 ? a[n >> 1] : (a[n / 2 - 1] + a[n / 2]) / 2) : NaN;
};

function image(kind, [num, den], file, tests = mask) {
  const src = path.join(
    here,
    'guest',
    { multiboot: 'bench.elf', lguest: 'bench-lguest.elf', iso: 'bench.iso', linux: 'bench-linux' }[kind],
  );
  const b = fs.readFileSync(src);
  let at = -1,
    n = 0;
  while ((at = b.indexOf('PERFBENCHCONFIG1', at + 1)) >= 0) {
    b.writeUInt32LE(tests >>> 0, at + 16);
    b.writeUInt32LE(num, at + 20);
    b.writeUInt32LE(den, at + 24);
    n++;
  }
  if (!n) throw new Error('no config block in ' + src);
  fs.writeFileSync(file, b, { mode: 0o755 });
  return file;
}
function cpu(pid) {
  // ns of CPU per thread
  const r = {};
  try {
    for (const t of fs.readdirSync(`/proc/${pid}/task`))
      try {
        r[t] = +fs.readFileSync(`/proc/${pid}/task/${t}/schedstat`, 'latin1').split(' ')[0];
      } catch {}
  } catch {}
  return r;
}
function runOne(name, scaleOverride) {
  const c = contestants[name];
  if (!c) throw new Error('unknown contestant ' + name);
  const scale = scaleOverride ?? c.scale,
    img = image(c.kind, scale, path.join(tmp, `${name}.img`)),
    [file, args, env] = c.cmd(img, path.join(tmp, name));
  return new Promise((resolve, reject) => {
    const started = process.hrtime.bigint(),
      p = spawn(file, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    try {
      os.setPriority(p.pid, 0);
    } catch {}
    const res = { tests: {}, boot: null };
    let buf = '',
      err = '',
      cur = null,
      done = false;
    const kill = () => {
      try {
        process.kill(p.pid, 'SIGKILL');
      } catch {}
    };
    const timer = setTimeout(() => {
      res.timeout = true;
      kill();
    }, timeout * 1000);
    p.stderr.on('data', (d) => {
      err = (err + d).slice(-2000);
    });
    p.stdout.on('data', (d) => {
      const now = process.hrtime.bigint(),
        cp = cpu(p.pid);
      buf += d.toString('latin1');
      let nl;
      while ((nl = buf.indexOf('\n')) >= 0) {
        const line = buf.slice(0, nl).replace('\r', '');
        buf = buf.slice(nl + 1);
        const m = /@(START|B|E|S|DONE|BAD)(?: (\S+))?(?: (\d+))?(?: ([0-9a-f]{8}))?(?: ([0-9a-f]{16}))?/.exec(line);
        if (!m) continue;
        if (m[1] === 'START') res.boot = Number(now - started) / 1e9;
        if (m[1] === 'B') cur = { now, cp };
        if (m[1] === 'E' && cur) {
          let all = 0,
            busy = 0;
          for (const t in cp) {
            const x = cp[t] - (cur.cp[t] ?? 0);
            all += x;
            busy = Math.max(busy, x);
          }
          const t = { n: +m[3], sum: m[4], wall: Number(now - cur.now) / 1e9, all: all / 1e9, busy: busy / 1e9, field: parseInt(m[5], 16) };
          if (c.cpuField) t.wall = t.all = t.busy = t.field / 1e9;
          res.tests[m[2]] = t;
          const key = m[2] + ':' + m[3];
          if (!sums[key]) {
            sums[key] = m[4];
            fs.writeFileSync(sumsFile, JSON.stringify(sums, null, 1));
          } else if (sums[key] !== m[4]) {
            t.bad = true;
            console.error(`!! ${name} ${key}: checksum ${m[4]}, expected ${sums[key]}`);
          }
        }
        if (m[1] === 'BAD') {
          res.bad = true;
          kill();
        }
        if (m[1] === 'DONE') {
          done = true;
          kill();
        }
      }
    });
    p.on('error', reject);
    p.on('close', () => {
      clearTimeout(timer);
      res.done = done;
      if (!done && !c.cpuField) console.error(`!! ${name}: no @DONE ${res.timeout ? '(timeout)' : ''} ${err.slice(-400)}`);
      resolve(res);
    });
  });
}
const names = arg('contestants', ['ours', 'interpreter', 'guest', 'v86', 'qemu', 'bochs'].filter(installed).join(',')).split(','),
  runs = +arg('runs', 3);
// The images come from source, with make and a gcc that can do -m32.
execFileSync(
  'make',
  ['-C', path.join(here, 'guest'), 'bench.elf', 'bench-lguest.elf', ...(names.includes('native') ? ['bench-linux'] : [])],
  { stdio: ['ignore', 'ignore', 'inherit'] },
);
if (flag('debugger-costs')) {
  // Those that go all over the memory: the list, the pointers, the sieve, TLB misses.
  const wide = TESTS.reduce((bits, t, i) => (/^(a2|b1|d1|i1)/.test(t) ? bits | (1 << i) : bits), 0);
  const results = await debuggerCosts({
    turns: +arg('turns', 5),
    wanted: arg('costs', ''),
    workloads: () => image('lguest', [1, 8], path.join(tmp, 'wide.img'), wide),
  });
  const file = arg('out', path.join(tmp, 'debugger-costs.json'));
  fs.writeFileSync(
    file,
    `${JSON.stringify({ date: new Date().toISOString(), cpu: os.cpus()[0].model, node: process.version, load: os.loadavg()[0], results }, null, 1)}\n`,
  );
  process.exit(0);
}
try {
  os.setPriority(process.pid, -10);
} catch {}
if (flag('count')) {
  for (const s of [
    ...new Set(
      Object.values(contestants)
        .filter((c) => c.kind !== 'linux')
        .map((c) => c.scale.join('/')),
    ),
  ]) {
    const r = await runOne('icount', s.split('/').map(Number));
    for (const t in r.tests) counts[t + ':' + r.tests[t].n] = r.tests[t].field;
    console.log('counted at scale', s, Object.keys(r.tests).length, 'tests');
  }
  fs.writeFileSync(countsFile, JSON.stringify(counts, null, 1));
  process.exit(0);
}
// instructions for n iterations: exact if counted, else linear through two counted points
function insns(t, n) {
  if (counts[t + ':' + n]) return counts[t + ':' + n];
  const pts = Object.keys(counts)
    .filter((k) => k.startsWith(t + ':'))
    .map((k) => [+k.split(':')[1], counts[k]])
    .sort((a, b) => a[0] - b[0]);
  if (pts.length < 2) return pts.length ? (pts[0][1] * n) / pts[0][0] : NaN;
  const [a, b] = [pts[0], pts[pts.length - 1]];
  return a[1] + ((n - a[0]) * (b[1] - a[1])) / (b[0] - a[0]);
}
const out = arg('out', path.join(here, 'results.json')),
  tableOf = arg('table');
const data = tableOf
  ? JSON.parse(fs.readFileSync(tableOf))
  : { date: new Date().toISOString(), cpu: os.cpus()[0].model, node: process.version, loads: [], runs: {} };
if (!tableOf)
  for (let r = 0; r < runs; r++)
    for (const n of names) {
      data.loads.push(os.loadavg()[0]);
      const t0 = Date.now();
      const x = await runOne(n);
      (data.runs[n] ??= []).push(x);
      console.error(
        `run ${r + 1}/${runs} ${n}: ${Object.keys(x.tests).length} tests, ${((Date.now() - t0) / 1000).toFixed(1)} s, load ${os.loadavg()[0].toFixed(1)}`,
      );
      fs.writeFileSync(out, JSON.stringify(data));
    }
// ---- table ----
const cs = Object.keys(data.runs),
  mips = {},
  spread = {};
for (const c of cs) {
  mips[c] = {};
  spread[c] = {};
  for (const t of TESTS) {
    const v = data.runs[c]
      .map((r) => r.tests[t])
      .filter(Boolean)
      .map((x) => insns(t, x.n) / x.busy / 1e6);
    if (v.length) {
      mips[c][t] = median(v);
      spread[c][t] = (Math.max(...v) - Math.min(...v)) / median(v);
    }
  }
}
const bad = cs.filter((c) => data.runs[c].some((r) => Object.values(r.tests).some((t) => t.bad)));
const used = TESTS.filter((t) => cs.some((c) => mips[c][t] > 0)),
  has = cs.includes(base),
  f = (v) => (v === undefined || Number.isNaN(v) ? '-' : v >= 100 ? v.toFixed(0) : v >= 10 ? v.toFixed(1) : v.toFixed(2));
console.log(
  `\nMIPS (guest instructions per busiest-thread CPU second; a rep iteration counts as one), median of ${Math.max(...cs.map((c) => data.runs[c].length))}; in () the ratio to ${base}`,
);
console.log('test'.padEnd(13) + 'Minsn'.padStart(7) + cs.map((c) => c.padStart(17)).join(''));
for (const t of used) {
  console.log(
    t.padEnd(13) +
      (
        counts[
          t +
            ':' +
            Object.keys(counts)
              .filter((k) => k.startsWith(t + ':'))
              .map((k) => +k.split(':')[1])
              .sort((a, b) => b - a)[0]
        ] / 1e6
      )
        .toFixed(0)
        .padStart(7) +
      cs.map((c) => (f(mips[c][t]) + (has && mips[c][t] ? ` (${(mips[c][t] / mips[base][t]).toFixed(2)})` : '')).padStart(17)).join(''),
  );
}
const geo = (c) => {
  const l = used.filter((t) => mips[c][t] && (!has || mips[base][t]));
  return Math.exp(l.reduce((a, t) => a + Math.log(has ? mips[c][t] / mips[base][t] : mips[c][t]), 0) / l.length);
};
console.log('geomean'.padEnd(20) + cs.map((c) => geo(c).toFixed(2).padStart(17)).join(''));
console.log(
  'spread (max-min)/median, median over tests: ' + cs.map((c) => `${c} ${(100 * median(Object.values(spread[c]))).toFixed(0)}%`).join(', '),
);
console.log(
  'boot to @START, s: ' +
    cs.map((c) => `${c} ${f(median(data.runs[c].map((r) => r.boot ?? NaN)))}`).join(', ') +
    '   wall s per run: ' +
    cs.map((c) => `${c} ${f(median(data.runs[c].map((r) => Object.values(r.tests).reduce((a, t) => a + t.wall, 0))))}`).join(', ') +
    '   total cpu/busiest: ' +
    cs
      .map(
        (c) =>
          `${c} ${(median(data.runs[c].map((r) => Object.values(r.tests).reduce((a, t) => a + t.all, 0) / Object.values(r.tests).reduce((a, t) => a + t.busy, 0)))).toFixed(2)}`,
      )
      .join(', '),
);
console.log(bad.length ? 'CHECKSUM ERRORS: ' + bad.join(', ') : 'all checksums agree');
