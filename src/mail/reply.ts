// An SMTP reply as a value: code, enhanced code (RFC 3463) and text.
// One function writes it on a wire.

export interface Reply {
  /** Three digits, 200 to 599. */
  readonly code: number;
  /** "5.7.1", or "" where Sendmail sends none (greeting, EHLO lines, 354). */
  readonly enhanced: string;
  /** One text per line; printable, no control bytes. */
  readonly lines: readonly string[];
}

export function reply(code: number, enhanced: string, ...lines: string[]): Reply {
  return { code, enhanced, lines };
}

/** Sendmail's rule: a refusal of MAIL or RCPT starts with `<address>... ` exactly for these codes. */
export function addressPrefixed(code: number): boolean {
  return code === 450 || code === 550 || code === 553;
}

/** The reply as Sendmail prints it: `550 5.7.1 text`, lines joined with CRLF, control bytes replaced by "?". */
export function formatReply(r: Reply): string {
  const last = r.lines.length - 1;
  const mid = r.enhanced === "" ? "" : `${r.enhanced} `;
  // Control bytes would let a table or a next hop forge protocol lines.
  return r.lines
    .map((line, i) => `${r.code}${i === last ? " " : "-"}${mid}${line.replace(/[\x00-\x1f\x7f]/g, "?")}\r\n`)
    .join("");
}
