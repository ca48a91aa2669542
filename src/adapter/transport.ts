// DAP messages over streams of bytes: each is `Content-Length: N`, an empty line, and N bytes of JSON.
//
// All messages of one turn of the event loop go out in one write. A single step is an answer and an event; written one by one they would wake the client twice, which
// costs more than the step. What it leaves out: what messages mean (session.ts), which streams there are (node.ts).

import type { DebugProtocol } from '@vscode/debugprotocol';

/** What messages come from and go to. `onDidSendMessage` tells each message that goes out. */
export interface Peer {
  handleMessage(message: DebugProtocol.ProtocolMessage): void;
  onDidSendMessage(listener: (message: object) => void): unknown;
}
export interface Connection {
  /** Writes what is waiting, before the stream ends. */
  flush(): void;
}

/** Longest message that is taken: a region to load is one, and no real one is longer. */
const LONGEST_MESSAGE = 1 << 28;
const END_OF_HEADER = '\r\n\r\n';
const LENGTH = /(?:^|\r\n)Content-Length: *(\d+)/i;

/** Connects a peer with a stream in and a stream out. @param onProblem told of messages that are no JSON or that the peer fails at, in one line; reading goes on. */
export const connect = (
  peer: Peer,
  input: NodeJS.ReadableStream,
  output: NodeJS.WritableStream,
  onProblem: (line: string) => void,
): Connection => {
  let waiting = '';
  /** Whether all of it is ASCII: as such it is written faster. */
  let plain = true;
  const flush = (): void => {
    if (waiting === '') return;
    const text = waiting;
    waiting = '';
    output.write(text, plain ? 'latin1' : 'utf8');
    plain = true;
  };
  peer.onDidSendMessage((message) => {
    if (waiting === '') setImmediate(flush);
    const json = JSON.stringify(message);
    const bytes = Buffer.byteLength(json, 'utf8');
    if (bytes !== json.length) plain = false;
    waiting += `Content-Length: ${bytes}${END_OF_HEADER}${json}`;
  });

  let data: Buffer = Buffer.alloc(0);
  /** Length of the message that is being waited for, once its header was read. */
  let length = -1;
  const take = (text: string): void => {
    if (text === '') return;
    try {
      peer.handleMessage(JSON.parse(text) as DebugProtocol.ProtocolMessage);
    } catch (error) {
      onProblem(`Error handling data: ${(error as Error).message}`);
    }
  };
  input.on('data', (chunk: Buffer) => {
    data = data.length === 0 ? chunk : Buffer.concat([data, chunk]);
    for (;;) {
      if (length < 0) {
        const end = data.indexOf(END_OF_HEADER);
        if (end < 0) return;
        const found = LENGTH.exec(data.toString('latin1', 0, end));
        data = data.subarray(end + END_OF_HEADER.length);
        // A header without a length is passed over: what follows is looked at as a header.
        length = found === null ? -1 : Number(found[1]);
        if (length > LONGEST_MESSAGE) {
          onProblem(`a message of ${length} bytes is announced; up to ${LONGEST_MESSAGE} are taken`);
          length = -1;
        }
      } else if (data.length >= length) {
        const text = data.toString('utf8', 0, length);
        data = data.subarray(length);
        length = -1;
        take(text);
      } else return;
    }
  });
  input.resume();
  return { flush };
};
