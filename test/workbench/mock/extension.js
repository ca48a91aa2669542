// Starts the mock adapter the way our extension starts ours: a process of its own, spoken to over pipes.
const { join } = require('node:path');
const vscode = require('vscode');

exports.activate = (context) => {
  context.subscriptions.push(
    vscode.debug.registerDebugAdapterDescriptorFactory('floor-mock', {
      createDebugAdapterDescriptor: () =>
        new vscode.DebugAdapterExecutable(process.execPath, [join(__dirname, 'adapter.js')], { env: { ELECTRON_RUN_AS_NODE: '1' } }),
    }),
  );
};
