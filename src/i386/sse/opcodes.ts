// MMX, SSE and SSE2 rows of the opcode list (see ../opcodes.ts for the notation).
//
// Most integer instructions come in two rows: on mmx registers without a prefix, on xmm registers with 66. Operand widths name the bytes of memory an operand
// reads: x = all 16 (aligned, but for the movu forms), q = 8, d = 4. Binders tell the two register files apart by the operand letters.

import type { Row, RowOptions } from '../opcodes';

const r = <const N extends string>(op: number, name: N, args: string, options: RowOptions): Row<N> => ({ op, name, args, ...options });

const NONE = 0;
const P66 = 1;
const F3 = 2;
const F2 = 3;

/** Packed integer operations that the Pentium MMX had. */
const MMX_BASE = [
  [0x61, 'punpcklwd'],
  [0x62, 'punpckldq'],
  [0x63, 'packsswb'],
  [0x64, 'pcmpgtb'],
  [0x65, 'pcmpgtw'],
  [0x66, 'pcmpgtd'],
  [0x67, 'packuswb'],
  [0x68, 'punpckhbw'],
  [0x69, 'punpckhwd'],
  [0x6a, 'punpckhdq'],
  [0x6b, 'packssdw'],
  [0x60, 'punpcklbw'],
  [0x74, 'pcmpeqb'],
  [0x75, 'pcmpeqw'],
  [0x76, 'pcmpeqd'],
  [0xd1, 'psrlw'],
  [0xd2, 'psrld'],
  [0xd3, 'psrlq'],
  [0xd5, 'pmullw'],
  [0xd8, 'psubusb'],
  [0xd9, 'psubusw'],
  [0xdb, 'pand'],
  [0xdc, 'paddusb'],
  [0xdd, 'paddusw'],
  [0xdf, 'pandn'],
  [0xe1, 'psraw'],
  [0xe2, 'psrad'],
  [0xe5, 'pmulhw'],
  [0xe8, 'psubsb'],
  [0xe9, 'psubsw'],
  [0xeb, 'por'],
  [0xec, 'paddsb'],
  [0xed, 'paddsw'],
  [0xef, 'pxor'],
  [0xf1, 'psllw'],
  [0xf2, 'pslld'],
  [0xf3, 'psllq'],
  [0xf5, 'pmaddwd'],
  [0xf8, 'psubb'],
  [0xf9, 'psubw'],
  [0xfa, 'psubd'],
  [0xfc, 'paddb'],
  [0xfd, 'paddw'],
  [0xfe, 'paddd'],
] as const;
/** Those that came with SSE. */
const MMX_SSE = [
  [0xda, 'pminub'],
  [0xde, 'pmaxub'],
  [0xe0, 'pavgb'],
  [0xe3, 'pavgw'],
  [0xe4, 'pmulhuw'],
  [0xea, 'pminsw'],
  [0xee, 'pmaxsw'],
  [0xf6, 'psadbw'],
] as const;
/** Those that came with SSE2. */
const MMX_SSE2 = [
  [0xd4, 'paddq'],
  [0xf4, 'pmuludq'],
  [0xfb, 'psubq'],
] as const;
type Feature = NonNullable<RowOptions['feature']>;
const both = <N extends string>(list: readonly (readonly [number, N])[], feature: Feature): Row<N>[] =>
  list.flatMap(([op, name]) => [
    r(0x0f00 | op, name, /^punpckl/.test(name) ? 'Pq Qd' : 'Pq Qq', { pfx: NONE, feature }),
    r(0x0f00 | op, name, 'Vx Wx', { pfx: P66, feature: 'sse2' }),
  ]);

/** Shifts by an immediate: opcodes 71 (words), 72 (dwords), 73 (quadwords), /2 right, /4 arithmetic right, /6 left. */
const shiftGroup = (
  [
    [0x71, 2, 'psrlw'],
    [0x71, 4, 'psraw'],
    [0x71, 6, 'psllw'],
    [0x72, 2, 'psrld'],
    [0x72, 4, 'psrad'],
    [0x72, 6, 'pslld'],
    [0x73, 2, 'psrlq'],
    [0x73, 6, 'psllq'],
  ] as const
).flatMap(([op, ext, name]) => [
  r(0x0f00 | op, `${name}_i`, 'Nq Ib', { ext, pfx: NONE, mod: 'reg', feature: 'mmx' }),
  r(0x0f00 | op, `${name}_i`, 'Ux Ib', { ext, pfx: P66, mod: 'reg', feature: 'sse2' }),
]);

/** Floating-point operations in four shapes: packed singles, packed doubles, one single, one double. */
const shapes = <N extends string>(op: number, name: N, imm = ''): Row[] => [
  r(op, `${name}ps`, `Vx Wx${imm}`, { pfx: NONE, feature: 'sse' }),
  r(op, `${name}pd`, `Vx Wx${imm}`, { pfx: P66, feature: 'sse2' }),
  r(op, `${name}ss`, `Vd Wd${imm}`, { pfx: F3, feature: 'sse' }),
  r(op, `${name}sd`, `Vq Wq${imm}`, { pfx: F2, feature: 'sse2' }),
];
/** The two packed shapes. */
const packed = <N extends string>(op: number, name: N, args = 'Vx Wx'): Row[] => [
  r(op, `${name}ps`, args, { pfx: NONE, feature: 'sse' }),
  r(op, `${name}pd`, args, { pfx: P66, feature: 'sse2' }),
];

export const SSE: readonly Row[] = [
  ...both(MMX_BASE, 'mmx'),
  ...both(MMX_SSE, 'sse'),
  ...both(MMX_SSE2, 'sse2'),
  ...shiftGroup,
  r(0x0f6c, 'punpcklqdq', 'Vx Wx', { pfx: P66, feature: 'sse2' }),
  r(0x0f6d, 'punpckhqdq', 'Vx Wx', { pfx: P66, feature: 'sse2' }),
  r(0x0f73, 'psrldq_i', 'Ux Ib', { ext: 3, pfx: P66, mod: 'reg', feature: 'sse2' }),
  r(0x0f73, 'pslldq_i', 'Ux Ib', { ext: 7, pfx: P66, mod: 'reg', feature: 'sse2' }),
  r(0x0f70, 'pshufw', 'Pq Qq Ib', { pfx: NONE, feature: 'sse' }),
  r(0x0f70, 'pshufd', 'Vx Wx Ib', { pfx: P66, feature: 'sse2' }),
  r(0x0f70, 'pshufhw', 'Vx Wx Ib', { pfx: F3, feature: 'sse2' }),
  r(0x0f70, 'pshuflw', 'Vx Wx Ib', { pfx: F2, feature: 'sse2' }),
  r(0x0fc4, 'pinsrw', 'Pq Ew Ib', { pfx: NONE, feature: 'sse' }),
  r(0x0fc4, 'pinsrw', 'Vx Ew Ib', { pfx: P66, feature: 'sse2' }),
  r(0x0fc5, 'pextrw', 'Gd Nq Ib', { pfx: NONE, mod: 'reg', feature: 'sse' }),
  r(0x0fc5, 'pextrw', 'Gd Ux Ib', { pfx: P66, mod: 'reg', feature: 'sse2' }),
  r(0x0fd7, 'pmovmskb', 'Gd Nq', { pfx: NONE, mod: 'reg', feature: 'sse' }),
  r(0x0fd7, 'pmovmskb', 'Gd Ux', { pfx: P66, mod: 'reg', feature: 'sse2' }),
  r(0x0f77, 'emms', '', { pfx: NONE, feature: 'mmx' }),

  r(0x0f6e, 'movd_load', 'Pq Ed', { pfx: NONE, feature: 'mmx' }),
  r(0x0f6e, 'movd_load', 'Vx Ed', { pfx: P66, feature: 'sse2' }),
  r(0x0f7e, 'movd_store', 'Ed Pq', { pfx: NONE, feature: 'mmx' }),
  r(0x0f7e, 'movd_store', 'Ed Vx', { pfx: P66, feature: 'sse2' }),
  r(0x0f6f, 'movq_load', 'Pq Qq', { pfx: NONE, feature: 'mmx' }),
  r(0x0f7f, 'movq_store', 'Qq Pq', { pfx: NONE, feature: 'mmx' }),
  r(0x0f7e, 'movq_load', 'Vx Wq', { pfx: F3, feature: 'sse2' }),
  r(0x0fd6, 'movq_store', 'Wq Vx', { pfx: P66, feature: 'sse2' }),
  r(0x0fd6, 'movq2dq', 'Vx Nq', { pfx: F3, mod: 'reg', feature: 'sse2' }),
  r(0x0fd6, 'movdq2q', 'Pq Ux', { pfx: F2, mod: 'reg', feature: 'sse2' }),
  r(0x0f6f, 'movdqa_load', 'Vx Wx', { pfx: P66, feature: 'sse2' }),
  r(0x0f7f, 'movdqa_store', 'Wx Vx', { pfx: P66, feature: 'sse2' }),
  r(0x0f6f, 'movdqu_load', 'Vx Wx', { pfx: F3, feature: 'sse2' }),
  r(0x0f7f, 'movdqu_store', 'Wx Vx', { pfx: F3, feature: 'sse2' }),
  r(0x0fe7, 'movntq', 'Mq Pq', { pfx: NONE, feature: 'sse' }),
  r(0x0fe7, 'movntdq', 'Mx Vx', { pfx: P66, feature: 'sse2' }),
  r(0x0ff7, 'maskmovq', 'Pq Nq', { pfx: NONE, mod: 'reg', feature: 'sse' }),
  r(0x0ff7, 'maskmovdqu', 'Vx Ux', { pfx: P66, mod: 'reg', feature: 'sse2' }),
  r(0x0fc3, 'movnti', 'Md Gd', { pfx: NONE, feature: 'sse2' }),

  r(0x0f10, 'movups_load', 'Vx Wx', { pfx: NONE, feature: 'sse' }),
  r(0x0f10, 'movupd_load', 'Vx Wx', { pfx: P66, feature: 'sse2' }),
  r(0x0f10, 'movss_load', 'Vd Wd', { pfx: F3, feature: 'sse' }),
  r(0x0f10, 'movsd_load', 'Vq Wq', { pfx: F2, feature: 'sse2' }),
  r(0x0f11, 'movups_store', 'Wx Vx', { pfx: NONE, feature: 'sse' }),
  r(0x0f11, 'movupd_store', 'Wx Vx', { pfx: P66, feature: 'sse2' }),
  r(0x0f11, 'movss_store', 'Wd Vd', { pfx: F3, feature: 'sse' }),
  r(0x0f11, 'movsd_store', 'Wq Vq', { pfx: F2, feature: 'sse2' }),
  r(0x0f12, 'movhlps', 'Vq Uq', { pfx: NONE, mod: 'reg', feature: 'sse' }),
  ...packed(0x0f12, 'movl_load_', 'Vq Mq'),
  ...packed(0x0f13, 'movl_store_', 'Mq Vq'),
  ...packed(0x0f14, 'unpckl'),
  ...packed(0x0f15, 'unpckh'),
  r(0x0f16, 'movlhps', 'Vq Uq', { pfx: NONE, mod: 'reg', feature: 'sse' }),
  ...packed(0x0f16, 'movh_load_', 'Vq Mq'),
  ...packed(0x0f17, 'movh_store_', 'Mq Vq'),
  ...packed(0x0f28, 'mova_load_'),
  ...packed(0x0f29, 'mova_store_', 'Wx Vx'),
  ...packed(0x0f2b, 'movnt', 'Mx Vx'),
  ...packed(0x0f50, 'movmsk', 'Gd Ux'),
  ...packed(0x0fc6, 'shuf', 'Vx Wx Ib'),
  ...packed(0x0f54, 'and'),
  ...packed(0x0f55, 'andn'),
  ...packed(0x0f56, 'or'),
  ...packed(0x0f57, 'xor'),

  ...shapes(0x0f51, 'sqrt'),
  ...shapes(0x0f58, 'add'),
  ...shapes(0x0f59, 'mul'),
  ...shapes(0x0f5c, 'sub'),
  ...shapes(0x0f5d, 'min'),
  ...shapes(0x0f5e, 'div'),
  ...shapes(0x0f5f, 'max'),
  ...shapes(0x0fc2, 'cmp', ' Ib'),
  r(0x0f52, 'rsqrtps', 'Vx Wx', { pfx: NONE, feature: 'sse' }),
  r(0x0f52, 'rsqrtss', 'Vd Wd', { pfx: F3, feature: 'sse' }),
  r(0x0f53, 'rcpps', 'Vx Wx', { pfx: NONE, feature: 'sse' }),
  r(0x0f53, 'rcpss', 'Vd Wd', { pfx: F3, feature: 'sse' }),
  r(0x0f2e, 'ucomiss', 'Vd Wd', { pfx: NONE, feature: 'sse' }),
  r(0x0f2e, 'ucomisd', 'Vq Wq', { pfx: P66, feature: 'sse2' }),
  r(0x0f2f, 'comiss', 'Vd Wd', { pfx: NONE, feature: 'sse' }),
  r(0x0f2f, 'comisd', 'Vq Wq', { pfx: P66, feature: 'sse2' }),

  r(0x0f2a, 'cvtpi2ps', 'Vq Qq', { pfx: NONE, feature: 'sse' }),
  r(0x0f2a, 'cvtpi2pd', 'Vx Qq', { pfx: P66, feature: 'sse2' }),
  r(0x0f2a, 'cvtsi2ss', 'Vd Ed', { pfx: F3, feature: 'sse' }),
  r(0x0f2a, 'cvtsi2sd', 'Vq Ed', { pfx: F2, feature: 'sse2' }),
  r(0x0f2c, 'cvttps2pi', 'Pq Wq', { pfx: NONE, feature: 'sse' }),
  r(0x0f2c, 'cvttpd2pi', 'Pq Wx', { pfx: P66, feature: 'sse2' }),
  r(0x0f2c, 'cvttss2si', 'Gd Wd', { pfx: F3, feature: 'sse' }),
  r(0x0f2c, 'cvttsd2si', 'Gd Wq', { pfx: F2, feature: 'sse2' }),
  r(0x0f2d, 'cvtps2pi', 'Pq Wq', { pfx: NONE, feature: 'sse' }),
  r(0x0f2d, 'cvtpd2pi', 'Pq Wx', { pfx: P66, feature: 'sse2' }),
  r(0x0f2d, 'cvtss2si', 'Gd Wd', { pfx: F3, feature: 'sse' }),
  r(0x0f2d, 'cvtsd2si', 'Gd Wq', { pfx: F2, feature: 'sse2' }),
  r(0x0f5a, 'cvtps2pd', 'Vx Wq', { pfx: NONE, feature: 'sse2' }),
  r(0x0f5a, 'cvtpd2ps', 'Vx Wx', { pfx: P66, feature: 'sse2' }),
  r(0x0f5a, 'cvtss2sd', 'Vq Wd', { pfx: F3, feature: 'sse2' }),
  r(0x0f5a, 'cvtsd2ss', 'Vd Wq', { pfx: F2, feature: 'sse2' }),
  r(0x0f5b, 'cvtdq2ps', 'Vx Wx', { pfx: NONE, feature: 'sse2' }),
  r(0x0f5b, 'cvtps2dq', 'Vx Wx', { pfx: P66, feature: 'sse2' }),
  r(0x0f5b, 'cvttps2dq', 'Vx Wx', { pfx: F3, feature: 'sse2' }),
  r(0x0fe6, 'cvttpd2dq', 'Vx Wx', { pfx: P66, feature: 'sse2' }),
  r(0x0fe6, 'cvtdq2pd', 'Vx Wq', { pfx: F3, feature: 'sse2' }),
  r(0x0fe6, 'cvtpd2dq', 'Vx Wx', { pfx: F2, feature: 'sse2' }),

  r(0x0f18, 'prefetch', 'Mb', { feature: 'sse' }),
  r(0x0fae, 'ldmxcsr', 'Md', { pfx: 0, ext: 2, feature: 'sse' }),
  r(0x0fae, 'stmxcsr', 'Md', { pfx: 0, ext: 3, feature: 'sse' }),
  r(0x0fae, 'lfence', '', { pfx: 0, ext: 5, mod: 'reg', feature: 'sse2' }),
  r(0x0fae, 'mfence', '', { pfx: 0, ext: 6, mod: 'reg', feature: 'sse2' }),
  r(0x0fae, 'sfence', '', { pfx: 0, ext: 7, mod: 'reg', feature: 'sse' }),
  r(0x0fae, 'clflush', 'Mb', { pfx: 0, ext: 7, feature: 'sse2' }),
];
