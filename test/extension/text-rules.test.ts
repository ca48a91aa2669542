// Two small rules about text: line ends between Guest and terminal, and the operand under the pointer in assembly.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inputText, OutputLines } from '../../src/extension/console-text';
import { operandAt } from '../../src/extension/operand-at';
import { mappingOf } from '../../src/extension/source-mapping';

test('a bare line feed of the Guest gets its carriage return, a complete line end stays as it is', () => {
  const lines = new OutputLines();
  assert.equal(lines.convert('a\nb\r\nc'), 'a\r\nb\r\nc');
});

test('a line end cut in two by the transport stays one line end', () => {
  const lines = new OutputLines();
  assert.equal(lines.convert('a\r') + lines.convert('\nb') + lines.convert('\nc'), 'a\r\nb\r\nc');
});

test('an empty piece between the two halves of a line end changes nothing', () => {
  const lines = new OutputLines();
  assert.equal(lines.convert('a\r') + lines.convert('') + lines.convert('\n'), 'a\r\n');
});

test('Enter reaches the Guest as a line feed, other keys as they are', () => {
  assert.equal(inputText('ls\r'), 'ls\n');
  assert.equal(inputText('a\r\nb\x03\x1b[A'), 'a\nb\x03\x1b[A');
});

/** The expression found at the position of `^` in the second line. */
function under(line: string, marker: string): string | undefined {
  const found = operandAt(line, marker.indexOf('^'));
  if (found) assert.ok(found.start >= 0 && found.end <= line.length && found.start < found.end);
  return found?.expression;
}

test('a register under the pointer is its value, in AT&T, Intel and listing text', () => {
  assert.equal(under('\tmovl\t%cr2, %eax', '\t    \t ^'), '$cr2');
  assert.equal(under('mov eax, dword ptr [esp+4]', '                     ^'), '$esp');
  assert.equal(under('c0101001:  89 e5    mov    %esp,%ebp', '                              ^'), '$esp');
});

test('a displacement under the pointer is the memory operand', () => {
  assert.equal(under('\tmovl\t-0x8(%ebp), %eax', '\t    \t  ^'), '*(unsigned int *)($ebp-0x8)');
  assert.equal(under('\tmovl\ttable(,%ecx,4), %eax', '\t    \t ^'), '*(unsigned int *)($ecx*4+table)');
  assert.equal(under('\tmovl\t(%eax,%ebx,1), %edx', '\t    \t^'), '*(unsigned int *)($eax+$ebx)');
});

test('the register inside a memory operand is the register', () => {
  assert.equal(under('\tmovl\t-0x8(%ebp), %eax', '\t    \t      ^'), '$ebp');
});

test('a symbol and a number are found, with and without the dollar sign', () => {
  assert.equal(under('\tpushl\t$init_task', '\t     \t   ^'), 'init_task');
  assert.equal(under('\tcall\tstart_kernel', '\t    \t  ^'), 'start_kernel');
  assert.equal(
    under('c0101003:  e8 10 00 00 00   call   0xc0101018 <printk+0x10>', '                                      ^'),
    '0xc0101018',
  );
});

test('mnemonics, bytes, labels, addresses and comments are no expressions', () => {
  assert.equal(under('\tadd\t%eax, %ebx', '\t ^'), undefined);
  assert.equal(under('c0101001:  89 e5    mov    %esp,%ebp', '            ^'), undefined);
  assert.equal(under('c0101001:  89 e5    mov    %esp,%ebp', '   ^'), undefined);
  assert.equal(under('\tmov\t%eax, %ebx  # %ecx is dead', '\t   \t               ^'), undefined);
  assert.equal(under('', '^'), undefined);
});

test('two paths of one file make a mapping by what they differ in', () => {
  assert.deepEqual(mappingOf('/build/linux/fs/open.c', '/src/fs/open.c'), { from: '/build/linux', to: '/src' });
  assert.deepEqual(mappingOf('boot.c', '/home/me/demo/boot.c'), { from: '.', to: '/home/me/demo' });
  assert.deepEqual(mappingOf('fs/open.c', '/src/fs/open.c'), { from: '.', to: '/src' });
  assert.equal(mappingOf('/build/a.c', '/src/b.c'), undefined);
});
