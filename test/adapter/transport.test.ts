// DAP messages over streams: framing of what comes in, in whatever pieces, and one write for the messages of one turn.

import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { connect } from '../../src/adapter/transport';

const frame = (message: object): string => {
  const json = JSON.stringify(message);
  return `Content-Length: ${Buffer.byteLength(json)}\r\n\r\n${json}`;
};
const turn = (): Promise<void> => new Promise((done) => setImmediate(done));

const open = () => {
  const input = new PassThrough();
  const output = new PassThrough();
  const taken: unknown[] = [];
  const written: string[] = [];
  const problems: string[] = [];
  let send: (message: object) => void = () => {};
  const peer = {
    handleMessage: (m: { seq: number }): void => {
      if (m.seq === 13) throw new Error('thirteen');
      taken.push(m);
    },
    onDidSendMessage: (listener: (message: object) => void) => {
      send = listener;
    },
  };
  output.on('data', (chunk: Buffer) => written.push(chunk.toString()));
  const connection = connect(peer, output, (line) => problems.push(line));
  input.on('data', (chunk: Buffer) => connection.receive(chunk));
  return { input, taken, written, problems, connection, send: (m: object) => send(m) };
};

test('messages are read whole however the bytes are cut, several in one piece too', async () => {
  const sent = [{ seq: 1, text: 'ä€𝄞' }, { seq: 2 }, { seq: 3, text: 'x'.repeat(300) }];
  const bytes = Buffer.from(sent.map(frame).join(''));
  for (const size of [1, 2, 7, 100, bytes.length]) {
    const { input, taken, problems } = open();
    for (let at = 0; at < bytes.length; at += size) input.write(bytes.subarray(at, at + size));
    await turn();
    assert.deepEqual(taken, sent, `pieces of ${size}`);
    assert.deepEqual(problems, []);
  }
});

test('other headers, any case and a header without a length are no obstacle', async () => {
  const { input, taken } = open();
  const json = '{"seq":7}';
  input.write(`Content-Type: x\r\ncontent-length:${json.length}\r\n\r\n${json}Hello\r\n\r\n${frame({ seq: 8 })}`);
  await turn();
  assert.deepEqual(taken, [{ seq: 7 }, { seq: 8 }]);
});

test('what is no JSON, or fails, is told in one line, and the next message is read', async () => {
  const { input, taken, problems } = open();
  input.write(`Content-Length: 3\r\n\r\n{x}${frame({ seq: 13 })}${frame({ seq: 9 })}`);
  await turn();
  assert.deepEqual(taken, [{ seq: 9 }]);
  assert.equal(problems.length, 2);
  assert.match(problems[0] ?? '', /^Error handling data: .*JSON/);
  assert.equal(problems[1], 'Error handling data: thirteen');
});

test('a message of an absurd length is told, and does not swallow those that follow', async () => {
  const { input, taken, problems } = open();
  input.write(`Content-Length: 99999999999\r\n\r\n${frame({ seq: 10 })}`);
  await turn();
  assert.deepEqual(taken, [{ seq: 10 }]);
  assert.deepEqual(problems, ['a message of 99999999999 bytes is announced; up to 268435456 are taken']);
});

test('all messages of a turn go out in one write, in order, with their length in bytes', async () => {
  const { written, connection, send } = open();
  send({ seq: 1, text: 'ü' });
  send({ seq: 2 });
  assert.deepEqual(written, []);
  await turn();
  await turn();
  assert.deepEqual(written, [frame({ seq: 1, text: 'ü' }) + frame({ seq: 2 })]);
  send({ seq: 3 });
  connection.flush();
  await turn();
  assert.deepEqual(written.slice(1), [frame({ seq: 3 })]);
});

test('a header without an end is passed over with a word about it, and what follows is read', async () => {
  const { input, taken, problems } = open();
  input.write('x'.repeat(70_000));
  input.write(`\r\n\r\n${frame({ seq: 5 })}`);
  await turn();
  assert.deepEqual(taken, [{ seq: 5 }]);
  assert.deepEqual(problems, ['a header of more than 65536 bytes is no header; they are passed over']);
});
