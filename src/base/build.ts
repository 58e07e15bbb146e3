// What this build contains. The sources run with everything on (board "host"); the bundler replaces this file
// with the board's own values (scripts/features.ts), so that "not in this build" can be said by name.

export interface Build {
  readonly board: string;
  readonly version: string;
  /** Names of Kconfig symbols that are off, without CONFIG_. */
  readonly off: readonly string[];
  /** Int symbols by name, without CONFIG_. */
  readonly limits: Readonly<Record<string, number>>;
}

export const BUILD: Build = { board: "host", version: "0.1.0", off: [], limits: {} };

/** Is the Kconfig symbol (without CONFIG_) part of this build? */
export function inBuild(symbol: string): boolean {
  return !BUILD.off.includes(symbol);
}

/** The int symbol's value, or `otherwise` when the board says nothing. */
export function buildLimit(symbol: string, otherwise: number): number {
  return BUILD.limits[symbol] ?? otherwise;
}

/** "MAILER(procmail) is not in this build (board relay-tiny)". */
export function notInBuild(what: string): string {
  return `${what} is not in this build (board ${BUILD.board})`;
}
