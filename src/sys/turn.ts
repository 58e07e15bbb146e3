// The event loop's next turn: work that waits one turn can be shared by everything that arrives in this one.

/** Calls `fn` after the input of this turn has been served. */
export function nextTurn(fn: () => void): void {
  setImmediate(fn);
}
