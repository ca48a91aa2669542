// The adapter as a program: DAP on stdin and stdout. `--exception-filters perVector` chooses the filters offered at initialize.

import { join } from 'node:path';
import { tuneEngine } from './engine';
import { nodeFiles, serveStdio } from './node';

tuneEngine();
const at = process.argv.indexOf('--exception-filters');
serveStdio({
  files: nodeFiles(join(__dirname, '..', 'examples', 'demo', 'demo.elf')),
  exceptionFilters: at > 0 && process.argv[at + 1] === 'perVector' ? 'perVector' : 'compact',
});
