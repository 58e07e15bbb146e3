// Which combinations of flags are built to find out that flags do not depend on each other by accident: nothing on, everything on,
// and a small set in which every two symbols are seen in all four states that src/Kconfig allows (pairwise).
// The choice is made anew from src/Kconfig each time, always the same for the same file.

import { booleanSymbols } from "./features.ts";

/** What a symbol depends on: any of these groups, all of a group. Empty: nothing. */
type Condition = readonly (readonly string[])[];

/** `depends on` lines of the bool symbols; words joined by && and ||, as src/Kconfig writes them. */
export function dependencies(kconfig: string): Map<string, Condition> {
  const found = new Map<string, Condition>();
  let current = "";
  for (const line of kconfig.split("\n")) {
    current = /^\s*config\s+([A-Z0-9_]+)/.exec(line)?.[1] ?? current;
    const condition = /^\s+depends on\s+(.*)$/.exec(line)?.[1];
    if (condition === undefined) continue;
    if (!/^[A-Z0-9_&| ]+$/.test(condition))
      throw new Error(`src/Kconfig: cannot read "depends on ${condition}"`);
    found.set(
      current,
      condition.split("||").map((group) => group.split("&&").map((word) => word.trim())),
    );
  }
  return found;
}

function allowed(condition: Condition | undefined, on: ReadonlySet<string>): boolean {
  return condition === undefined || condition.some((group) => group.every((symbol) => on.has(symbol)));
}

/** Takes away what depends on something that is off. */
function settled(
  symbols: readonly string[],
  wanted: ReadonlySet<string>,
  by: Map<string, Condition>,
): Set<string> {
  const on = new Set(wanted);
  // Each turn takes at least one away.
  for (let before = -1; before !== on.size; ) {
    before = on.size;
    for (const symbol of symbols) if (!allowed(by.get(symbol), on)) on.delete(symbol);
  }
  return on;
}

/** Numbers that look random and are always the same. */
function numbers(): () => number {
  let state = 20260101;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function states(symbols: readonly string[], on: ReadonlySet<string>): string[] {
  const found: string[] = [];
  for (const [i, one] of symbols.entries())
    for (const other of symbols.slice(i + 1)) found.push(`${one}=${on.has(one)} ${other}=${on.has(other)}`);
  return found;
}

/** Candidates tried for each combination; more give fewer combinations. */
const CANDIDATES = 200;
/** Candidates in a row that show nothing new: what is left cannot be, because of dependencies. */
const FRUITLESS_MAX = 20;

/** Sets of symbols that are on, pairwise complete as far as the dependencies of `kconfig` allow. */
export function pairwise(kconfig: string): Set<string>[] {
  const symbols = booleanSymbols(kconfig);
  const by = dependencies(kconfig);
  const next = numbers();
  const all = settled(symbols, new Set(symbols), by);
  const chosen: Set<string>[] = [new Set(), all];
  const seen = new Set(chosen.flatMap((on) => states(symbols, on)));
  for (let fruitless = 0; fruitless < FRUITLESS_MAX; ) {
    let best = new Set<string>();
    let most = 0;
    for (let i = 0; i < CANDIDATES; i++) {
      // Symbols with dependencies need many others on: the share of those that are on varies.
      const share = 0.3 + 0.6 * next();
      const on = settled(symbols, new Set(symbols.filter(() => next() < share)), by);
      const fresh = states(symbols, on).filter((state) => !seen.has(state)).length;
      if (fresh > most) [best, most] = [on, fresh];
    }
    fruitless = most === 0 ? fruitless + 1 : 0;
    if (most === 0) continue;
    chosen.push(best);
    for (const state of states(symbols, best)) seen.add(state);
  }
  return chosen;
}
