// Just enough DER (X.690) to read names and serial numbers out of certificates, requests and revocation lists that OpenSSL has parsed before.
// Promises to stay inside the bytes given, definite lengths only, and to answer null for anything else.

/** One element: its tag, where its content lies, where the next element begins. */
export interface Element {
  readonly tag: number;
  readonly begin: number;
  readonly start: number;
  readonly end: number;
}

export const DER = {
  integer: 0x02,
  bits: 0x03,
  oid: 0x06,
  sequence: 0x30,
  set: 0x31,
  context0: 0xa0,
} as const;

/** The element at `at`, which must end at or before `limit`. */
export function elementAt(bytes: Buffer, at: number, limit: number): Element | null {
  const tag = bytes[at];
  const first = bytes[at + 1];
  if (tag === undefined || first === undefined || at + 2 > limit || (tag & 0x1f) === 0x1f) return null;
  if (first < 0x80)
    return at + 2 + first <= limit ? { tag, begin: at, start: at + 2, end: at + 2 + first } : null;
  const count = first & 0x7f;
  if (count === 0 || count > 4 || at + 2 + count > limit) return null;
  const length = bytes.readUIntBE(at + 2, count);
  const start = at + 2 + count;
  return start + length <= limit ? { tag, begin: at, start, end: start + length } : null;
}

/** The elements inside `outer`, at most `max`; null when they do not fill it exactly. */
export function children(bytes: Buffer, outer: Element, max: number): readonly Element[] | null {
  const found: Element[] = [];
  let at = outer.start;
  while (at < outer.end) {
    const element = elementAt(bytes, at, outer.end);
    if (element === null || found.length >= max) return null;
    found.push(element);
    at = element.end;
  }
  return found;
}

/** An object identifier in dotted form; "" when it is malformed. */
export function oidText(bytes: Buffer, element: Element): string {
  const numbers: number[] = [];
  let value = 0;
  for (let at = element.start; at < element.end; at++) {
    const byte = bytes[at] ?? 0;
    value = value * 128 + (byte & 0x7f);
    if (value > Number.MAX_SAFE_INTEGER / 256) return "";
    if ((byte & 0x80) === 0) {
      if (numbers.length === 0)
        numbers.push(Math.min(Math.floor(value / 40), 2), value - 40 * Math.min(Math.floor(value / 40), 2));
      else numbers.push(value);
      value = 0;
    }
  }
  return numbers.join(".");
}
