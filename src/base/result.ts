// The three-valued answer of every lookup (DNS, tables, files): found, absent, tempfail.
// A broken table must never read as "no entry": callers have to say what they do with each.
// Expected failures are values of these types, never exceptions (house rule 6).

/** The key has this value. */
export interface Found<T> {
  readonly kind: "found";
  readonly value: T;
}
/** The source was asked and has no such entry. */
export interface Absent {
  readonly kind: "absent";
}
/** The source could not answer now; asking later may succeed. `reason` is one printable line. */
export interface Tempfail {
  readonly kind: "tempfail";
  readonly reason: string;
}
export type Lookup<T> = Found<T> | Absent | Tempfail;

export const ABSENT: Absent = { kind: "absent" };

export function found<T>(value: T): Found<T> {
  return { kind: "found", value };
}

export function tempfail(reason: string): Tempfail {
  return { kind: "tempfail", reason };
}

/** A value or the reason why there is none, for operations that are not lookups. */
export type Result<T, E = string> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: E };

export function ok<T>(value: T): { readonly ok: true; readonly value: T } {
  return { ok: true, value };
}

export function err<E>(error: E): { readonly ok: false; readonly error: E } {
  return { ok: false, error };
}
