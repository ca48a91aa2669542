// Writes docs/attributes.md, the table of launch attributes and settings, from package.json, so that a fact stands in one place only.
// `node docs/make-attributes.mjs` after a change there; `--check` only compares and fails when the page is stale.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const { contributes } = JSON.parse(readFileSync(join(here, '../package.json'), 'utf8'));
const page = join(here, 'attributes.md');

const code = (value) => `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;
const cell = (text) => text.replaceAll('|', '\\|').replaceAll('\n\n', '<br>').replaceAll('\n', ' ');
const choices = ({ enum: values, enumDescriptions = [] }) =>
  values ? `<br>${values.map((value, at) => `${code(value)}${enumDescriptions[at] ? `: ${enumDescriptions[at]}` : ''}`).join('<br>')}` : '';
const empty = (value) => value === '' || JSON.stringify(value) === '[]' || JSON.stringify(value) === '{}';
const row = ([name, item]) =>
  `| \`${name}\` | ${empty(item.default) ? '–' : code(item.default)} | ${cell(item.markdownDescription + choices(item))} |`;
const table = (first, items) => [`| ${first} | default | meaning |`, '|---|---|---|', ...Object.entries(items).map(row)];

const text = [
  '# Launch attributes and settings',
  '',
  'Written by `docs/make-attributes.mjs` from `package.json`; change it there.',
  '',
  '## launch.json',
  '',
  ...table('attribute', contributes.debuggers[0].configurationAttributes.launch.properties),
  '',
  '## Settings',
  '',
  ...table('setting', contributes.configuration.properties),
  '',
].join('\n');

if (process.argv.includes('--check')) {
  if (readFileSync(page, 'utf8') !== text) {
    console.error('docs/attributes.md is stale: run "node docs/make-attributes.mjs".');
    process.exit(1);
  }
} else {
  writeFileSync(page, text);
}
