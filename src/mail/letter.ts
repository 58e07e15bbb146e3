// What every message of our own has in common (notices, letters to the postmaster): the fields on top, in Sendmail's order and form.
// Texts from peers are cleaned, so that no line is forged.

import { formatDate } from "./date.ts";

export interface LetterFacts {
  /** Queue id. */
  readonly id: string;
  readonly to: string;
  /** Address of From:, e.g. MAILER-DAEMON@gw.example. */
  readonly from: string;
  /** $j */
  readonly hostName: string;
  readonly version: string;
  readonly nowMs: number;
}

const TEXT_BYTES_MAX = 800;

/** One printable line of at most 800 characters, as Sendmail's %.800s. */
export function clean(text: string): string {
  return text.replace(/[\x00-\x1f\x7f]/g, "?").slice(0, TEXT_BYTES_MAX);
}

/** CRLF lines with leading dots doubled. */
export function wireLines(lines: readonly string[]): Buffer {
  return Buffer.from(lines.map((line) => `${line.startsWith(".") ? "." : ""}${line}\r\n`).join(""));
}

/** `mime`: the fields from MIME-Version on. `auto`: RFC 3834. */
export function letterHeader(
  facts: LetterFacts,
  subject: string,
  auto: string,
  mime: readonly string[],
): Buffer {
  const date = formatDate(facts.nowMs);
  const stamp = new Date(facts.nowMs).toISOString().replace(/[-T:]/g, "").slice(0, 12);
  const lines = [
    "Received: from localhost (localhost)",
    `\tby ${facts.hostName} (${facts.version}/${facts.version}) id ${facts.id};`,
    `\t${date}`,
    `Date: ${date}`,
    `From: Mail Delivery Subsystem <${facts.from}>`,
    `Message-Id: <${stamp}.${facts.id}@${facts.hostName}>`,
    `To: <${clean(facts.to)}>`,
    ...mime,
    `Subject: ${clean(subject)}`,
    `Auto-Submitted: ${auto}`,
  ];
  return Buffer.from(`${lines.join("\r\n")}\r\n`);
}

/** A letter of plain text to the postmaster. */
export function postmasterLetter(
  facts: LetterFacts,
  subject: string,
  lines: readonly string[],
): { readonly header: Buffer; readonly body: Buffer } {
  const mime = ["MIME-Version: 1.0", "Content-Type: text/plain; charset=us-ascii"];
  return {
    header: letterHeader(facts, subject, "auto-generated (postmaster-notification)", mime),
    body: wireLines(lines.map((line) => clean(line).replace(/[^\x20-\x7e]/g, "?"))),
  };
}
