// Breakpoints at the Host's own work: its functions by name, and hypercalls by name or number. They are no places in memory but traps whose decision goes through there.
//
// `host:demand_page`, or `demand_page` where the Guest has no function of that name; `hcall:SET_PTE`, `hcall:14`. What it leaves out: filters (filters.ts) and stops.

import { HYPERCALLS } from '../lguest/abi';
import { explain } from '../lguest/explain';
import type { TrapRecord } from '../lguest/trap-record';

/** The functions of the Host that decide about traps, as its documentation names them. */
export const HOST_FUNCTIONS = [
  'check_gpgd',
  'check_gpte',
  'deliver_trap',
  'demand_page',
  'do_async_hcalls',
  'do_hcall',
  'emulate_insn',
  'kill_guest',
  'lguest_arch_handle_trap',
  'maybe_do_interrupt',
  'set_guest_interrupt',
] as const;

/** What such a breakpoint is about, as a filter's id; a text: why it is none; undefined: it is about something else. */
export const hostPlace = (text: string): { id: string } | string | undefined => {
  const call = /^hcall:\s*(\w+)$/i.exec(text);
  if (call !== null) {
    const [, name] = call;
    const number = Object.keys(HYPERCALLS).find(
      (n) => HYPERCALLS[Number(n)].name === name.toUpperCase().replace(/^LHCALL_/, '') || n === name,
    );
    if (number !== undefined) return { id: `hcall.${number}` };
    return `there is no hypercall "${name}"; there are ${Object.values(HYPERCALLS)
      .map((h) => h.name)
      .join(' ')}`;
  }
  const prefixed = /^host:\s*(\w+)$/.exec(text)?.[1];
  const name = HOST_FUNCTIONS.find((f) => f === (prefixed ?? text));
  if (name !== undefined) return { id: `host.${name}` };
  return prefixed === undefined ? undefined : `the Host has no "${prefixed}" that decides about traps; it has ${HOST_FUNCTIONS.join(' ')}`;
};

/** Whether the decision about a record goes through there. */
export const passes = (id: string, r: TrapRecord): boolean =>
  id.startsWith('hcall.')
    ? r.kind === 'hypercall' && r.hypercall?.number === Number(id.slice(6))
    : explain(r).some((step) => step.fn === id.slice(5));
