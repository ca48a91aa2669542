// The smallest debug adapter that an editor can step: one thread, one frame, one scope of one variable. A step goes to the next of the first twelve lines of the
// launched file, at once. What a stop costs with it is what the editor takes for itself. Nothing is checked.
let line = 1;
let seq = 1;
let file = '';

function send(message) {
  const body = Buffer.from(JSON.stringify({ seq: seq++, ...message }));
  process.stdout.write(Buffer.concat([Buffer.from(`Content-Length: ${body.length}\r\n\r\n`), body]));
}
const event = (name, body = {}) => send({ type: 'event', event: name, body });
const stopped = (reason) => event('stopped', { reason, threadId: 1, allThreadsStopped: true });
const step = (by) => {
  line = 1 + ((line - 1 + by + 12) % 12);
};

const answers = {
  initialize: () => ({ supportsConfigurationDoneRequest: true, supportsDelayedStackTraceLoading: true }),
  launch: ({ program }) => {
    file = program;
    setTimeout(() => event('initialized'));
    return {};
  },
  setBreakpoints: ({ breakpoints }) => ({ breakpoints: breakpoints.map(() => ({ verified: true })) }),
  threads: () => ({ threads: [{ id: 1, name: 'one' }] }),
  stackTrace: () => ({
    totalFrames: 1,
    stackFrames: [{ id: 1, name: `mock`, line, column: 1, source: { name: file.split('/').pop(), path: file } }],
  }),
  scopes: () => ({ scopes: [{ name: 'Locals', variablesReference: 1, expensive: false }] }),
  variables: () => ({ variables: [{ name: 'line', value: String(line), variablesReference: 0 }] }),
  next: () => {
    step(1);
    return {};
  },
};
const after = {
  configurationDone: () => stopped('entry'),
  next: () => stopped('step'),
  disconnect: () => process.exit(0),
};

let input = Buffer.alloc(0);
process.stdin.on('data', (bytes) => {
  input = Buffer.concat([input, bytes]);
  for (;;) {
    const head = input.indexOf('\r\n\r\n');
    if (head < 0) return;
    const length = Number(/Content-Length: (\d+)/.exec(input.toString('latin1', 0, head))[1]);
    if (input.length < head + 4 + length) return;
    const { seq: request_seq, command, arguments: args } = JSON.parse(input.toString('utf8', head + 4, head + 4 + length));
    input = input.subarray(head + 4 + length);
    send({ type: 'response', request_seq, command, success: true, body: answers[command]?.(args ?? {}) ?? {} });
    after[command]?.();
  }
});
