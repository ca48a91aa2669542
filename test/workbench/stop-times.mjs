// How long after a stop the editor had what it shows: worked out from the messages that test/workbench/timing wrote down.
import fs from 'node:fs';

/** What the user looks at first: where the Guest stands and the Registers view. */
const FIRST = new Set(['threads', 'stackTrace', 'lguest/view/registers', 'lguest/info']);
/** A burst ends when nothing was asked for so long; the Variables view waits 400 ms by itself. */
const QUIET_MS = 250;
/** On a busy machine the first question may be late. */
const LATE_MS = 3000;

/**
 * One entry for each stop: `first` ms until the last of the first answers, `burst` ms until the last answer of the whole burst, `adapter` ms of it in which an
 * answer was awaited, `requests` by name.
 */
export function stopTimes(file) {
  const messages = fs.existsSync(file)
    ? fs
        .readFileSync(file, 'utf8')
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line))
    : [];
  const stops = [];
  messages.forEach((m, i) => {
    if (m.type !== 'event' || m.name !== 'stopped') return;
    const asked = new Map();
    const requests = {};
    let last = m.at;
    let first = 0;
    let burst = 0;
    let waited = 0;
    let waitingSince = 0;
    for (const n of messages.slice(i + 1)) {
      if (asked.size === 0 && n.at - last > (burst > 0 ? QUIET_MS : LATE_MS)) break;
      if (n.way === 'out' && n.type === 'request') {
        if (/^(continue|next|step|pause|restart|disconnect|terminate)/.test(n.name)) break;
        if (asked.size === 0) waitingSince = n.at;
        asked.set(n.seq, n.name);
        requests[n.name] = (requests[n.name] ?? 0) + 1;
        last = n.at;
      } else if (n.type === 'response' && asked.has(n.seq)) {
        asked.delete(n.seq);
        if (asked.size === 0) waited += n.at - waitingSince;
        burst = n.at - m.at;
        if (FIRST.has(n.name)) first = burst;
        last = n.at;
      } else if (n.name === 'stopped' && n.type === 'event') break;
    }
    stops.push({ first, burst, waited, requests });
  });
  return stops;
}
