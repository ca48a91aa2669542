// Settings of the JavaScript engine for a process that runs Guests. Call once, at the very start of a program.
//
// A boot is mostly cold code, and by default the engine spends more time optimising it than running it: half of the CPU time of a Linux boot went into
// optimised code that hardly ran. So optimisation waits until code has shown that it stays. What it leaves out: everything that a
// result could depend on, and whatever takes a guard away: code pages stay unwritable, since a hostile Guest decides what is translated.

import { setFlagsFromString } from 'node:v8';

/** Unknown settings are ignored by engines that do not have them (a warning on stderr would be the engine's own), so only those of all supported versions are here. */
export const tuneEngine = (): void => {
  // Translated code: bytes executed before the optimising compiler looks at a function (default 1,800,000), and the same for JavaScript (default 67,584).
  setFlagsFromString('--wasm-tiering-budget=18000000');
  setFlagsFromString('--interrupt-budget=600000');
};
