// Writes down when each message between the editor and our adapter passed, one line of JSON each, into the file that LGUEST_TIMING names.
// An extension of its own, so that what is measured is the product as it is.
const { appendFileSync } = require('node:fs');
const vscode = require('vscode');

exports.activate = (context) => {
  const file = process.env.LGUEST_TIMING;
  if (!file) return;
  const note = (way, { type, command, event, seq, request_seq, arguments: args }) =>
    appendFileSync(
      file,
      `${JSON.stringify({ at: performance.now(), way, type, name: command ?? event, seq: way === 'in' && type === 'response' ? request_seq : seq, reference: args?.variablesReference })}\n`,
    );
  context.subscriptions.push(
    vscode.debug.registerDebugAdapterTrackerFactory('lguest', {
      createDebugAdapterTracker: () => ({
        onWillReceiveMessage: (message) => note('out', message),
        onDidSendMessage: (message) => note('in', message),
      }),
    }),
  );
};
