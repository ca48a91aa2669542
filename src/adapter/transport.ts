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
  /** Takes bytes that came in, cut anywhere. @param lent they are good during the call only, so what is kept of them is copied. */
  receive(chunk: Buffer, lent?: boolean): void;
}

/** Longest message that is taken: a region to load is one, and no real one is longer. */
const LONGEST_MESSAGE = 1 << 28;
/** A header that goes on for longer is none. */
const LONGEST_HEADER = 1 << 16;
const END_OF_HEADER = '\r\n\r\n';
const LENGTH = /(?:^|\r\n)Content-Length: *(\d+)/i;
/** What nearly every message begins with; any other header is looked at with the expression above. */
const USUAL = Buffer.from('Content-Length: ');
const CR = 0x0d;

/** Bytes of a header that is no more than the usual line, without the empty line; 0 for any other, and for one that is not there as a whole. */
const usualHeader = (data: Buffer): number => {
  let at = 0;
  while (at < USUAL.length) if (data[at] !== USUAL[at++]) return 0;
  while ((data[at] ?? 0) >= 0x30 && (data[at] ?? 0) <= 0x39) at++;
  return at > USUAL.length && data[at] === CR && data[at + 1] === 0x0a && data[at + 2] === CR && data[at + 3] === 0x0a ? at : 0;
};

/** Puts messages together from the pieces that a stream delivers. */
class Receiver {
  /** What is not taken yet; more of a long message waits in `more` until it is whole, so that each byte is copied once. */
  private data: Buffer = Buffer.alloc(0);
  private more: Buffer[] = [];
  private held = 0;
  /** Length of the message that is being waited for, once its header was read. */
  private length = -1;

  constructor(
    private readonly take: (text: string) => void,
    private readonly onProblem: (line: string) => void,
  ) {}

  /** @param lent the bytes are good during the call only. */
  receive(chunk: Buffer, lent: boolean): void {
    if (this.held > 0) {
      this.more.push(lent ? Buffer.from(chunk) : chunk);
      this.held += chunk.length;
      if (this.held < this.length) return;
      this.data = Buffer.concat([this.data, ...this.more], this.held);
      this.more = [];
    } else this.data = chunk;
    while (this.next());
    this.held = this.data.length;
    if (lent && this.held > 0) this.data = Buffer.from(this.data);
  }
  /** A header or a message, if it is there as a whole. */
  private next(): boolean {
    const { data, length } = this;
    if (length < 0) {
      const usual = usualHeader(data);
      const end = usual > 0 ? usual : data.indexOf(END_OF_HEADER);
      if (end < 0) {
        if (data.length > LONGEST_HEADER) {
          this.onProblem(`a header of more than ${LONGEST_HEADER} bytes is no header; they are passed over`);
          this.data = data.subarray(1 - END_OF_HEADER.length);
        }
        return false;
      }
      // A header without a length is passed over: what follows is looked at as a header.
      this.length =
        usual > 0 ? Number(data.toString('latin1', USUAL.length, usual)) : Number(LENGTH.exec(data.toString('latin1', 0, end))?.[1] ?? -1);
      this.data = data.subarray(end + END_OF_HEADER.length);
      if (this.length > LONGEST_MESSAGE) {
        this.onProblem(`a message of ${this.length} bytes is announced; up to ${LONGEST_MESSAGE} are taken`);
        this.length = -1;
      }
      return true;
    }
    if (data.length < length) return false;
    const text = data.toString('utf8', 0, length);
    this.data = data.subarray(length);
    this.length = -1;
    this.take(text);
    return true;
  }
}

/** Connects a peer with bytes in and a stream out. @param onProblem told of messages that are no JSON or that the peer fails at, in one line; reading goes on. */
export const connect = (peer: Peer, output: NodeJS.WritableStream, onProblem: (line: string) => void): Connection => {
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

  const receiver = new Receiver((text) => {
    if (text === '') return;
    try {
      peer.handleMessage(JSON.parse(text) as DebugProtocol.ProtocolMessage);
    } catch (error) {
      onProblem(`Error handling data: ${(error as Error).message}`);
    }
  }, onProblem);
  return { flush, receive: (chunk, lent = false) => receiver.receive(chunk, lent) };
};
