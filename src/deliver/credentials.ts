// Credentials for next hops: AuthInfo: entries ("U:user" "I:id" "P:secret" "R:realm" "M:mechanisms", P= for base64) of the authinfo map
// or the access table, then the file of DefaultAuthInfo, which the chapter makes of four lines: authorization identity,
// authentication identity, secret, realm, and perhaps mechanisms. The file is not used unless it is a plain file that nobody but
// its owner (us or root) can read (0600): a secret that others can read is not one. Root's is read before root is given up.

import { ABSENT, found, type Lookup, tempfail } from "../base/result.ts";
import { authInfo } from "../policy/tlsrules.ts";
import type { Site } from "../route/site.ts";
import { clientMechanisms } from "../sasl/registry.ts";
import type { Clock } from "../sys/clock.ts";
import { readBoundedFile, statPath } from "../sys/files.ts";
import type { Log } from "../sys/log.ts";
import { currentUser } from "../sys/process.ts";
import type { AuthInfo, AuthNeeds } from "./needs.ts";
import { type LoginAlarm, Refusals } from "./refusals.ts";

/** Bytes of a DefaultAuthInfo file. */
const FILE_BYTES_MAX = 4096;

/** The value of an AuthInfo: entry; null when it is none (no identity, or a secret that is not base64). */
export function parseAuthInfo(value: string): AuthInfo | null {
  const parts = new Map<string, string>();
  for (const item of value.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)) {
    const text = item[1] ?? item[2] ?? "";
    const letter = text[0]?.toUpperCase() ?? "";
    const mark = text[1];
    if (!/[UIPRM]/.test(letter) || (mark !== ":" && mark !== "=")) return null;
    const bare = text.slice(2);
    if (mark === "=" && !/^[A-Za-z0-9+/]+={0,2}$/.test(bare)) return null;
    // The first one of a kind counts, as in Sendmail.
    if (!parts.has(letter))
      parts.set(letter, mark === "=" ? Buffer.from(bare, "base64").toString("utf8") : bare);
  }
  const authorizationId = parts.get("U") ?? "";
  const authenticationId = parts.get("I") ?? authorizationId;
  if (authenticationId === "" && !(parts.get("M") ?? "").toUpperCase().split(/\s+/).includes("EXTERNAL"))
    return null;
  return {
    authorizationId,
    authenticationId,
    secret: parts.get("P") ?? "",
    realm: parts.get("R") ?? "",
    mechanisms: words(parts.get("M") ?? ""),
  };
}

function words(text: string): readonly string[] {
  return text
    .toUpperCase()
    .split(/[\s,]+/)
    .filter((word) => word !== "");
}

/** The lines of a DefaultAuthInfo file; those that begin with # are comments, as in Sendmail. null: no identity. */
export function parseAuthFile(text: string): AuthInfo | null {
  const lines = text.split(/\r?\n/).filter((line) => !line.startsWith("#"));
  const [authorizationId = "", authenticationId = "", secret = "", realm = "", mechanisms = ""] = lines;
  if (authenticationId.trim() === "" && authorizationId.trim() === "") return null;
  return {
    authorizationId: authorizationId.trim(),
    authenticationId: authenticationId.trim() === "" ? authorizationId.trim() : authenticationId.trim(),
    secret,
    realm: realm.trim(),
    mechanisms: words(mechanisms),
  };
}

/**
 * What was read last, and from which state of which file. The book gives the file to root, 0600: it is read while the daemon still is
 * root, and what was read then counts until the file changes.
 */
let kept: { readonly state: string; readonly info: AuthInfo } | null = null;

/** Reads DefaultAuthInfo. A file that must not be used is a tempfail: mail waits instead of going out without credentials. */
export function readAuthFile(path: string): Lookup<AuthInfo> {
  const facts = statPath(path);
  if (facts.kind === "absent") return ABSENT;
  if (facts.kind === "tempfail") return facts;
  const { type, mode, uid } = facts.value;
  if (type !== "file") return tempfail(`${path} is not a plain file`);
  if ((mode & 0o077) !== 0)
    return tempfail(
      `${path} is unsafe: ${(mode & 0o070) !== 0 ? "Group" : "World"} readable file (must be 0600)`,
    );
  if (uid !== 0 && uid !== currentUser().uid) return tempfail(`${path} is unsafe: it belongs to uid ${uid}`);
  const state = `${path} ${facts.value.identity} ${facts.value.modifiedNs} ${facts.value.size}`;
  if (kept?.state === state) return found(kept.info);
  const bytes = readBoundedFile(path, FILE_BYTES_MAX);
  if (bytes.kind !== "found") return bytes;
  const info = parseAuthFile(bytes.value.toString("utf8"));
  if (info === null) return tempfail(`${path} holds no identity`);
  kept = { state, info };
  return found(info);
}

/** What the session asks for AUTH, answered by the site's tables and the DefaultAuthInfo file. */
export function authNeeds(site: () => Site, clock: Clock, log: Log, alarm: LoginAlarm): AuthNeeds {
  const early = site().config.options.DefaultAuthInfo;
  if (early !== "") {
    // Now, because root may be given up before the first message.
    const info = readAuthFile(early);
    if (info.kind === "tempfail") log.line(3, `AUTH=client, ${info.reason}`);
  }
  const info = (name: string, address: string): Lookup<AuthInfo> => {
    const entry = authInfo(site(), name, address);
    if (entry.kind === "tempfail") return entry;
    if (entry.kind === "found") {
      const parsed = parseAuthInfo(entry.value);
      if (parsed !== null) return found(parsed);
      log.line(3, `AUTH=client, AuthInfo for ${name} is not understood`);
      return tempfail(`AuthInfo for ${name} is not understood`);
    }
    const path = site().config.options.DefaultAuthInfo;
    if (path === "") return ABSENT;
    const read = readAuthFile(path);
    if (read.kind === "tempfail") log.line(3, `AUTH=client, ${read.reason}`);
    return read;
  };
  return {
    info,
    refusals: new Refusals({ clock, log, alarm, info }),
    // Which of them may go over the open wire is decided by the session (AuthOptions p).
    mechanisms: (ours, offered) =>
      clientMechanisms(ours, offered, { tls: true, plaintextWithoutTls: true, external: true }),
  };
}
