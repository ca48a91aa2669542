// What becomes of a step whose frame never comes back: its task ends, runs another program, goes to user mode past the kernel's frames, or a function further out
// goes on. The step then ends there and says so, instead of waiting for ever.
//
// A task that ends is known where tasks are switched; another program, and a kernel stack that was left, at the IRET to ring 3. What it leaves out: running (run-loop.ts).

import { W } from '../i386/state';
import type { Programs } from './programs';
import { hex8, type Target } from './target';
import type { Task, Tasks } from './tasks';

/** What this needs of the debugger. */
export interface GoneOwner {
  readonly target: Target;
  readonly programs: Programs;
  readonly tasks: Tasks;
}

/** Where Linux switches from one task to another. */
const SWITCHES = ['__switch_to', 'switch_to'];
/** State bits beyond running, sleeping and stopped; with an exit state they say that a task never runs again. */
const ENDED = 0xf0;
const LONGEST_SWITCH = 5000;

export class FrameGone {
  /** Why the frame is gone, once it is. */
  text: string | undefined;
  private readonly task: Task | undefined;
  /** Entry and name of the function that switches tasks. */
  private readonly switchAt: { address: number; name: string } | undefined;

  /**
   * @param mine whether the task of the frame is on the processor.
   * @param cpl ring of the frame.
   */
  constructor(
    private readonly d: GoneOwner,
    private readonly mine: () => boolean,
    private readonly cpl: number,
  ) {
    const { tasks, programs } = d;
    this.task = tasks.ready ? tasks.current() : undefined;
    if (this.task === undefined) return;
    for (const name of SWITCHES) {
      const address = programs.addressOf(name);
      if (address !== undefined) this.switchAt ??= { address, name };
    }
  }

  /** A place to look at, and whether the task that has come there never runs again. */
  get switchPlace(): { address: number; test: () => boolean } | undefined {
    return this.switchAt === undefined ? undefined : { address: this.switchAt.address, test: () => this.ends() };
  }
  private ends(): boolean {
    if (this.task === undefined || !this.mine()) return false;
    const o = this.d.tasks.object(this.task);
    return (o.number('exit_state') ?? 0) !== 0 && ((o.number('state', '__state') ?? 0) & ENDED) !== 0;
  }
  /** From the switch, step by step, to the first instruction that the next task runs. @param step one machine step; false: something else ends it. */
  async follow(step: () => Promise<boolean>): Promise<boolean> {
    const { target, programs } = this.d;
    this.text = `${this.taskText} has ended`;
    for (let n = 0; n < LONGEST_SWITCH; n++) {
      if (!this.mine() && programs.symbolAt(target.pc)?.name !== this.switchAt?.name) return true;
      if (!(await step())) return false;
    }
    return true;
  }

  /** An IRET from ring `from` was done. @param atPlace whether that is where the step goes anyway. @returns whether the frame is gone with it. */
  returned(from: number, atPlace: () => boolean): boolean {
    if (
      this.task === undefined ||
      this.d.target.processor.cpu.m32[W.CPL] !== 3 ||
      from === 3 ||
      (from === 0 && this.d.target.host !== undefined)
    )
      return false;
    if (!this.mine()) return false;
    if (this.d.tasks.object(this.task).number('mm') !== this.task.mm) this.text = `${this.taskText} runs another program${this.comm}`;
    else if (this.cpl !== 3 && !atPlace()) this.text = `${this.taskText} went to user mode`;
    else return false;
    return true;
  }
  /** A function further out than the frame has gone on. */
  passed(): void {
    const { target, programs } = this.d;
    this.text = `${programs.functionAt(target.pc)?.name ?? programs.nameOf(target.pc) ?? hex8(target.pc)} has gone on`;
  }
  /** The task's name when it has another one by now. */
  private get comm(): string {
    const now = this.task === undefined ? undefined : this.d.tasks.at(this.task.address)?.comm;
    return now === undefined || now === this.task?.comm ? '' : `, ${now}`;
  }
  private get taskText(): string {
    return this.task === undefined ? 'its task' : `pid ${this.task.pid} (${this.task.comm})`;
  }
}
