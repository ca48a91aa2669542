// What every handler needs: its arguments as checked values, and errors with a number and one line for the user.

/** A request on its way, or work that no request waits for. */
export interface Job {
  readonly seq?: number;
  cancelled: boolean;
}

/** What can go wrong for the user, with a number for each kind. */
export class RequestError extends Error {
  constructor(
    readonly id: number,
    message: string,
    readonly showUser = false,
  ) {
    super(message);
  }
}
export const ERRORS = {
  unknownRequest: 1000,
  notLaunched: 1001,
  running: 1002,
  badArgument: 1003,
  launch: 1100,
  expression: 1200,
  memory: 1300,
  internal: 1900,
  cancelled: 1901,
} as const;

export type Arguments = Record<string, unknown>;
export type Handler = (args: Arguments, job: Job) => object | undefined | Promise<object | undefined>;

export const wantText = (args: Arguments, name: string): string => {
  const v = args[name];
  if (typeof v !== 'string') throw new RequestError(ERRORS.badArgument, `"${name}" must be a text.`);
  return v;
};
export const oneOf = <T extends string>(args: Arguments, name: string, values: readonly T[], otherwise: T): T => {
  const v = args[name] ?? otherwise;
  if (!values.includes(v as T)) throw new RequestError(ERRORS.badArgument, `"${name}" must be one of ${values.join(', ')}.`);
  return v as T;
};
export const wantNumber = (args: Arguments, name: string, otherwise?: number): number => {
  const v = args[name] ?? otherwise;
  if (typeof v !== 'number' || !Number.isFinite(v)) throw new RequestError(ERRORS.badArgument, `"${name}" must be a number.`);
  return v;
};

export type Handlers = Readonly<Record<string, Handler>>;

export const list = (args: Arguments, name: string): Arguments[] => {
  const v = args[name] ?? [];
  if (!Array.isArray(v)) throw new RequestError(ERRORS.badArgument, `"${name}" must be a list.`);
  return v.map((x) => (typeof x === 'object' && x !== null ? (x as Arguments) : {}));
};
