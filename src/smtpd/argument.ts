// The argument of MAIL and RCPT: `FROM:<address> parameters`, taken apart as Sendmail does (skipword(), prescan()): blanks around
// the colon, missing angle brackets and comments are tolerated, the answer shows what was typed (semantics section 16).

import { err, ok, type Result } from "../base/result.ts";
import { joinTokens, scanAddress } from "../mail/address.ts";
import { type Reply, reply } from "../mail/reply.ts";
import { isBlank, shortened } from "./wording.ts";

export interface AddressArgument {
  /** As the client wrote it, brackets included. */
  readonly typed: string;
  /** Without brackets and comments; "" for `<>`. */
  readonly address: string;
  /** What follows the address. */
  readonly parameters: string;
}

function misplaced(word: string): Reply {
  return reply(501, "5.5.2", `Syntax error in parameters scanning "${shortened(word)}"`);
}

/** The text after `FROM:` or `TO:`. */
function skipWord(argument: string, word: string): Result<string, Reply> {
  let p = 0;
  while (p < argument.length && argument[p] !== ":" && !isBlank(argument.charCodeAt(p))) p++;
  const found = argument.slice(0, p);
  while (p < argument.length && isBlank(argument.charCodeAt(p))) p++;
  if (argument[p] !== ":") return err(misplaced(found));
  p++;
  while (p < argument.length && isBlank(argument.charCodeAt(p))) p++;
  if (p >= argument.length || found.toUpperCase() !== word) return err(misplaced(found));
  return ok(argument.slice(p));
}

/** The innermost brackets' content, or everything. */
function withoutBrackets(tokens: readonly string[]): string {
  const open = tokens.lastIndexOf("<");
  if (open < 0) return joinTokens(tokens);
  const close = tokens.indexOf(">", open);
  return joinTokens(tokens.slice(open + 1, close < 0 ? tokens.length : close));
}

/** Control bytes have no business in an address: they would end up in logs, headers and files (reliability INJ). */
function hasControl(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c < 32 || c === 127) return true;
  }
  return false;
}

/** The plain form almost every client sends; anything unusual goes the long way. */
const PLAIN = /^<([A-Za-z0-9_+.-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*)>(?= |$)/;
const PLAIN_CHARACTERS_MAX = 256;

export function parseAddressArgument(argument: string, word: "FROM" | "TO"): Result<AddressArgument, Reply> {
  const skipped = skipWord(argument, word);
  if (!skipped.ok) return skipped;
  const text = skipped.value;
  const plain = PLAIN.exec(text);
  if (plain !== null && (plain[0] as string).length <= PLAIN_CHARACTERS_MAX) {
    const typed = plain[0] as string;
    return ok({ typed, address: plain[1] as string, parameters: text.slice(typed.length).trim() });
  }
  const scanned = scanAddress(text, 0, " ");
  if (!scanned.ok) {
    const { code, enhanced, text: words } = scanned.error;
    return err(reply(code, enhanced, `${shortened(text.trim())}... ${words}`));
  }
  const typed = text.slice(0, scanned.value.end);
  const address = withoutBrackets(scanned.value.tokens);
  if (hasControl(typed))
    return err(
      reply(
        501,
        word === "FROM" ? "5.1.7" : "5.1.3",
        `Syntax error in mailbox address "${shortened(address)}" (non-printable character)`,
      ),
    );
  return ok({
    typed,
    address,
    parameters: text.slice(scanned.value.end).trim(),
  });
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return false;
  return true;
}

/**
 * The same with 8-bit bytes as characters: only with SMTPUTF8 (RFC 6531), and only well-formed UTF-8. `source` holds one character
 * per byte.
 */
export function decoded(source: AddressArgument, smtpUtf8: boolean): Result<AddressArgument, Reply> {
  if (isAscii(source.typed)) return ok(source);
  const shown = shortened(source.typed.replace(/[^ -~]/g, "?"));
  const refused = reply(553, "5.6.7", `${shown}... Address requires SMTPUTF8`);
  if (!smtpUtf8) return err(refused);
  try {
    const read = (text: string): string => strictUtf8.decode(Buffer.from(text, "latin1"));
    return ok({ ...source, typed: read(source.typed), address: read(source.address) });
  } catch {
    // Not UTF-8: such an address is none, whatever the client announced.
    return err(refused);
  }
}
