// The command line's entry: picks the subcommand. Each subcommand has a file of its own, and each kind of them a program file that is loaded when it is asked for.

import { existsSync } from 'node:fs';
import { tuneEngine } from '../adapter/engine';
import { UsageError } from './options';

const usage = async (): Promise<string> => {
  const { RUN_USAGE } = await import('./machine');
  const { DAP_USAGE } = await import('./debugging');
  return `lguest-debug: boots and debugs lguest Guests of Linux 2.6.24

  lguest-debug run KERNEL ...    boot a Guest; its console on stdout
  lguest-debug bare IMAGE ...    run a ROM or a multiboot kernel without a Host
  lguest-debug dap [--port N]    the debug adapter, on stdio or TCP
  lguest-debug demo              a guided session on the demo Guest
  lguest-debug vectors PATH...   instruction test vectors
  lguest-debug fuzz              interpreter and translator against each other

${RUN_USAGE}
${DAP_USAGE}
lguest-debug bare --help tells of bare.
`;
};

tuneEngine();

const main = async (argv: readonly string[]): Promise<number | undefined> => {
  const [command, ...rest] = argv;
  switch (command) {
    case 'run':
      return (await import('./machine')).runCommand(rest);
    case 'bare':
      return (await import('./machine')).bareCommand(rest);
    case 'dap':
      return (await import('./debugging')).dapCommand(rest);
    case 'demo': {
      const { demoCommand, demoImage } = await import('./debugging');
      if (!existsSync(demoImage())) throw new UsageError(`${demoImage()} is missing; reinstall, or build it with examples/demo/build.sh`);
      return demoCommand();
    }
    case 'fuzz':
      return (await import('./laboratory')).fuzzCommand(rest, (line) => {
        process.stdout.write(`${line}\n`);
      });
    case 'vectors':
      return (await import('./laboratory')).vectorsCommand(rest, (line) => {
        process.stdout.write(`${line}\n`);
      });
    case 'help':
    case '--help':
    case '-h':
      process.stdout.write(await usage());
      return 0;
    case undefined:
      process.stderr.write(await usage());
      return 64;
    default:
      throw new UsageError(`unknown command "${command}"; the commands are run, bare, dap, demo, vectors and fuzz`);
  }
};

// Whoever reads our output may stop reading: that is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

main(process.argv.slice(2)).then(
  (status) => {
    if (status !== undefined) process.exitCode = status;
  },
  (error: Error) => {
    // By name: the class is another one in each program file.
    const usage = error.name === 'UsageError';
    process.stderr.write(`lguest-debug: ${usage ? error.message : (error.stack ?? error.message)}\n`);
    process.exitCode = usage ? 64 : 3;
  },
);
