// `lguest-debug dap [--port N]`: the debug adapter on stdio, or on a TCP port of the loopback interface for editors that connect.

import { join } from 'node:path';
import { nodeFiles, serveStdio, serveTcp } from '../adapter/node';
import { parseOptions, UsageError, wholeNumber } from './options';

export const DAP_USAGE = 'usage: lguest-debug dap [--port N] [--exception-filters compact|perVector]';

export const demoImage = (): string => join(__dirname, '..', 'examples', 'demo', 'demo.elf');

/** Runs until the session or the process ends. @returns an exit status at once only for usage errors and --help. */
export const dapCommand = async (argv: readonly string[]): Promise<number | undefined> => {
  const parsed = parseOptions(argv, { values: ['port', 'exception-filters'], flags: ['help'] });
  if (parsed.flags.has('help')) {
    process.stdout.write(`${DAP_USAGE}\n`);
    return 0;
  }
  if (parsed.positional.length > 0)
    throw new UsageError(`dap takes no ${parsed.positional[0]}: the client names the kernel in its launch request`);
  const filters = parsed.values.get('exception-filters')?.[0] ?? 'compact';
  if (filters !== 'compact' && filters !== 'perVector') throw new UsageError(`--exception-filters ${filters}: compact or perVector`);
  const options = { files: nodeFiles(demoImage()), exceptionFilters: filters } as const;
  const portText = parsed.values.get('port')?.[0];
  if (portText === undefined) {
    serveStdio(options);
    return undefined;
  }
  const wanted = wholeNumber('port', portText);
  if (wanted > 65535) throw new UsageError(`--port ${portText}: a port is at most 65535`);
  const port = await serveTcp(options, wanted, (message) => {
    process.stderr.write(`lguest-debug: ${message}\n`);
    process.exit(64);
  });
  process.stderr.write(`lguest-debug: listening on 127.0.0.1:${port}\n`);
  return undefined;
};
