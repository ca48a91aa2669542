// The decoder against iced-x86, an independent one, over both opcode maps: every opcode, prefix set, ModR/M byte and a few SIB bytes, in 32- and 16-bit code.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CpuidFeature, Decoder, DecoderOptions, Mnemonic } from 'iced-x86';
import { decode, M, R, RECORD } from '../../src/i386/decode';
import { ROWS } from '../../src/i386/rows';

const PREFIXES: number[][] = [[], [0x66], [0x67], [0xf3], [0xf2], [0x66, 0x67], [0x2e], [0x64, 0x66], [0xf0], [0xf3, 0x66]];
const SIBS = [0x00, 0x25, 0xa5, 0x65, 0xd1];

/** Instruction sets that our processor announces; what belongs to another is #UD for us. */
const OURS = new Set<number>([
  CpuidFeature.INTEL8086,
  CpuidFeature.INTEL8086_ONLY,
  CpuidFeature.INTEL186,
  CpuidFeature.INTEL286,
  CpuidFeature.INTEL386,
  CpuidFeature.INTEL486,
  CpuidFeature.FPU,
  CpuidFeature.FPU387,
  CpuidFeature.CMOV,
  CpuidFeature.CX8,
  CpuidFeature.TSC,
  CpuidFeature.MSR,
  CpuidFeature.SEP,
  CpuidFeature.FXSR,
  CpuidFeature.MMX,
  CpuidFeature.SSE,
  CpuidFeature.SSE2,
  CpuidFeature.CPUID,
  CpuidFeature.MULTIBYTENOP,
  CpuidFeature.CLFSH,
  CpuidFeature.PAUSE,
]);

interface Tally {
  compared: number;
  /** What differs, by opcode and reason, with how often. */
  differences: Map<string, number>;
}

const compare = (bytes: Uint8Array, bits: 16 | 32, tally: Tally): void => {
  const record = new Int32Array(RECORD);
  const length = decode(bytes, 0, 15, bits === 32, record, 0);
  const row = ROWS[record[R.FORM] >> 3];
  const valid = row.name !== 'ud';
  const decoder = new Decoder(bits, bytes, DecoderOptions.None);
  const iced = decoder.decode();
  tally.compared++;
  const other = iced.mnemonic !== Mnemonic.INVALID;
  const differs = (what: string): void => {
    let p = 0;
    while ([0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x64].includes(bytes[p])) p++;
    const opcode = bytes[p] === 0x0f ? `0f ${bytes[p + 1].toString(16)}` : bytes[p].toString(16);
    const key = `${opcode}: ${what}`;
    tally.differences.set(key, (tally.differences.get(key) ?? 0) + 1);
  };
  if (valid && other) {
    if (length !== iced.length) differs(`${row.name} is ${length} bytes for us, ${iced.length} for iced`);
    const ends = (record[R.META] & M.LENGTH) === length;
    if (!ends) differs('the record has another length than decode() returned');
  } else if (valid) differs(`${row.name} does not exist for iced`);
  else if (other && iced.cpuidFeatures().every((feature) => OURS.has(feature)))
    differs(`iced has ${Mnemonic[iced.mnemonic]}, we have nothing`);
  iced.free();
  decoder.free();
};

const enumerate = (bits: 16 | 32, map: number[]): Tally => {
  const tally: Tally = { compared: 0, differences: new Map() };
  const bytes = new Uint8Array(24);
  for (const prefixes of PREFIXES) {
    for (let opcode = 0; opcode < 256; opcode++) {
      if (map.length === 0 && [0x0f, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3].includes(opcode)) continue;
      for (let modrm = 0; modrm < 256; modrm++) {
        const sibs = (modrm & 7) === 4 && modrm < 0xc0 ? SIBS : [0x11];
        for (const sib of sibs) {
          bytes.fill(0x11);
          bytes.set([...prefixes, ...map, opcode, modrm, sib]);
          compare(bytes, bits, tally);
        }
      }
    }
  }
  return tally;
};

/** Where we differ on purpose, by opcode. */
const KNOWN: [RegExp, string][] = [
  [/^8[ce]: mov_(from|to)_sreg does not exist/, 'segment registers 6 and 7, and CS as a destination: the handler raises #UD'],
  [/^0f 2[0123]: mov_(from|to)_[cd]r does not exist/, 'control registers that do not exist: the handler raises #UD, or #GP at CPL 3 first'],
  [/^0f ff: iced has Ud0/, 'an undefined opcode by name is still undefined'],
];

const check = (tally: Tally): void => {
  const unexplained = [...tally.differences].filter(([key]) => !KNOWN.some(([pattern]) => pattern.test(key)));
  assert.ok(tally.compared > 500_000, `only ${tally.compared} encodings were compared`);
  assert.deepEqual(
    unexplained.map(([key, n]) => `${key} (${n})`),
    [],
  );
};

for (const bits of [32, 16] as const) {
  test(`one-byte opcodes have the length and validity that iced-x86 gives them in ${bits}-bit code`, () => check(enumerate(bits, [])));
  test(`0F opcodes have the length and validity that iced-x86 gives them in ${bits}-bit code`, () => check(enumerate(bits, [0x0f])));
}
