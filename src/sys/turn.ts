// The event loop's next turn: work that waits one turn can be shared by everything that arrives in this one
// (the queue's log syncs once for all messages that came together).

/** Calls `fn` after the input of this turn has been served. */
export function nextTurn(fn: () => void): void {
  setImmediate(fn);
}
