// The options of V8 that every binary starts with. The code cache is made with the same ones. Most options are part of the name
// that V8 gives its caches, and Node's own modules, which are compiled ahead too, know only the name without any: an option of
// that kind costs half the start. This one is not of that kind (test/packaging asks the binary whether its cache was used).

/** A small young generation. NODE_OPTIONS can still say otherwise. */
export const NODE_OPTIONS: readonly string[] = ["--max-semi-space-size=2"];
