// Decides whether a file may be used for a purpose: owner, mode, links and the directories above it, by the table of
// trust.ts. Answers are Sendmail's words ("Group writable file"), to be put behind the caller's "cannot open FILE: ".
// Two deliberate differences: a world-writable directory with the sticky bit (/tmp) above the file's own directory is no
// reason to refuse when the way down from it belongs to root or to us, since nobody else can then rename that way; and a
// gateway that a person runs without root trusts directories of that person's own group (umask 002), as it does him.

import { err, ok, type Result } from "../base/result.ts";
import {
  errorText,
  type FileFacts,
  lstatPath,
  openForReading,
  type ReadFile,
  realPath,
  statPath,
} from "../sys/files.ts";
import { absolutePath, directoryOf } from "../sys/path.ts";
import { currentUser } from "../sys/process.ts";
import { type Prohibition, type Purpose, RULES, type Rules } from "./trust.ts";

/** Who asks, and what he was told not to mind. */
export interface Trust {
  /** The DontBlameSendmail option, any case; "safe" means nothing. */
  readonly dontBlame: readonly string[];
  /** Whose file it must be where the purpose asks for an owner, and who must be able to read it. Undefined: not asked. */
  readonly user?: { readonly uid: number; readonly gid: number };
}

export const TRUST_NOTHING: Trust = { dontBlame: [] };

/** A file that may be read. */
export interface TrustedFile {
  readonly facts: FileFacts;
  /** False: only because a rule was relaxed; programs and files that it names are "unsafe for mailing to". */
  readonly safe: boolean;
}

const MODE = { GROUP_READ: 0o040, GROUP_WRITE: 0o020, WORLD_READ: 0o004, WORLD_WRITE: 0o002, STICKY: 0o1000 };
/** Directories in one path; PATH_MAX is 4096 and each takes two bytes. */
const DIRECTORIES_MAX = 2048;

/** A trusted file with what is in it. */
export interface TrustedText extends TrustedFile {
  readonly bytes: Buffer;
}

/** Why a file is not used: there is none; the rules forbid it, in Sendmail's words; or it cannot be read now. */
export type Distrust =
  | { readonly kind: "absent" | "refused"; readonly reason: string }
  | { readonly kind: "tempfail"; readonly reason: string };

/** How far one verdict went: refused with a reason, lifted by a word, or fine. */
type Verdict = { readonly kind: "fine" | "lifted" } | { readonly kind: "refused"; readonly reason: string };

const FINE: Verdict = { kind: "fine" };

/** Whether `path` may be used for `purpose`. The error is the reason in Sendmail's words, or that of errno. */
export function checkFile(path: string, purpose: Purpose, trust: Trust = TRUST_NOTHING): Result<TrustedFile> {
  const rules = RULES.get(purpose) ?? {};
  const words = new Set(trust.dontBlame.map((word) => word.toLowerCase()));
  const directories = checkDirectories(absolutePath(path), rules, words);
  if (directories.kind === "refused") return err(directories.reason);
  const link = lstatPath(path);
  if (link.kind === "tempfail") return err(reasonOf(link.reason));
  if (link.kind === "absent") return err(errorText("ENOENT"));
  const links = checkLink(path, link.value, rules, words);
  if (links.kind === "refused") return err(links.reason);
  const facts = link.value.type === "link" ? statPath(path) : link;
  if (facts.kind === "tempfail") return err(reasonOf(facts.reason));
  if (facts.kind === "absent") return err(errorText("ENOENT"));
  const file = checkFacts(facts.value, purpose, trust);
  if (!file.ok) return file;
  return ok({ facts: facts.value, safe: file.value.safe && directories.kind === "fine" });
}

/**
 * Reads a file that others may own: it is opened first, without waiting and without following what `purpose` forbids; the open file
 * is judged and read, at most `bytesMax` bytes of it. Whatever is put in its place meanwhile is not what was judged, and not read.
 */
export function readTrusted(
  path: string,
  purpose: Purpose,
  trust: Trust,
  bytesMax: number,
): Result<TrustedText, Distrust> {
  const words = new Set(trust.dontBlame.map((word) => word.toLowerCase()));
  const links = judge(RULES.get(purpose)?.symbolicLink, words, "");
  const opened = openForReading(path, "file", links.kind === "refused" ? "no link" : "follow");
  if (opened.kind !== "found") {
    // What the rules say of a file that cannot even be opened tells more than its errno.
    const checked = checkFile(path, purpose, trust);
    const reason = checked.ok ? openReason(opened) : checked.error;
    return err({ kind: reason === errorText("ENOENT") ? "absent" : "refused", reason });
  }
  const file = opened.value;
  try {
    const trusted = judgeOpen(path, file, purpose, trust);
    if (!trusted.ok) return err({ kind: "refused", reason: trusted.error });
    const bytes = file.readWhole(bytesMax);
    return bytes.ok
      ? ok({ ...trusted.value, bytes: bytes.value })
      : err({ kind: "tempfail", reason: bytes.error });
  } finally {
    file.close();
  }
}

function openReason(
  opened: { readonly kind: "absent" } | { readonly kind: "tempfail"; readonly reason: string },
): string {
  if (opened.kind === "absent") return errorText("ENOENT");
  return opened.reason.endsWith("not a regular file") ? "Regular files only" : reasonOf(opened.reason);
}

/** checkFile for the file that `path` led to when it was opened. */
function judgeOpen(path: string, file: ReadFile, purpose: Purpose, trust: Trust): Result<TrustedFile> {
  const named = checkFile(path, purpose, trust);
  if (!named.ok) return named;
  const own = checkFacts(file.facts, purpose, trust);
  if (!own.ok) return own;
  // The directories were those of the name: it must still lead to what is open.
  if (named.value.facts.identity !== file.facts.identity) return err("File changed while it was opened");
  if (trust.user !== undefined && !mayReach(file, trust.user)) return err(errorText("EACCES"));
  return ok({ facts: file.facts, safe: named.value.safe && own.value.safe });
}

/** Could `user` have opened the file himself: every directory down to where it really lies lets him through. */
function mayReach(file: ReadFile, user: { readonly uid: number; readonly gid: number }): boolean {
  if (user.uid === 0) return true;
  // The kernel answers the opener there, which was the gateway.
  if (file.ofProcess) return false;
  const place = file.place();
  if (place === null) return false;
  for (let at = directoryOf(place), steps = 0; steps < DIRECTORIES_MAX; at = directoryOf(at), steps++) {
    const facts = statPath(at);
    if (facts.kind !== "found" || !permits(facts.value, user, 0o1)) return false;
    if (at === "/") return true;
  }
  return false;
}

/** The part of checkFile that needs no path: for files that are open already. */
export function checkFacts(facts: FileFacts, purpose: Purpose, trust: Trust): Result<TrustedFile> {
  const rules = RULES.get(purpose) ?? {};
  const words = new Set(trust.dontBlame.map((word) => word.toLowerCase()));
  if (facts.type !== "file") return err("Regular files only");
  const checks: readonly [boolean, Prohibition | undefined, string][] = [
    [(facts.mode & MODE.GROUP_READ) !== 0, rules.groupReadable, "Group readable file"],
    [(facts.mode & MODE.WORLD_READ) !== 0, rules.worldReadable, "World readable file"],
    [(facts.mode & MODE.GROUP_WRITE) !== 0, rules.groupWritable, "Group writable file"],
    [(facts.mode & MODE.WORLD_WRITE) !== 0, rules.worldWritable, "World writable file"],
    [(facts.mode & 0o111) !== 0, rules.executable, "Executable files not allowed"],
    [facts.links > 1, rules.hardLink, "Hard links not allowed"],
  ];
  let safe = true;
  for (const [present, rule, reason] of checks) {
    if (!present) continue;
    const verdict = judge(rule, words, reason);
    if (verdict.kind === "refused") return err(verdict.reason);
    if (verdict.kind === "lifted") safe = false;
  }
  if (trust.user !== undefined) {
    const owned = facts.uid === trust.user.uid || facts.uid === 0;
    if (rules.ownedByUser === true && !owned) return err(errorText("EACCES"));
    if (!permits(facts, trust.user, 0o4)) return err(errorText("EACCES"));
  }
  return ok({ facts, safe });
}

function judge(rule: Prohibition | undefined, words: ReadonlySet<string>, reason: string): Verdict {
  if (rule === undefined) return FINE;
  if (rule.safeWith?.some((word) => words.has(word)) === true) return FINE;
  if (rule.unless.some((word) => words.has(word))) return { kind: "lifted" };
  return { kind: "refused", reason };
}

/** Do the mode bits give `user` the right `bit` (4 read, 2 write, 1 search)? Groups besides his own are not known: they give nothing. */
function permits(
  facts: FileFacts,
  user: { readonly uid: number; readonly gid: number },
  bit: number,
): boolean {
  if (user.uid === 0) return true;
  if (facts.uid === user.uid) return (facts.mode & (bit << 6)) !== 0;
  if (facts.gid === user.gid) return (facts.mode & (bit << 3)) !== 0;
  return (facts.mode & bit) !== 0;
}

/** errno in "cannot stat PATH: CODE" as words. */
function reasonOf(reason: string): string {
  return errorText(reason.slice(reason.lastIndexOf(" ") + 1));
}

function checkLink(path: string, facts: FileFacts, rules: Rules, words: ReadonlySet<string>): Verdict {
  const linked = facts.type === "link" || facts.links > 1;
  if (!linked || facts.type === "directory") return FINE;
  const reason = facts.type === "link" ? "Symbolic links not allowed" : "Hard links not allowed";
  const plain = judge(facts.type === "link" ? rules.symbolicLink : rules.hardLink, words, reason);
  if (plain.kind === "refused") return plain;
  const directory = statPath(directoryOf(absolutePath(path)));
  const open =
    directory.kind === "found" && (directory.value.mode & (MODE.GROUP_WRITE | MODE.WORLD_WRITE)) !== 0;
  return open ? judge(rules.linkInWritableDirectory, words, reason) : FINE;
}

/** Every directory from / down to the file's own, as written and with links resolved. */
function checkDirectories(path: string, rules: Rules, words: ReadonlySet<string>): Verdict {
  if (rules.directories === undefined) return FINE;
  const own = directoryOf(path);
  const real = realPath(own);
  const ways = real.kind === "found" && real.value !== own ? [own, real.value] : [own];
  let worst: Verdict = FINE;
  for (const way of ways) {
    let below: FileFacts | null = null;
    for (let at = way, steps = 0; steps < DIRECTORIES_MAX; at = directoryOf(at), steps++) {
      const facts = statPath(at);
      if (facts.kind === "found") {
        const verdict = checkDirectory(facts.value, below, rules, words);
        if (verdict.kind === "refused") return verdict;
        if (verdict.kind === "lifted") worst = verdict;
        below = facts.value;
      }
      if (at === "/" || at === ".") break;
    }
  }
  return worst;
}

/** `below`: the next directory on the way down, null for the file's own directory. */
function checkDirectory(
  facts: FileFacts,
  below: FileFacts | null,
  rules: Rules,
  words: ReadonlySet<string>,
): Verdict {
  const sticky = (facts.mode & MODE.STICKY) !== 0;
  if ((facts.mode & MODE.WORLD_WRITE) !== 0) {
    if (sticky && (words.has("truststickybit") || isOurs(below))) return FINE;
    return judge(rules.directories, words, "World writable directory");
  }
  if ((facts.mode & MODE.GROUP_WRITE) === 0) return FINE;
  if (words.has("groupwritabledirpathsafe") || (sticky && isOurs(below)) || isOwnGroup(facts)) return FINE;
  if (rules.groupDirectories?.some((word) => words.has(word)) === true) return { kind: "lifted" };
  return judge(rules.directories, words, "Group writable directory");
}

function isOurs(facts: FileFacts | null): boolean {
  return facts !== null && (facts.uid === 0 || facts.uid === currentUser().uid);
}

function isOwnGroup(facts: FileFacts): boolean {
  const me = currentUser();
  return me.uid !== 0 && facts.uid === me.uid && facts.gid === me.gid;
}
