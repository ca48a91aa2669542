// The whole journey of a user in a real VS Code workbench (code-server in headless Chromium): a breakpoint by a click beside the line,
// F5, registers, a page fault with cr2 shown, its explanation, disassembly, the Guest's console, an Oops, stop; then F5 in an empty folder.
// usage: npm run test:workbench [-- --cache DIR] [--extension DIR|VSIX] [--shots DIR] [--only speed|journey|empty] [--steps N]
// Not part of `npm test`: it installs 330 MB into the cache folder the first time. Prints "N passed, M failed" at the end.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { stepTimes, summary } from './stop-paint.mjs';
import { stopTimes } from './stop-times.mjs';
import { Workbench } from './workbench.mjs';

const root = path.resolve(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), '../..');
const { values: options } = parseArgs({
  options: {
    cache: { type: 'string', default: process.env.WORKBENCH_CACHE ?? path.join(os.homedir(), '.cache/lguest-debug-workbench') },
    extension: { type: 'string', default: root },
    shots: { type: 'string', default: path.join(root, 'test/workbench/shots') },
    only: { type: 'string' },
    steps: { type: 'string', default: '12' },
  },
});

/** Number of the first line of a demo source that contains `text`. */
function lineOf(file, text) {
  const lines = fs.readFileSync(path.join(root, 'examples/demo', file), 'utf8').split('\n');
  const at = lines.findIndex((line) => line.includes(text));
  assert.ok(at >= 0, `${file} has no line with "${text}": adapt the journey to the demo`);
  return at + 1;
}

let passed = 0;
let failed = 0;

/** Runs steps on one workbench; the first failure ends them, with a picture and the page's errors. */
async function onWorkbench(title, setup, steps) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'lguest-ws-'));
  let bench;
  const step = async (name, act) => {
    const from = Date.now();
    try {
      await act();
      passed++;
      console.log(`ok    ${title}: ${name} (${Date.now() - from} ms)`);
    } catch (error) {
      console.log(`FAIL  ${title}: ${name}: ${error.message}`);
      await bench?.shot(`fail-${title}-${name}`.replace(/\W+/g, '-'));
      throw error;
    }
  };
  try {
    const file = setup(folder);
    bench = await Workbench.start({
      cache: options.cache,
      extension: [options.extension, path.join(root, 'test/workbench/timing'), path.join(root, 'test/workbench/mock')],
      workspace: folder,
      shots: options.shots,
      file,
    });
    await steps(bench, bench.page, step);
    for (const { first, burst, waited, requests } of stopTimes(bench.timing))
      console.log(
        `      stop: ${first.toFixed(0)} ms to the frames and registers, ${burst.toFixed(0)} ms to the last answer, ${waited.toFixed(0)} ms of that waiting for the adapter; ${Object.entries(
          requests,
        )
          .map(([name, n]) => `${name} ${n}`)
          .join(', ')}`,
      );
    await step('nothing outside this machine was asked', () => assert.deepEqual([...bench.external], []));
  } catch (error) {
    failed++;
    console.log(error.stack);
    if (bench)
      console.log(
        bench.console
          .filter((line) => /^\[(error|pageerror)/.test(line))
          .join('\n')
          .slice(0, 4000),
      );
  } finally {
    await bench?.close();
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

const copyDemo =
  (configuration, file = 'boot.c') =>
  (folder) => {
    fs.cpSync(path.join(root, 'examples/demo'), folder, { recursive: true });
    const launch = { version: '0.2.0', configurations: [{ type: 'lguest', request: 'launch', ...configuration }] };
    fs.mkdirSync(path.join(folder, '.vscode'), { recursive: true });
    fs.writeFileSync(path.join(folder, '.vscode/launch.json'), JSON.stringify(launch));
    return file;
  };

const frame = (page, name) => page.locator(`.debug-call-stack .monaco-list-row[aria-label^="Stack Frame ${name}"]`).first().waitFor();

async function journey() {
  const announce = lineOf('boot.c', '\tannounce();');
  await onWorkbench('journey', copyDemo({ name: 'Demo', program: `\${workspaceFolder}/demo.elf` }), async (bench, page, step) => {
    await step('a breakpoint by a click beside the line', () => bench.toggleBreakpoint(announce));
    await step('F5 stops at it', async () => {
      await page.keyboard.press('F5');
      await bench.stopped({ line: announce, reason: 'breakpoint' });
    });
    await step('the call stack names the function', () => frame(page, 'start_kernel'));
    await step('the registers are shown', async () => {
      await bench.expandScope('Registers');
      await bench.revealVariable('eip');
      const { eip } = await bench.variables();
      assert.match(eip, /^0xc01/, `eip is ${eip}`);
    });
    await bench.shot('1-breakpoint');
    await step('the Registers view opens', async () => {
      // Rows out of sight do not exist: room for it.
      for (const section of ['Watch', 'Breakpoints', 'Registers'])
        await page.locator(`.pane-header[aria-label="${section} Section"]`).click();
      const rows = page.locator('[role=tree][aria-label="Registers"] .monaco-list-row');
      await rows.filter({ hasText: 'ebx' }).first().waitFor();
    });
    await step('a step over stops on a later line', async () => {
      await bench.toolbar('Step Over').click();
      await bench.stopped({ line: lineOf('boot.c', '\tload_segments();'), reason: 'step' });
    });
    await step('the changed registers are marked', async () => {
      const rows = page.locator('[role=tree][aria-label="Registers"] .monaco-list-row');
      await rows.and(page.locator('[aria-label$=", changed"]')).first().waitFor();
      await rows.locator('.codicon-circle-small-filled').first().waitFor();
    });
    await step('the status bar says where the Guest is', () =>
      page
        .locator('.statusbar-item', { hasText: /#[\d,]+/ })
        .first()
        .waitFor(),
    );
    await bench.shot('1b-registers');
    for (const section of ['Registers', 'Breakpoints', 'Watch'])
      await page.locator(`.pane-header[aria-label="${section} Section"]`).click();
    await step('a tick makes page faults stop', async () => {
      const row = bench.breakpointRow('Page fault the Guest sees');
      await row.locator('.monaco-checkbox').click();
      await row.and(page.locator('[aria-checked=true]')).waitFor();
      await page.keyboard.press('F5');
      await bench.stopped({ reason: 'exception' });
    });
    await step('the stop says what happened', async () => {
      const text = await page.locator('.exception-widget').getAttribute('aria-label');
      assert.match(text, /#PF|page fault/i);
    });
    await step('cr2 is shown beside the code', async () => {
      const tree = page.locator('[role=tree][aria-label="cr2 & Trap"] .monaco-list-row');
      await tree.filter({ hasText: 'cr2' }).first().waitFor();
      assert.match((await tree.allTextContents()).join('\n'), /cr2.*0x[0-9a-f]{8}/);
    });
    await step('cr2 is shown among the variables', async () => {
      await bench.collapseScope('Registers');
      await bench.expandScope('Control & cr2');
      await page.locator('.debug-variables .monaco-list-row[aria-label*="cr2"]').first().waitFor();
    });
    await bench.shot('2-page-fault');
    await step('the page walk shows Guest and shadow tables', async () => {
      // The side bar is full by now, and rows out of sight do not exist.
      for (const section of ['Watch', 'Breakpoints', 'Page Walk'])
        await page.locator(`.pane-header[aria-label="${section} Section"]`).click();
      const rows = page.locator('[role=tree][aria-label="Page Walk"] .monaco-list-row');
      await rows.filter({ hasText: 'Guest tables' }).first().click();
      await page.keyboard.press('End');
      await rows
        .filter({ hasText: /shadow/i })
        .first()
        .waitFor();
    });
    await bench.shot('3-page-walk');
    for (const section of ['Page Walk', 'Breakpoints']) await page.locator(`.pane-header[aria-label="${section} Section"]`).click();
    await step('the trap is explained', async () => {
      await bench.command('lguest: Explain This Trap');
      await page.locator('.tab[aria-label^="Why"]').waitFor();
      await page
        .locator('.view-lines', { hasText: /demand|present|Host/ })
        .last()
        .waitFor();
    });
    await bench.shot('4-why');
    await step('the disassembly shows the faulting instruction', async () => {
      await bench.contextMenu(
        page.locator('.debug-call-stack .monaco-list-row[aria-label^="Stack Frame"]').first(),
        'Open Disassembly View',
      );
      await page.locator('.disassembly-view .monaco-list-row .codicon-debug-stackframe').first().waitFor();
    });
    await bench.shot('5-disassembly');
    await step('the disassembly closes', async () => {
      await bench.command('View: Close Editor'); // while it is in front, an exception is not shown in the source
      await page.locator('.disassembly-view').waitFor({ state: 'detached' });
    });
    await step('the Guest runs on to its prompt', async () => {
      const row = bench.breakpointRow('Page fault the Guest sees');
      await row.locator('.monaco-checkbox').click();
      await row.and(page.locator('[aria-checked=false]')).waitFor();
      await bench.command('Debug: Continue');
      await page.locator('.xterm-rows', { hasText: 'demo>' }).waitFor();
    });
    await step('what is typed reaches the Guest', async () => {
      await bench.command('lguest: Show Guest Console');
      await page.locator('.xterm').last().click();
      await page.keyboard.type('mem\n');
      await page.locator('.xterm-rows', { hasText: /demo> mem[\s\S]*demo>/ }).waitFor();
    });
    await bench.shot('6-console');
    await step('an Oops stops and says why', async () => {
      await page.keyboard.type('die null\n');
      await bench.stopped({ reason: 'exception' });
      assert.match(await page.locator('.exception-widget').getAttribute('aria-label'), /Oops/);
    });
    await bench.shot('7-oops');
    await step('the session ends', async () => {
      await bench.toolbar('Stop').click();
      await page.locator('.call-stack-state-message .label').waitFor({ state: 'hidden' });
    });
  });
}

async function emptyFolder() {
  await onWorkbench(
    'empty folder',
    () => undefined,
    async (bench, page, step) => {
      await step('F5 without a launch.json boots the demo Guest to its first stop', async () => {
        await bench.command('Debug: Start Debugging');
        // Without a file that tells the language, the editor asks for the debugger first.
        const choice = page.locator('.quick-input-widget:visible .monaco-list-row', { hasText: 'lguest' }).first();
        const stop = page.locator('.call-stack-state-message .label', { hasText: 'Paused' });
        await choice.or(stop).first().waitFor();
        if (await choice.isVisible()) await choice.click();
        await bench.stopped({});
      });
      await step('the call stack names start_kernel', () => frame(page, 'start_kernel'));
      await bench.shot('9-empty-folder');
      await step('the session ends', async () => {
        await bench.toolbar('Stop').click();
        await page.locator('.call-stack-state-message .label').waitFor({ state: 'hidden' });
      });
    },
  );
}

/**
 * Steps with nothing else going on, by the page's own clock: those of a mock debugger that knows nothing, which are the editor's own share, and ours. Times depend on
 * the machine and on what else it does, so only the two are compared with each other.
 */
async function speed() {
  const measured = { count: Number(options.steps), pause: 1200 };
  const medians = {};
  const say = (name, steps) => {
    const times = summary(steps);
    medians[name] = Object.fromEntries(Object.entries(times).map(([leg, { median }]) => [leg, median]));
    const legs = Object.entries(times).filter(([, { of }]) => of > 0);
    console.log(`      ${name}, ms after the stop (median of ${steps.length} steps, best quarter):`);
    console.log(`        ${legs.map(([leg, { median, low }]) => `${leg} ${median.toFixed(0)} (${low.toFixed(0)})`).join(', ')}`);
  };
  await onWorkbench(
    'mock',
    copyDemo({ type: 'floor-mock', name: 'Mock', program: `\${workspaceFolder}/paging.c` }, 'paging.c'),
    async (bench, page, step) => {
      await bench.command('View: Show Run and Debug');
      await bench.toggleBreakpoint(20); // the editor knows the extensions now
      await page.locator('.editor-instance .view-line').first().click();
      await step('F5 stops', async () => {
        await page.keyboard.press('F5');
        await bench.stopped({});
      });
      await page.waitForTimeout(3000);
      await step('steps', async () => say('mock', await stepTimes(page, bench.timing, measured)));
    },
  );
  const inLoop = lineOf('paging.c', 'u8 *page = __va(physical);');
  await onWorkbench('ours', copyDemo({ name: 'Demo', program: `\${workspaceFolder}/demo.elf` }, 'paging.c'), async (bench, page, step) => {
    const row = page.locator('[role=tree][aria-label="Registers"] .monaco-list-row').filter({ hasText: 'eax' }).first();
    await bench.goToLine(inLoop);
    await bench.toggleBreakpoint(inLoop);
    await step('F5 stops', async () => {
      await page.keyboard.press('F5');
      await bench.stopped({ reason: 'breakpoint' });
    });
    await step('the Registers view opens', async () => {
      for (const section of ['Watch', 'Breakpoints', 'cr2 & Trap', 'Registers'])
        await page.locator(`.pane-header[aria-label="${section} Section"]`).click();
      await row.waitFor();
    });
    await page.waitForTimeout(3000);
    await step('steps', async () => say('ours', await stepTimes(page, bench.timing, { ...measured, registers: true })));
    await step('the Registers view says what the Variables view says', async () => {
      await bench.expandScope('Registers');
      await bench.revealVariable('eax');
      const { eax } = await bench.variables();
      const text = await row.textContent();
      assert.ok(text.includes(eax), `eax is ${eax}, shown as "${text}"`);
    });
    await step('the registers are painted before the editor could paint a frame of any debugger', () => {
      assert.ok(medians.ours.registers < medians.mock.callStack, `${medians.ours.registers} and ${medians.mock.callStack} ms`);
    });
  });
}

const setup = spawnSync('bash', [path.join(root, 'test/workbench/setup.sh'), options.cache], { stdio: 'inherit' });
if (setup.status !== 0) {
  console.log(
    "test/workbench: the workbench could not be installed; it needs npm packages and Debian's chromium (see test/workbench/README.md).",
  );
  process.exit(1);
}
fs.rmSync(options.shots, { recursive: true, force: true });
const parts = { speed, journey, empty: emptyFolder };
for (const [name, run] of Object.entries(parts)) if (!options.only || options.only === name) await run();
console.log(`\npictures: ${path.relative(process.cwd(), options.shots)}`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
