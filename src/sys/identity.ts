// Accounts of this machine (or of a board's system/passwd): who has a mailbox, the full name, home and shell.
// Read from a passwd file, again when it changes; nothing here asks a directory service.

import { ABSENT, found, type Lookup, tempfail } from "../base/result.ts";
import { readFileLookup, statPath } from "./files.ts";

export interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  /** GECOS up to the first comma, "&" replaced by the capitalised login. */
  readonly fullName: string;
  readonly home: string;
  readonly shell: string;
}

/** Entries that are read; an appliance has a handful. */
const ENTRIES_MAX = 100_000;

/** The entries of a passwd text; lines that are not of its form are passed over, as getpwent(3) does. */
export function parsePasswd(text: string): readonly PasswdEntry[] {
  const entries: PasswdEntry[] = [];
  for (const line of text.split("\n").slice(0, ENTRIES_MAX)) {
    const [name = "", , uid = "", gid = "", gecos = "", home = "", shell = ""] = line.split(":");
    if (name === "" || name.startsWith("#") || !/^\d+$/.test(uid) || !/^\d+$/.test(gid)) continue;
    const capital = name.slice(0, 1).toUpperCase() + name.slice(1);
    const fullName = (gecos.split(",")[0] ?? "").replaceAll("&", capital);
    entries.push({ name, uid: Number(uid), gid: Number(gid), fullName, home, shell });
  }
  return entries;
}

/** The login of `uid`; `uid1001` when it has none. */
export function loginOf(accounts: Pick<PasswdFile, "byUid">, uid: number): string {
  const account = accounts.byUid(uid);
  return account.kind === "found" ? account.value.name : `uid${uid}`;
}

/** Accounts of `path`, followed through its changes. */
export class PasswdFile {
  readonly #path: string;
  #stamp = "";
  #exact = new Map<string, PasswdEntry>();
  #folded = new Map<string, PasswdEntry>();
  #failure = "";

  constructor(path: string) {
    this.#path = path;
  }

  #refresh(): void {
    const facts = statPath(this.#path);
    const stamp =
      facts.kind === "found"
        ? `${facts.value.identity} ${facts.value.size} ${facts.value.modifiedNs}`
        : facts.kind;
    if (stamp === this.#stamp) return;
    this.#stamp = stamp;
    const read = readFileLookup(this.#path);
    this.#failure = read.kind === "tempfail" ? read.reason : "";
    this.#exact = new Map();
    this.#folded = new Map();
    if (read.kind !== "found") return;
    for (const entry of parsePasswd(read.value.toString("utf8"))) {
      const folded = entry.name.toLowerCase();
      if (!this.#exact.has(entry.name)) this.#exact.set(entry.name, entry);
      if (!this.#folded.has(folded)) this.#folded.set(folded, entry);
    }
  }

  /** By login name, exact first, then without case. */
  find(name: string): Lookup<PasswdEntry> {
    this.#refresh();
    if (this.#failure !== "") return tempfail(this.#failure);
    const entry = this.#exact.get(name) ?? this.#folded.get(name.toLowerCase());
    return entry === undefined ? ABSENT : found(entry);
  }

  byUid(uid: number): Lookup<PasswdEntry> {
    this.#refresh();
    if (this.#failure !== "") return tempfail(this.#failure);
    for (const entry of this.#exact.values()) if (entry.uid === uid) return found(entry);
    return ABSENT;
  }
}
