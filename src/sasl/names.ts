// Names and passwords of SASL as strings: strict UTF-8, SASLprep (RFC 4013, in the part that matters here), and user@realm.
// Promises that a name which passes holds no control character and no NUL, so that none reaches a log line, a table or a header.

import { SASL_NAME_BYTES_MAX, SASL_SECRET_BYTES_MAX } from "../base/limits.ts";

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The text, or null when the bytes are not UTF-8. */
export function decodeUtf8(bytes: Buffer): string | null {
  try {
    return strict.decode(bytes);
  } catch {
    // Not UTF-8: the caller refuses the exchange.
    return null;
  }
}

/** RFC 3454 B.1: commonly mapped to nothing. */
const MAPPED_AWAY = /\u034F|[\uFE00-\uFE0F]|[\u180B-\u180D]|\u200D|[\u00AD\u1806\u200B\u200C\u2060\uFEFF]/gu;
/** RFC 3454 C.1.2: non-ASCII spaces, mapped to a space. */
const SPACES = /[\u00A0\u1680\u2000-\u200B\u202F\u205F\u3000]/gu;
/** RFC 3454 C.2-C.9: controls, private use, non-characters, surrogates, tags and marks that change display. */
const PROHIBITED =
  /[\p{Cc}\p{Cs}\p{Co}\p{Zl}\p{Zp}\p{Noncharacter_Code_Point}\u06DD\u070F\u180E\u200E\u200F\u202A-\u202E\u2061-\u2063\u206A-\u206F\u2FF0-\u2FFB\uFFF9-\uFFFD\u{E0001}\u{E0020}-\u{E007F}]|[\u0340\u0341]|[\u{1D173}-\u{1D17A}]/u;
/** Letters written from right to left (RFC 3454 D.1, by script). */
const RIGHT_TO_LEFT = /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/u;
const LETTER = /\p{L}/u;

/** SASLprep of a stored string or a query; null when it holds what RFC 4013 prohibits. */
export function saslprep(text: string): string | null {
  const mapped = text.replace(SPACES, " ").replace(MAPPED_AWAY, "").normalize("NFKC");
  if (PROHIBITED.test(mapped)) return null;
  if (RIGHT_TO_LEFT.test(mapped)) {
    // RFC 3454 section 6: no left-to-right letter beside them, and they stand at both ends.
    const characters = [...mapped];
    const mixed = characters.some((c) => LETTER.test(c) && !RIGHT_TO_LEFT.test(c));
    if (mixed || !RIGHT_TO_LEFT.test(characters[0] ?? "") || !RIGHT_TO_LEFT.test(characters.at(-1) ?? ""))
      return null;
  }
  return mapped;
}

/** A user name or authorization identity as prepared text; null when it is empty, too long or holds what a name cannot. */
export function prepareName(text: string): string | null {
  if (text === "" || Buffer.byteLength(text) > SASL_NAME_BYTES_MAX) return null;
  const prepared = saslprep(text);
  return prepared === null || prepared === "" ? null : prepared;
}

/** A password as prepared text; null when it is empty (an empty password never opens anything), too long or prohibited. */
export function prepareSecret(text: string): string | null {
  if (text === "" || Buffer.byteLength(text) > SASL_SECRET_BYTES_MAX) return null;
  const prepared = saslprep(text);
  return prepared === null || prepared === "" ? null : prepared;
}

/** A user of a realm; realms are host names, compared in lower case. */
export interface Account {
  readonly user: string;
  readonly realm: string;
}

/** ASCII only: other letters of a realm are kept as they are. */
export function foldRealm(realm: string): string {
  return realm.replace(/[A-Z]/g, (c) => c.toLowerCase());
}

/** "user@realm" is that user of that realm; a bare name belongs to `defaultRealm`. null: not a name. */
export function splitAccount(name: string, defaultRealm: string): Account | null {
  const prepared = prepareName(name);
  if (prepared === null) return null;
  const at = prepared.lastIndexOf("@");
  if (at < 0) return { user: prepared, realm: foldRealm(defaultRealm) };
  if (at === 0 || at === prepared.length - 1) return null;
  return { user: prepared.slice(0, at), realm: foldRealm(prepared.slice(at + 1)) };
}

/** How an account is written in logs and asked for in rules: bare in the default realm, else user@realm. */
export function identityOf(account: Account, defaultRealm: string): string {
  return account.realm === foldRealm(defaultRealm) ? account.user : `${account.user}@${account.realm}`;
}

/**
 * The account that may act: the authorization identity must be empty or the authenticated one
 * (Sendmail's proxy policy: nobody acts for another).
 */
export function authorizes(authorizationId: string, account: Account, defaultRealm: string): boolean {
  if (authorizationId === "") return true;
  const asked = splitAccount(authorizationId, defaultRealm);
  return asked !== null && asked.user === account.user && asked.realm === account.realm;
}
