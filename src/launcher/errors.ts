// The two ways in which the Launcher gives up: on its user's input before anything runs, and on its Guest afterwards.

/** Bad input: one clear line that names what to do. */
export class LauncherError extends Error {
  override name = 'LauncherError';
}

/** The Guest broke a rule of the devices; the original Launcher exits with this line, which ends the Guest. */
export class LauncherDeath extends Error {
  override name = 'LauncherDeath';
}
