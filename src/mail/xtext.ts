// xtext (RFC 3461 section 4), which stays encoded wherever it goes.
// Stricter than the RFC: NUL may not be encoded either (reliability INJ-05).

/** RFC 3461 section 4: printable ASCII, `+` only before two hex digits. NUL may not be encoded either. */
export function isXtext(text: string): boolean {
  return /^(?:[!-*,-<>-~]|\+(?!00)[0-9A-Fa-f]{2})*$/.test(text);
}
