// The Memory view: rows of bytes where an expression leads at each stop, those that changed since the stop before marked. The expression may have a prefix for
// another address space; a type may be laid over the bytes. It only asks and paints; what a row says is decided in the adapter.
import * as vscode from 'vscode';
import { REQUESTS } from './protocol';
import type { StopTracker } from './stop-tracker';
import { AdapterTree, AdapterView } from './views';

/** Prefixes of the address spaces, as memory references have them. */
export const SPACES = [
  { label: 'Linear', prefix: '', description: 'the address space of the task on the processor' },
  { label: 'Guest-physical', prefix: 'p:' },
  { label: 'Another task', prefix: 'v@0x…:', description: 'by the guest-physical address of its page directory' },
  { label: 'The Switcher, as the Host maps it', prefix: 'sw:' },
  { label: "The emulated machine's memory", prefix: 'host:', description: 'shadow tables and all' },
];

interface MemoryQuestion {
  memoryReference?: string;
  as?: string;
}

export class MemoryView extends AdapterView {
  private readonly question: MemoryQuestion;

  constructor(stops: StopTracker) {
    const question: MemoryQuestion = {};
    const tree = new AdapterTree(stops, {
      request: REQUESTS.viewMemory,
      argumentsOf: () => ({ ...question }),
      paint: (item, { node }) => {
        if (node.reference === undefined) return;
        item.contextValue = 'lguest.bytes';
        if (node.highlights === undefined) return;
        item.label = { label: node.label, highlights: node.highlights };
        item.iconPath = new vscode.ThemeIcon('circle-small-filled', new vscode.ThemeColor('charts.orange'));
        item.accessibilityInformation = { label: `${node.label}, ${node.highlights.length} bytes changed` };
      },
    });
    super('lguest.memory', tree, stops);
    this.question = question;
  }

  /** Changes what is asked; an empty text goes back to the stack pointer, or to no type. */
  ask(change: MemoryQuestion): void {
    for (const [name, text] of Object.entries(change) as [keyof MemoryQuestion, string][]) {
      if (text === '') delete this.question[name];
      else this.question[name] = text;
    }
    this.view.description = [this.question.memoryReference, this.question.as].filter(Boolean).join(' as ');
    this.refresh();
  }
}
