// The adapter on Node: files, stdio and a TCP port on the loopback interface. Left out: everything that runs elsewhere too (session.ts).

import { existsSync, openSync, readdirSync, readFileSync, statSync, writeSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { dirname, isAbsolute, join } from 'node:path';
import type { Files } from './launch';
import { type AdapterOptions, AdapterSession } from './session';

export const nodeFiles = (demo: string): Files => ({
  read: (path) => {
    try {
      if (statSync(path).isDirectory()) throw new Error('it is a folder');
      return new Uint8Array(readFileSync(path));
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      throw new Error(code === 'ENOENT' ? 'no such file' : code === 'EACCES' ? 'permission denied' : message);
    }
  },
  exists: (path) => existsSync(path),
  writeInto: (path) => {
    const file = openSync(path, 'r+');
    return (at, bytes) => {
      writeSync(file, bytes, 0, bytes.length, at);
    };
  },
  list: (folder) => {
    try {
      return readdirSync(folder, { withFileTypes: true }).map((e) => ({ name: e.name, folder: e.isDirectory() }));
    } catch {
      return [];
    }
  },
  join,
  dirname,
  isAbsolute,
  demo,
});

/** One session on stdin and stdout; ends with it. */
export const serveStdio = (options: AdapterOptions): void => {
  const session = new AdapterSession(options);
  session.on('finished', () => setTimeout(() => process.exit(0), 100));
  session.on('close', () => process.exit(0));
  session.on('error', (event: { body?: unknown }) => process.stderr.write(`lguest-debug: ${String(event.body)}\n`));
  session.start(process.stdin, process.stdout);
};

/** Sessions on a port of the loopback interface, one a connection. @returns the port (a free one for 0). */
export const serveTcp = (options: AdapterOptions, port: number, onError: (message: string) => void): Promise<number> =>
  new Promise((done) => {
    const server = createServer((socket) => {
      const session = new AdapterSession(options);
      session.on('finished', () => socket.end());
      session.on('error', () => socket.destroy());
      socket.on('error', () => socket.destroy());
      session.start(socket, socket);
    });
    server.on('error', (error: NodeJS.ErrnoException) =>
      onError(error.code === 'EADDRINUSE' ? `port ${port} is in use; choose another, or 0 for a free one` : error.message),
    );
    server.listen(port, '127.0.0.1', () => done((server.address() as AddressInfo).port));
  });
