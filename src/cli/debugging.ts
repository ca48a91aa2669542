// The part of the command line that debugs: a program file of its own (see machine.ts).

export { DAP_USAGE, dapCommand, demoImage } from './dap';
export { demoCommand } from './demo';
