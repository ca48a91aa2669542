// The part of the command line that proves the processor: a program file of its own (see machine.ts).

export { fuzzCommand } from './fuzz';
export { vectorsCommand } from './vectors';
