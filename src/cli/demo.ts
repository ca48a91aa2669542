// `npm start`: a guided debugging session on the demo Guest, in the terminal. It drives the same debugger as the editor does.
//
// On a terminal it waits for Enter between two steps; otherwise it runs through. What it leaves out: everything that is not the tour.

import { readFileSync } from 'node:fs';
import { commandNames, type CommandHost, runCommand } from '../debugger/commands';
import { openProgram, Programs } from '../debugger/programs';
import { Debugger, type EndInfo, type StopInfo } from '../debugger/session';
import { GuestTarget, hex8 } from '../debugger/target';
import { formatValue } from '../debugger/value';
import { Machine } from '../launcher/machine';
import { demoImage } from './dap';

const color = process.stdout.isTTY === true && process.env.NO_COLOR === undefined;
const paint = (code: string, text: string): string => (color ? `\x1b[${code}m${text}\x1b[0m` : text);
const say = (text = ''): void => {
  process.stdout.write(`${text}\n`);
};

class Tour {
  private readonly d: Debugger;
  private readonly machine: Machine;
  private readonly host: CommandHost;
  private arrived: ((how: StopInfo | EndInfo) => void) | undefined;
  private atLineStart = true;

  constructor(path: string) {
    const image = new Uint8Array(readFileSync(path));
    this.machine = new Machine({ kernel: image, memoryBytes: 32 << 20 });
    this.machine.onConsole = (bytes) => this.printed(Buffer.from(bytes).toString('latin1'));
    this.d = new Debugger(new GuestTarget(this.machine), new Programs([openProgram(image, path)]));
    this.d.realTime = false;
    this.d.onStop = (stop) => this.arrived?.(stop);
    this.d.onEnd = (end) => this.arrived?.(end);
    this.host = {
      debugger: this.d,
      send: (text) => {
        this.machine.inputs.console(Buffer.from(text));
        this.d.nudge();
      },
      number: (expression) => Number(BigInt.asUintN(32, this.d.evaluate(expression, undefined, false).value.bits)),
      resume: () => {},
    };
  }

  private printed(text: string): void {
    for (const part of text.replace(/\r/g, '').split(/(?<=\n)/)) {
      process.stdout.write(
        `${this.atLineStart ? paint('2', '  | ') : ''}${paint('2', part.replace(/\n$/, ''))}${part.endsWith('\n') ? '\n' : ''}`,
      );
      this.atLineStart = part.endsWith('\n');
    }
  }
  private freshLine(): void {
    if (!this.atLineStart) say();
    this.atLineStart = true;
  }

  private async chapter(title: string, ...lines: string[]): Promise<void> {
    this.freshLine();
    say();
    say(paint('1;36', `== ${title}`));
    for (const line of lines) say(line);
    if (process.stdin.isTTY !== true || process.stdout.isTTY !== true) return;
    process.stdout.write(paint('2', '[Enter] '));
    await new Promise<void>((done) => {
      process.stdin.resume();
      process.stdin.once('data', () => {
        process.stdin.pause();
        done();
      });
    });
  }
  private command(line: string): void {
    this.freshLine();
    say(paint('33', `(debug) ${line}`));
    const [first] = line.split(' ');
    const text = commandNames().includes(first) ? runCommand(this.host, line) : undefined;
    if (text !== undefined) process.stdout.write(text.replace(/^(?=.)/gm, '    '));
    else {
      const { value, env, format } = this.d.evaluate(line, undefined, false);
      say(`    ${formatValue(value, this.d.valueContext(env), format)}`);
    }
  }
  private until(act: () => void): Promise<StopInfo | EndInfo> {
    return new Promise((done) => {
      this.arrived = done;
      act();
    });
  }
  private async stopAt(act: () => void): Promise<void> {
    const how = await this.until(act);
    this.freshLine();
    if ('exitCode' in how) {
      say(paint('1', `ended: ${how.message}`));
      return;
    }
    say(paint('1', `stopped: ${how.description}`));
    this.d.stack().need(3);
    for (const f of this.d.stack().frames.slice(0, 3))
      say(`    ${f.kind === 'code' ? `${hex8(f.pc)} ${f.name}${f.line === undefined ? '' : ` at ${f.file}:${f.line}`}` : f.name}`);
  }

  async run(): Promise<void> {
    const { d } = this;
    say('A lguest Guest is about to boot on an emulated i386, under the Host of Linux 2.6.24 rebuilt in TypeScript.');
    say('Lines behind "|" are what the Guest prints; "(debug)" lines are what you could type in the Debug Console.');

    await this.chapter(
      'A breakpoint',
      'Break on start_kernel. Nothing is written into the Guest for it: the processor is asked to look out for the address.',
    );
    d.setBreakpoints('function', () => true, [{ kind: 'function', pattern: 'start_kernel' }]);
    d.setFilters([{ id: 'killed' }, { id: 'panic' }, { id: 'switcher' }, { id: 'emulator' }]);
    await this.stopAt(() => d.continue());

    await this.chapter('Registers', 'cs ends in 1: the kernel of a Guest runs in ring 1, not 0. Ring 0 belongs to the Host.');
    this.command('info reg');
    this.command('when');

    await this.chapter(
      'A page fault that the Guest never sees',
      'Stop at the next fault that the Host fills by itself: the shadow tables lag behind the tables of the Guest.',
    );
    d.setFilters([{ id: 'pf.shadow' }, { id: 'killed' }, { id: 'panic' }]);
    await this.stopAt(() => d.continue());
    this.command('why');

    await this.chapter(
      'A page fault that the Guest sees',
      'Now only faults that the tables of the Guest itself refuse. The Guest stands before the faulting instruction; the Host has',
      'decided and not yet acted.',
    );
    d.setFilters([{ id: 'pf.guest' }, { id: 'killed' }, { id: 'panic' }]);
    await this.stopAt(() => d.continue());
    this.command('why');

    await this.chapter(
      'Three values of cr2',
      'The processor has one, the Host saves one, and the Guest reads one in lguest_data, written only for faults that it gets.',
    );
    this.command('cr2.hw');
    this.command('cr2.host');
    this.command('cr2.guest');
    this.command('page cr2.hw write');

    await this.chapter(
      'Into the handler',
      'One instruction on: the frame is pushed, cr2.guest is written, and the Guest is in its own handler.',
    );
    await this.stopAt(() => d.step('in', 'instruction'));
    this.command('cr2.guest');
    this.command('bt');

    await this.chapter(
      'On to the prompt',
      'No more stops; the Guest tours through interrupts, user tasks and the FPU, and then waits for us.',
    );
    d.setFilters([{ id: 'killed' }, { id: 'panic' }, { id: 'switcher' }, { id: 'emulator' }]);
    d.inputPossible = false;
    await this.stopAt(() => d.continue());
    d.inputPossible = true;
    this.command('stats');

    await this.chapter('A death, explained', 'We type "die page": the Guest puts a bit into a page table entry that no Guest may set.');
    this.host.send('die page\r');
    await this.stopAt(() => d.continue());
    this.command('why');
    this.command('bt');
    this.freshLine();
    say();
    say('The dead Guest stays readable: registers, memory, stack. In VS Code, press F5 in examples/demo for the same with your own hands.');
  }
}

export const demoCommand = async (): Promise<number> => {
  await new Tour(demoImage()).run();
  return 0;
};
