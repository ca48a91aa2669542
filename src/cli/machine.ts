// The part of the command line that runs machines without a debugger. A program file of its own: a boot shall not wait for code that it never runs.

export { bareCommand } from './bare';
export { RUN_USAGE, runCommand } from './run';
