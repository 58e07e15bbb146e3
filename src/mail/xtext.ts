// xtext (RFC 3461 section 4), which stays encoded wherever it goes.
// Stricter than the RFC: NUL may not be encoded either (reliability INJ-05).

/** Printable ASCII, `+` only before two hex digits, and those not 00. */
export function isXtext(text: string): boolean {
  return /^(?:[!-*,-<>-~]|\+(?!00)[0-9A-Fa-f]{2})*$/.test(text);
}
