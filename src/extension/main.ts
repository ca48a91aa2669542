// The extension's entry: makes each part once and hands it to those that need it. What the parts do is told in their own files;
// what the editor shows of them (titles, menus, settings) is in package.json. No debugger logic lives here or below this folder.
import * as vscode from 'vscode';
import { AdapterProcess } from './adapter-process';
import { registerAssemblyHover } from './assembly-hover';
import { registerCommands } from './commands';
import { BreakpointsView } from './breakpoints-view';
import { ConfigurationProvider, registerConfigurationProvider } from './configuration-provider';
import { ExceptionFrame } from './exception-frame';
import { Formats } from './formats';
import { GuestTerminals } from './guest-terminal';
import { NeverExecuted } from './never-executed';
import { DEBUG_TYPE } from './protocol';
import { MemoryView } from './memory-view';
import { RegistersView } from './registers-view';
import { Status } from './status';
import { StopTracker } from './stop-tracker';
import { TextPages } from './text-pages';
import { PageWalkView, TasksView, TrapView } from './views';

export function activate(context: vscode.ExtensionContext): void {
  const provider = new ConfigurationProvider(context.asAbsolutePath('examples/demo/demo.elf'));
  const adapter = new AdapterProcess(context.asAbsolutePath('dist/adapter.js'));
  const stops = new StopTracker();
  const terminals = new GuestTerminals();
  const pages = new TextPages();
  const formats = new Formats(context.workspaceState);
  const views = {
    registersView: new RegistersView(stops, context.workspaceState),
    trapView: new TrapView(stops, context.globalState),
    pageWalkView: new PageWalkView(stops),
    tasksView: new TasksView(stops),
    breakpointsView: new BreakpointsView(stops),
    memoryView: new MemoryView(stops),
  };
  context.subscriptions.push(
    registerConfigurationProvider(provider),
    vscode.debug.registerDebugAdapterDescriptorFactory(DEBUG_TYPE, adapter),
    stops,
    terminals,
    pages,
    ...Object.values(views),
    formats,
    new Status(stops),
    new NeverExecuted(stops),
    new ExceptionFrame(),
    registerAssemblyHover(),
    registerCommands({ provider, terminals, stops, pages, formats, views }),
  );
}
