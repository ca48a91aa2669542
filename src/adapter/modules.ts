// Files with symbols as the client's Modules view shows them.

import type { Programs } from '../debugger/programs';
import { hex8 } from '../debugger/target';
import type { Context } from './context';
import type { Handlers } from './requests';

export const moduleOf = (program: Programs['list'][number]): object => {
  const [first] = program.segments;
  const high = Math.max(...program.segments.map((s) => s.high), 0);
  return {
    id: program.path,
    name: program.name,
    path: program.path,
    symbolStatus: program.symbols === undefined ? 'names only' : program.symbols.hasDebugInfo ? 'lines and types' : 'names only',
    ...(first === undefined ? {} : { addressRange: `${hex8(first.low + program.offset)}-${hex8(high + program.offset)}` }),
  };
};

export const moduleRequests = (s: Context): Handlers => ({
  modules: () => ({ modules: s.core.programs.list.map(moduleOf), totalModules: s.core.programs.list.length }),
});
