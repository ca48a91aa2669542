// The adapter on Node: files, stdio and a TCP port on the loopback interface. Left out: everything that runs elsewhere too (session.ts).

import { existsSync, fstatSync, openSync, readdirSync, readFileSync, statSync, writeSync } from 'node:fs';
import { type AddressInfo, createServer, type OnReadOpts, Socket, type SocketConstructorOpts } from 'node:net';
import { dirname, isAbsolute, join } from 'node:path';
import type { Files } from './launch';
import { type AdapterOptions, AdapterSession } from './session';
import { type Connection, connect } from './transport';

const LARGE = 1 << 16;

export const nodeFiles = (demo: string): Files => ({
  read: (path) => {
    try {
      if (statSync(path).isDirectory()) throw new Error('it is a folder');
      const bytes = readFileSync(path);
      // A large file is not copied once more; a small one may lie in a buffer that others use too.
      return bytes.length < LARGE ? new Uint8Array(bytes) : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
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

/** Whether a file descriptor is a pipe or a socket, as far as the system tells: some have no answer about what is no file. */
const isPipe = (fd: number): boolean => {
  try {
    const kind = fstatSync(fd);
    return kind.isFIFO() || kind.isSocket();
  } catch {
    return false;
  }
};

/** Bytes from stdin. A pipe is read into one buffer again and again: Node's own stream makes one of 64 KB for each message. */
const readStdin = (connection: Connection): NodeJS.ReadableStream => {
  if (!isPipe(0)) return process.stdin.on('data', (chunk: Buffer) => connection.receive(chunk));
  const buffer = Buffer.alloc(LARGE);
  const callback = (length: number): boolean => {
    connection.receive(buffer.subarray(0, length), true);
    return true;
  };
  const options: SocketConstructorOpts & { onread: OnReadOpts } = { fd: 0, readable: true, writable: false, onread: { buffer, callback } };
  return new Socket(options).resume();
};

/** One session on stdin and stdout; ends with it. */
export const serveStdio = (options: AdapterOptions): void => {
  const session = new AdapterSession(options);
  const say = (line: string): boolean => process.stderr.write(`lguest-debug: ${line}\n`);
  /** Ends once everything is written: a client that reads slowly gets its last answers all the same. One that is gone has closed our input. */
  const leave = (): void => {
    connection.flush();
    process.stdout.write('', () => setTimeout(() => (process.stdout.writableLength > 0 ? leave() : process.exit(0)), 100));
  };
  session.on('finished', leave);
  process.stdout.on('error', (error) => say(`stdout: ${error.message}`));
  const connection = connect(session, process.stdout, say);
  const input = readStdin(connection);
  input.on('close', () => process.exit(0));
  input.on('error', (error) => say(`stdin: ${error.message}`));
};

/** Sessions on a port of the loopback interface, one a connection. @returns the port (a free one for 0). */
export const serveTcp = (options: AdapterOptions, port: number, onError: (message: string) => void): Promise<number> =>
  new Promise((done) => {
    const server = createServer((socket) => {
      const session = new AdapterSession(options);
      socket.setNoDelay(true);
      socket.on('error', () => socket.destroy());
      const connection = connect(session, socket, () => socket.destroy());
      socket.on('data', (chunk) => connection.receive(chunk));
      session.on('finished', () => {
        connection.flush();
        socket.end();
      });
    });
    server.on('error', (error: NodeJS.ErrnoException) =>
      onError(error.code === 'EADDRINUSE' ? `port ${port} is in use; choose another, or 0 for a free one` : error.message),
    );
    server.listen(port, '127.0.0.1', () => done((server.address() as AddressInfo).port));
  });
