// The twelve sequences of reliability 3.1 (CVE-2023-51764/5/6, SEC Consult 2023, hannob/smtpsmug), and what follows them: a message
// that would be run as commands by whoever takes the sequence for the end.

/** As SMUG-01 to SMUG-12. */
export const SEQUENCES: readonly (readonly [origin: string, bytes: string])[] = [
  ["SMUG-01", "\n.\n"],
  ["SMUG-02", "\n.\r"],
  ["SMUG-03", "\r.\n"],
  ["SMUG-04", "\r.\r"],
  ["SMUG-05", "\n.\r\n"],
  ["SMUG-06", "\r.\r\n"],
  ["SMUG-07", "\r\n.\n"],
  ["SMUG-08", "\r\n.\r"],
  ["SMUG-09", "\r\n.\r\r\n"],
  ["SMUG-10", "\r\r\n.\r\r\n"],
  ["SMUG-11", "\r\n\x00.\r\n"],
  ["SMUG-12", "\r\n.\x00\r\n"],
];

export const SMUGGLED =
  "MAIL FROM:<evil@c.test>\r\nRCPT TO:<b@gw2.test>\r\nDATA\r\nx: y\r\n\r\nsmug\r\n.\r\n";

/** The sequences that `bytes` has where they could end a message for somebody, and stray control bytes. */
export function faultsOf(bytes: Buffer): readonly string[] {
  const text = bytes.toString("latin1");
  const found = SEQUENCES.filter(([, sequence]) => text.includes(sequence)).map(([origin]) => origin);
  if (/\r(?!\n)/.test(text)) found.push("bare CR");
  if (/(?<!\r)\n/.test(text)) found.push("bare LF");
  if (text.includes("\0")) found.push("NUL");
  // Within a message a line that begins with a dot begins with two.
  if (/(?:^|\n)\.(?!\.)/.test(text)) found.push("a dot that is not stuffed");
  return found;
}
