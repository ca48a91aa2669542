// How long after a stop the editor's page shows it: an observer in the page writes down, by the page's own clock, when the Call Stack and the Registers view say
// something else and when that was painted; the messages of test/workbench/timing say when the stop passed. What is painted late is seen late, whoever was slow.
import fs from 'node:fs';

/** In the page: notes into `window.stopPaint` whatever changed in one of the places, `at` and `painted` in ms since 1970. */
function observe() {
  const now = () => performance.timeOrigin + performance.now();
  const text = (row) => row?.getAttribute('aria-label') ?? '';
  const places = {
    callStack: () => text(document.querySelector('.debug-call-stack .monaco-list-row[aria-label^="Stack Frame"]')),
    // The arrow beside the line: where it is drawn says on which line it stands.
    arrow: () => document.querySelector('.editor-instance .codicon-debug-stackframe')?.style.top ?? '',
    registers: () =>
      Array.from(document.querySelectorAll('[role=tree][aria-label="Registers"] .monaco-list-row'), (row) =>
        row.getAttribute('aria-label'),
      ).join('|'),
  };
  const notes = [];
  const last = {};
  window.stopPaint = notes;
  new MutationObserver(() => {
    for (const [what, look] of Object.entries(places)) {
      const value = look();
      if (value === last[what]) continue;
      last[what] = value;
      const note = { what, value, at: now() };
      notes.push(note);
      // A frame's callback comes before its painting, a message posted there after it.
      requestAnimationFrame(() => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = () => {
          note.painted = now();
        };
        port2.postMessage(undefined);
      });
    }
  }).observe(document.body, {
    subtree: true,
    childList: true,
    characterData: true,
    attributes: true,
    attributeFilter: ['aria-label', 'style', 'class'],
  });
  addEventListener('keydown', (e) => e.key === 'F10' && notes.push({ what: 'key', at: now() }), true);
}

/**
 * Presses F10 `count` times with `pause` ms between. `register`: a text of the Registers view's row of the instruction pointer follows each stop; without it only the
 * Call Stack is looked at. One entry for each step; times in ms: `key` to the request, `run` from the request to the stop, from the stop on: `asked` to the first
 * question, `answered` the top frame's answer, `callStack` and `registers` painted, `registersAsked`, `registersAnswered`, `settled` the last change of the Registers view.
 */
export async function stepTimes(page, timingFile, { count, pause, registers }) {
  await page.evaluate(observe);
  const from = Date.now();
  for (let n = 0; n < count; n++) {
    await page.keyboard.press('F10');
    await page.waitForTimeout(pause);
  }
  await page.waitForTimeout(500);
  const seen = await page.evaluate(() => window.stopPaint);
  const messages = fs
    .readFileSync(timingFile, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
    .filter((m) => m.at >= from);
  const steps = [];
  for (const request of messages.filter((m) => m.way === 'out' && m.name === 'next')) {
    const later = messages.filter((m) => m.at >= request.at);
    const next = later.find((m) => m !== request && m.way === 'out' && m.name === 'next')?.at ?? Number.POSITIVE_INFINITY;
    const own = later.filter((m) => m.at < next);
    const stop = own.find((m) => m.name === 'stopped');
    if (stop === undefined) continue;
    const of = (name, way) => own.find((m) => m.name === name && m.way === way && m.at >= stop.at);
    const top = of('stackTrace', 'in');
    const changes = seen.filter((s) => s.at >= stop.at && s.at < next);
    const at = (thing) => (thing === undefined ? undefined : (thing.painted ?? thing.at) - stop.at);
    const since = (m) => (m === undefined ? undefined : m.at - stop.at);
    const views = registers ? changes.filter((s) => s.what === 'registers' && s.value.includes('eax')) : [];
    steps.push({
      key: request.at - (seen.findLast((s) => s.what === 'key' && s.at <= request.at)?.at ?? request.at),
      run: stop.at - request.at,
      asked: since(of('stackTrace', 'out')),
      answered: since(top),
      arrow: at(changes.find((s) => s.what === 'arrow' && s.value !== '')),
      callStack: at(changes.find((s) => s.what === 'callStack' && s.value.includes(`line ${top?.line},`))),
      registersAsked: since(of('lguest/view/registers', 'out')),
      registersAnswered: since(of('lguest/view/registers', 'in')),
      registers: at(views[0]),
      settled: at(views.at(-1)),
      requests: own.filter((m) => m.way === 'out' && m.at >= stop.at).length,
    });
  }
  return steps;
}

/** Median of each time over the steps that have it, and the worst. */
export function summary(steps) {
  const names = Object.keys(steps[0] ?? {});
  return Object.fromEntries(
    names.map((name) => {
      const values = steps
        .map((step) => step[name])
        .filter((v) => v !== undefined)
        .sort((a, b) => a - b);
      return [name, { median: values[values.length >> 1], low: values[values.length >> 2], worst: values.at(-1), of: values.length }];
    }),
  );
}
