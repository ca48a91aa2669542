// The TextMate grammars, tokenised by the engine that VS Code itself uses (vscode-textmate with Oniguruma).
// A scope is checked by the word it colours, so that a change of the pattern's shape does not break the test.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import * as oniguruma from 'vscode-oniguruma';
import * as textmate from 'vscode-textmate';

const grammarFiles: Readonly<Record<string, string>> = {
  'source.lguest-listing': 'syntaxes/lguest-listing.tmLanguage.json',
  'source.lguest-traplog': 'syntaxes/lguest-traplog.tmLanguage.json',
  'source.gas-i386': 'syntaxes/gas-i386.tmLanguage.json',
};

async function registry(): Promise<textmate.Registry> {
  await oniguruma.loadWASM(readFileSync(require.resolve('vscode-oniguruma/release/onig.wasm')));
  return new textmate.Registry({
    onigLib: Promise.resolve({
      createOnigScanner: (patterns: string[]) => new oniguruma.OnigScanner(patterns),
      createOnigString: (text: string) => new oniguruma.OnigString(text),
    }),
    loadGrammar: async (scope) => {
      const path = grammarFiles[scope];
      return path ? textmate.parseRawGrammar(readFileSync(path, 'utf8'), path) : null;
    },
  });
}
const shared = registry();

/** Words of one line with the innermost scope of each, without the language suffix. Blank tokens are left out. */
async function words(scope: string, line: string): Promise<[string, string][]> {
  const grammar = await (await shared).loadGrammar(scope);
  assert.ok(grammar, `no grammar for ${scope}`);
  return grammar
    .tokenizeLine(line, textmate.INITIAL)
    .tokens.map((token): [string, string] => [
      line.slice(token.startIndex, token.endIndex).trim(),
      (token.scopes.at(-1) ?? '').replace(/\.lguest-(?:listing|traplog)$|\.gas-i386$/, ''),
    ])
    .filter(([text]) => text !== '');
}

/** Scope of the first token that reads exactly `word`. */
async function scopeOf(scope: string, line: string, word: string): Promise<string | undefined> {
  return (await words(scope, line)).find(([text]) => text === word)?.[1];
}
const listing = (line: string, word: string) => scopeOf('source.lguest-listing', line, word);
const trapLog = (line: string, word: string) => scopeOf('source.lguest-traplog', line, word);

test('a listing line shows address, bytes, mnemonic, register and number apart', async () => {
  const line = 'c0101003:  c7 05 00 00 00 00 2a 00 00 00   movl   $0x2a,0x10(%eax)   ; null pointer';
  assert.equal(await listing(line, 'c0101003'), 'constant.numeric.address');
  assert.equal(await listing(line, 'c7 05 00 00 00 00 2a 00 00 00'), 'constant.other.bytes');
  assert.equal(await listing(line, 'movl'), 'support.function.mnemonic');
  assert.equal(await listing(line, '$0x2a'), 'constant.numeric');
  assert.equal(await listing(line, '%eax'), 'variable.language.register');
  assert.equal(await listing(line, '; null pointer'), 'comment.line.semicolon');
});

test('a listing names functions at labels and in branch targets', async () => {
  assert.equal(await listing('c0101000 <start_kernel>:', 'start_kernel'), 'entity.name.function');
  const call = '  0xc0101008:  e8 0b 00 00 00            call   0xc0101018 <printk+0x10>';
  assert.equal(await listing(call, '0xc0101008'), 'constant.numeric.address');
  assert.equal(await listing(call, 'call'), 'keyword.control.flow');
  assert.equal(await listing(call, 'printk'), 'entity.name.function');
  assert.equal(await listing(call, '+0x10'), 'constant.numeric.offset');
});

test('instructions that matter to a hypervisor are coloured as privileged', async () => {
  for (const name of ['cli', 'hlt', 'lgdt', 'iret', 'int', 'outb', 'popf']) {
    assert.equal(await listing(`c0100000:  fa    ${name}    $0x1f`, name), 'keyword.other.privileged', name);
  }
  assert.equal(await listing('c0100000:  55    push   %ebp', 'push'), 'support.function.mnemonic');
});

test('bytes that look like words are not taken for mnemonics, and the other way round', async () => {
  assert.equal(await listing('c0100000:  de ad    (bad)', 'de ad'), 'constant.other.bytes');
  assert.equal(await listing('c0100000:  de ad    (bad)', '(bad)'), 'invalid.illegal.instruction');
  assert.equal(await listing('c0100000:  add    %eax,%ecx', 'add'), 'support.function.mnemonic');
});

test('Intel syntax is coloured as well', async () => {
  const line = 'c0100000:  8b 44 24 04    mov    eax, dword ptr [esp+4]';
  assert.equal(await listing(line, 'eax'), 'variable.language.register');
  assert.equal(await listing(line, 'dword'), 'storage.type.size');
  assert.equal(await listing(line, 'mov'), 'support.function.mnemonic');
});

test('comment lines and source lines of a listing are told apart', async () => {
  assert.equal(await listing('; listing of vmlinux', '; listing of vmlinux'), 'comment.line.semicolon');
  assert.equal(await listing('init/main.c:513', 'init/main.c'), 'string.unquoted.filename');
  assert.equal(await listing('init/main.c:513', '513'), 'constant.numeric.line');
});

const record =
  '{"k":7,"pos":"#4711.1","vector":14,"err":2,"eip":"0xc0101003","outcome":"reflected","reason":"gpte not present","note":"x"}';

test('a trap log record shows its position, keys, numbers and text apart', async () => {
  assert.equal(await trapLog(record, '"#4711.1"'), 'constant.other.position');
  assert.equal(await trapLog(record, '"vector"'), 'keyword.other.key');
  assert.equal(await trapLog(record, '"note"'), 'support.type.property-name');
  assert.equal(await trapLog(record, '14'), 'constant.numeric');
  assert.equal(await trapLog(record, '"0xc0101003"'), 'constant.numeric');
  assert.equal(await trapLog(record, '"gpte not present"'), 'string.quoted.double');
});

test('the outcome of a trap is coloured by what it meant to the Guest', async () => {
  const outcome = (name: string) => trapLog(record.replace('reflected', name), `"${name}"`);
  assert.equal(await outcome('killed'), 'invalid.outcome');
  assert.equal(await outcome('reflected'), 'markup.changed.outcome');
  assert.equal(await outcome('paged-in'), 'markup.inserted.outcome');
});

test('a line that is no record is marked as wrong', async () => {
  assert.equal(await trapLog('oops', 'oops'), 'invalid.illegal');
});

const gas = (line: string, word: string) => scopeOf('source.gas-i386', line, word);

test('assembly source shows labels, directives, mnemonics and comments apart', async () => {
  assert.equal(await gas('common_trap:', 'common_trap'), 'entity.name.function');
  assert.equal(await gas('\t.globl\tentry', '.globl'), 'keyword.other.directive');
  const line = '1:\tmovl\t%cr2, %eax\t/* the address */';
  assert.equal(await gas(line, 'movl'), 'support.function.mnemonic');
  assert.equal(await gas(line, '%cr2'), 'variable.language.register');
  assert.equal(await gas(line, 'the address'), 'comment.block');
  assert.equal(await gas('\tpushl\t$0', 'pushl'), 'support.function.mnemonic');
  assert.equal(await gas('\tpushl\t$0', '$0'), 'constant.numeric');
});

test('assembly source tells privileged instructions and jumps from the rest', async () => {
  assert.equal(await gas('\tint\t$0x1f', 'int'), 'keyword.other.privileged');
  assert.equal(await gas('\tjmp\tcommon_trap', 'jmp'), 'keyword.control.flow');
  assert.equal(await gas('\trep movsl', 'rep'), 'storage.modifier.prefix');
  assert.equal(await gas('#include "demo.h"', '#include "demo.h"'), 'meta.preprocessor');
});
