// The command line's entry: picks the subcommand. Each subcommand has a file of its own.

import { vectorsCommand } from './vectors';

const print = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

const main = (argv: readonly string[]): number => {
  const [command, ...rest] = argv;
  if (command === 'vectors') return vectorsCommand(rest, print);
  process.stderr.write('usage: lguest-debug vectors PATH...\n');
  return 64;
};

process.exitCode = main(process.argv.slice(2));
