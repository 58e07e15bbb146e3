// The work of saslpasswd, saslpasswd2 and sasldblistusers: create, change, delete and list users of the credentials file.
// Questions and messages are those of Cyrus SASL's tools; saslpasswd creates a user that is missing, saslpasswd2 wants -c for that.

import { err, ok, type Result } from "../base/result.ts";
import type { Entropy } from "../sys/entropy.ts";
import type { Credential } from "./mechanism.ts";
import { prepareSecret, splitAccount } from "./names.ts";
import { changeStore, makeCredential, openStore } from "./store.ts";

export interface PasswdRequest {
  readonly user: string;
  /** -u, or null for the default realm. */
  readonly realm: string | null;
  readonly create: boolean;
  readonly remove: boolean;
  /** -p: the password is the first line of standard input. */
  readonly fromPipe: boolean;
  /** -n: the secret itself is not kept. */
  readonly verifiersOnly: boolean;
  /** -f, or null for the default. */
  readonly file: string | null;
  /** -C: folder or file of the mail configuration. */
  readonly configuration: string | null;
}

/** Parses the arguments of either command; the error is the line to print. */
export function parsePasswdArguments(name: string, args: readonly string[]): Result<PasswdRequest> {
  const flags = new Set<string>();
  const values = new Map<string, string>();
  const users: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? "";
    if (!arg.startsWith("-") || arg === "-") {
      users.push(arg);
      continue;
    }
    for (let at = 1; at < arg.length; at++) {
      const letter = arg[at] ?? "";
      if ("cdpnv".includes(letter)) flags.add(letter);
      else if ("uafC".includes(letter)) {
        const attached = arg.slice(at + 1);
        const value = attached === "" ? args[++i] : attached;
        if (value === undefined) return err(`${name}: option -${letter} requires an argument`);
        values.set(letter, value);
        break;
      } else return err(`${name}: invalid option -- '${letter}'`);
    }
  }
  const [user] = users;
  if (user === undefined || users.length > 1) return err(`${name}: one user name is needed`);
  if (flags.has("c") && flags.has("d")) return err(`${name}: -c and -d exclude each other`);
  return ok({
    user,
    realm: values.get("u") ?? null,
    create: flags.has("c") || name === "saslpasswd",
    remove: flags.has("d"),
    fromPipe: flags.has("p"),
    verifiersOnly: flags.has("n"),
    file: values.get("f") ?? null,
    configuration: values.get("C") ?? null,
  });
}

/** Where users are kept, and what for. */
export interface PasswdPlace {
  readonly path: string;
  /** Realm of users without one: AuthRealm or $j. */
  readonly realm: string;
  /** CRAM-MD5 or DIGEST-MD5 are enabled. */
  readonly keepSecret: boolean;
  /** Owner of a new file when we may give it away. */
  readonly owner?: { readonly uid: number; readonly gid: number };
}

export interface PasswdTerminal {
  ask(prompt: string): Promise<string | null>;
  /** The first line of standard input, null when there is none. */
  readLine(): Promise<string | null>;
}

export type PasswdFailure = "usage" | "no-user" | "bad-password" | "file";

async function askTwice(terminal: PasswdTerminal): Promise<Result<string>> {
  const first = await terminal.ask("Password: ");
  if (first === null) return err("no password");
  const second = await terminal.ask("Again (for verification): ");
  if (second === null) return err("no password");
  return first === second ? ok(first) : err("passwords don't match; aborting");
}

async function newSecret(request: PasswdRequest, terminal: PasswdTerminal): Promise<Result<string>> {
  const secret = request.fromPipe ? ok((await terminal.readLine()) ?? "") : await askTwice(terminal);
  if (!secret.ok) return secret;
  if (secret.value === "") return err("an empty password is refused");
  return prepareSecret(secret.value) === null
    ? err("the password is too long or holds control characters")
    : secret;
}

function isSame(c: Credential, user: string, realm: string): boolean {
  return c.user === user && c.realm === realm;
}

/** Does what was asked. The error says which kind of failure and one line of text. */
export async function changePassword(
  request: PasswdRequest,
  place: PasswdPlace,
  terminal: PasswdTerminal,
  entropy: Entropy,
): Promise<Result<true, { readonly kind: PasswdFailure; readonly text: string }>> {
  const account = splitAccount(request.user, request.realm ?? place.realm);
  if (account === null) return err({ kind: "usage", text: "not a user name" });
  const { user, realm } = account;
  let seen = false;
  if (request.remove) {
    const done = await changeStore(place.path, { create: false }, (users) => {
      seen = users.some((c) => isSame(c, user, realm));
      return seen ? users.filter((c) => !isSame(c, user, realm)) : null;
    });
    if (!done.ok) return err({ kind: "file", text: done.error });
    return seen ? done : err({ kind: "no-user", text: "user not found" });
  }
  if (
    !request.create &&
    openStore(place.path, { groupReadable: true, repairing: true }).find(user, realm).kind === "absent"
  )
    return err({ kind: "no-user", text: "user not found" });
  const secret = await newSecret(request, terminal);
  if (!secret.ok) return err({ kind: "bad-password", text: secret.error });
  const keep = place.keepSecret && !request.verifiersOnly;
  const made = await makeCredential(user, realm, secret.value, keep, entropy);
  if (made === null) return err({ kind: "bad-password", text: "the password cannot be used" });
  const owner = place.owner === undefined ? {} : { owner: place.owner };
  const done = await changeStore(place.path, { create: request.create, ...owner }, (users) => {
    seen = users.some((c) => isSame(c, user, realm));
    if (!seen && !request.create) return null;
    return [...users.filter((c) => !isSame(c, user, realm)), made];
  });
  if (!done.ok) return err({ kind: "file", text: done.error });
  return seen || request.create ? done : err({ kind: "no-user", text: "user not found" });
}

/** The list of sasldblistusers: one line for each user and mechanism, as version 1 of the SASL library wrote it. */
export function listByMechanism(users: readonly Credential[]): string {
  const lines = users.flatMap((c) => {
    const mechanisms =
      c.secret === undefined
        ? ["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256"]
        : ["PLAIN", "CRAM-MD5", "DIGEST-MD5"];
    return mechanisms.map((m) => `user: ${c.user} realm: ${c.realm} mech: ${m}\n`);
  });
  return lines.join("");
}

/** The list of sasldblistusers2: `user@realm: property`. */
export function listByProperty(users: readonly Credential[]): string {
  return users
    .map((c) => `${c.user}@${c.realm}: ${c.secret === undefined ? "authPassword" : "userPassword"}\n`)
    .join("");
}
