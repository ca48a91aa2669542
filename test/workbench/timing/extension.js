// Writes down when each message between the editor and an adapter passed, one line of JSON each, into the file that LGUEST_TIMING names. Times are milliseconds
// since 1970 with fractions, which the page's own clock has too. An extension of its own, so that what is measured is the product as it is.
const { appendFileSync } = require('node:fs');
const vscode = require('vscode');

exports.activate = (context) => {
  const file = process.env.LGUEST_TIMING;
  if (!file) return;
  let lines = '';
  const write = () => {
    appendFileSync(file, lines);
    lines = '';
  };
  const note = (way, { type, command, event, seq, request_seq, arguments: args, body }) => {
    if (lines === '') setTimeout(write, 50); // not while the messages pass
    lines += `${JSON.stringify({
      at: performance.timeOrigin + performance.now(),
      way,
      type,
      name: command ?? event,
      seq: way === 'in' && type === 'response' ? request_seq : seq,
      reference: args?.variablesReference,
      line: body?.stackFrames?.[0]?.line,
    })}\n`;
  };
  for (const type of ['lguest', 'floor-mock'])
    context.subscriptions.push(
      vscode.debug.registerDebugAdapterTrackerFactory(type, {
        createDebugAdapterTracker: () => ({
          onWillReceiveMessage: (message) => note('out', message),
          onDidSendMessage: (message) => note('in', message),
        }),
      }),
    );
};
