// Whether V8 took the code cache that the binary carries. The binary's way in notes it and the program tells it: two bundles, so
// it is kept where both see it.

/** "none" when the program runs from sources or was packaged without one. */
export type CodeCache = "used" | "refused" | "none";

const STATE = Symbol.for("postern.codecache");

/** Called once, by what compiles the program. */
export function noteCodeCache(state: CodeCache): void {
  Reflect.set(globalThis, STATE, state);
}

/** What became of the code cache of this process. */
export function codeCache(): CodeCache {
  const state: unknown = Reflect.get(globalThis, STATE);
  return state === "used" || state === "refused" ? state : "none";
}
