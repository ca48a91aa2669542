// The Host's side in rows: struct lguest, the page that it shares with the Guest, the walk of the addresses of most interest, and one decision that is walked.
//
// Fields come from host-values.ts, so each row is an expression too. Walks and the decoded ring are worked out when they are opened. What it leaves out: the machine itself
// (machine-rows.ts).

import { LD } from '../lguest/abi';
import { formatPosition } from '../lguest/trap-record';
import { hostValue, sharedValue } from './host-values';
import { hypercallRing } from './irq-state';
import { fromRow, type Item, valueItem } from './item';
import { parsePageAccess } from './page-walk';
import type { Debugger } from './session';
import { hex8 } from './target';
import type { Decision } from './trap-steps';
import { children, PLAIN_FORMAT, type ValueContext } from './value';
import { walkTree } from './views';

/** Members of a made structure as rows of their own. */
const memberRows = (name: string, value: Parameters<typeof children>[0], context: ValueContext): Item[] => {
  return children(value, context, PLAIN_FORMAT, 0, 1000).items.map((c) =>
    valueItem(c.name, `${name}${c.path}`, c.value, context, PLAIN_FORMAT),
  );
};

/** The scope `lguest`. */
export const hostRows = (d: Debugger, context: ValueContext): Item[] => {
  const { host } = d.target;
  if (host === undefined) return [];
  const rows = memberRows('lg', hostValue(host), context);
  const dead = rows.find((r) => r.name === 'dead');
  if (dead !== undefined) dead.value = host.lg.dead ?? 'no';
  return [
    { name: 'phase', value: host.phase, type: 'text' },
    { name: 'position', value: formatPosition(host.position), type: 'text', evaluateName: 'insns' },
    ...rows,
  ];
};

/** The scope `lguest_data`. */
export const sharedRows = (d: Debugger, context: ValueContext): Item[] => {
  const { host } = d.target;
  if (host === undefined) return [];
  const value = sharedValue(host);
  if (value.missing !== undefined) return [{ name: 'lguest_data', value: value.missing, type: 'struct lguest_data', evaluateName: 'virt' }];
  const { lg } = host;
  const at = (lg.ld >>> 0) + LD.hcalls;
  const ring: Item = {
    name: 'ring',
    value: '',
    type: 'text',
    evaluateName: 'virt.hcalls',
    lazy: true,
    open: () => {
      const slots = hypercallRing(host) ?? [];
      const ready = slots.filter((slot) => !slot.free).length;
      return [
        {
          name: 'ring',
          value: `${ready} of ${slots.length} ready, at guest-physical ${hex8(at)}`,
          type: 'text',
          evaluateName: 'virt.hcalls',
          indexed: slots.length,
          open: (start, count) =>
            slots.slice(start, start + count).map((slot) => ({
              name: `[${slot.slot}]`,
              value: slot.free ? 'free' : `${slot.name}(${slot.args.map((a) => hex8(a)).join(', ')})${slot.next ? ', next' : ''}`,
              type: 'hypercall',
              evaluateName: `virt.hcalls[${slot.slot}]`,
            })),
        },
      ];
    },
  };
  return [...memberRows('virt', value, context), ring];
};

/** The scope `Page walk`: each address is walked when it is opened. `fault`: the address of the page fault that this is about. */
export const pageWalkRows = (d: Debugger, fault?: number): Item[] => {
  const { target } = d;
  const { host } = target;
  if (host === undefined) return [];
  const places: [name: string, expression: string, at: number][] = [
    ['eip', '$eip', target.pc],
    ['esp', '$esp', target.register('esp')],
    ['cr2.host', 'cr2.host', host.cr2.host],
  ];
  if (fault !== undefined) places.unshift(['fault', hex8(fault), fault]);
  return places.map(([name, expression, at]) => ({
    name,
    value: hex8(at),
    type: 'page walk',
    evaluateName: `walk(${expression})`,
    memory: at >>> 0,
    lazy: true,
    open: () => {
      const { rows, verdict } = walkTree(d, at >>> 0, parsePageAccess(''));
      return [
        {
          name,
          value: `${hex8(at)}: ${verdict}`,
          type: 'page walk',
          evaluateName: `walk(${expression})`,
          memory: at >>> 0,
          open: () => rows.map(fromRow),
        },
      ];
    },
  }));
};

/** The scope `Step` of a frame of the Host: what is asked, what it is asked of, and the answer. */
export const stepRows = (decision: Decision): Item[] => {
  const step = decision.steps[decision.index];
  if (step === undefined) return [];
  const row = (name: string, value: string): Item => ({ name, value, type: 'text' });
  return [
    row('step', `${decision.index + 1} of ${decision.steps.length}`),
    row('function', step.fn),
    row('condition', step.condition),
    row('inputs', step.values),
    row('value', step.taken),
    row('section', `${step.section} of our documentation of lguest`),
  ];
};
