// Assertions for bugs (not for bad input): a failed one ends the process, init restarts it,
// the spool recovers.

export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/** Throws AssertionError when `condition` is false. `claim` says what should have been true. */
export function assert(condition: boolean, claim: string): asserts condition {
  if (!condition) throw new AssertionError(`assertion failed: ${claim}`);
}

/** The value, asserted to be there. */
export function present<T>(value: T | undefined | null, claim: string): T {
  if (value === undefined || value === null)
    throw new AssertionError(`assertion failed: ${claim} is present`);
  return value;
}

/** For the default branch of a switch that covers a union. */
export function unreachable(value: never): never {
  throw new AssertionError(`assertion failed: unexpected ${String(value)}`);
}
