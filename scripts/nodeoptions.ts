// The options of V8 that every binary starts with. The code cache is made with the same ones: V8 names them in its caches.

/**
 * A small young generation, and an old one that is collected when it has grown by a fifth: a gateway has little to keep, and a
 * heap that may not grow ahead of need takes a third less memory (performance.md). The second costs a tenth of a second of start on
 * a fast machine, for Node's own modules were compiled ahead without it; set when the program is up, it has half its effect.
 * NODE_OPTIONS can still say otherwise.
 */
export const NODE_OPTIONS: readonly string[] = ["--max-semi-space-size=2", "--heap-growing-percent=20"];
