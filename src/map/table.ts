// What a lookup table looks like to those who ask it. Implementations: a cdb file read in place,
// text kept in memory (tests, classes).

import type { Lookup } from "../base/result.ts";

export interface Table {
  /** Path or name for messages and trace. */
  readonly name: string;
  /**
   * The value of `key`, a byte string (one character per byte, see bytestring.ts). Keys are folded to lower case (ASCII) by the table unless it was built with -f.
   * tempfail: the file is missing without -o, unreadable or damaged.
   */
  lookup(key: string): Lookup<string>;
}

/** A table that has nothing, for optional maps whose file is missing (-o). */
export const EMPTY_TABLE: Table = { name: "empty", lookup: () => ({ kind: "absent" }) };
