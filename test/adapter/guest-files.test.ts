// Which files of the workstation a Guest's paths lead to.

import assert from 'node:assert/strict';
import { posix, win32 } from 'node:path';
import { test } from 'node:test';
import { belowSysroot } from '../../src/adapter/guest-files';

test('a path of the Guest is looked for below the sysroot', () => {
  assert.equal(belowSysroot(posix, '/home/me/root', '/bin/busybox'), '/home/me/root/bin/busybox');
  assert.equal(belowSysroot(posix, '/home/me/root', '//lib//libc.so..1'), '/home/me/root/lib/libc.so..1');
});

test('a path that would lead out of the sysroot has no file', () => {
  for (const path of ['/../etc/passwd', '/a/../../etc/passwd', '..', '/bin/..', '/bin\\..\\..\\secret', '/bin/sh\0.so'])
    assert.equal(belowSysroot(posix, '/home/me/root', path), undefined, path);
  assert.equal(belowSysroot(win32, 'C:\\root', '/a\\..\\..\\b'), undefined);
});
