// Files with symbols as the client's Modules view shows them.

import type { ModuleInfo } from '../debugger/modules';
import type { Programs } from '../debugger/programs';
import { hex8 } from '../debugger/target';
import type { Context } from './context';
import { type Handlers, wantNumber } from './requests';

export const moduleOf = (program: Programs['list'][number]): object => {
  const [first] = program.segments;
  const high = Math.max(...program.segments.map((s) => s.high), 0);
  return {
    id: program.path,
    name: program.name,
    path: program.path,
    symbolStatus: program.symbols === undefined ? 'names only' : program.symbols.hasDebugInfo ? 'lines and types' : 'names only',
    offset: hex8(program.offset),
    ...(first === undefined ? {} : { addressRange: `${hex8(first.low + program.offset)}-${hex8(high + program.offset)}` }),
  };
};

/** A module of the Guest's kernel, with or without its file. */
export const moduleOfKernel = (m: ModuleInfo): object => ({
  ...(m.program === undefined ? { symbolStatus: `none: ${m.problem ?? 'no file'}` } : moduleOf(m.program)),
  id: `module ${m.name}@${hex8(m.address)}`,
  name: `${m.name}.ko`,
  addressRange: `${hex8(m.core.low)}-${hex8(m.core.high)}`,
});

export const moduleRequests = (s: Context): Handlers => ({
  modules: (a) => {
    const d = s.core;
    const ofModules = new Set(d.modules.list.map((m) => m.program));
    const all = [
      ...d.programs.list.filter((p) => !ofModules.has(p)).map(moduleOf),
      ...d.modules.list.map(moduleOfKernel),
      ...d.userPrograms.named.map((n) => moduleOf(n.program)),
      ...[...d.userPrograms.opened.values()].filter((p) => p !== undefined).map(moduleOf),
    ];
    const start = wantNumber(a, 'startModule', 0);
    const count = wantNumber(a, 'moduleCount', 0) || all.length;
    return { modules: all.slice(start, start + count), totalModules: all.length };
  },
});
