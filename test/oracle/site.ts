// The environment of the recorded cases (reference/cases/README.md): host name, hosts file, accounts, and a configuration folder whose
// files stand for those under /etc/mail. Compiled and opened by the same code as the daemon's.

import { existsSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { ABSENT, found, type Lookup, tempfail } from "../../src/base/result.ts";
import { compileMc } from "../../src/config/compile.ts";
import type { Configuration, MapSpec } from "../../src/config/configuration.ts";
import { aliasTextTable } from "../../src/map/aliases.ts";
import { parseClassFile } from "../../src/map/classfile.ts";
import { EMPTY_TABLE, type Table } from "../../src/map/table.ts";
import { textTable } from "../../src/map/textmap.ts";
import type { Account, Accounts, RecipientFiles } from "../../src/route/account.ts";
import { openSite, type Site } from "../../src/route/site.ts";
import type { Resolver } from "../../src/sys/resolver.ts";
import { dataResolver, type HostsLine, type Zone } from "./resolver.ts";

export const HOST_NAME = "mail.polkatistas.org";
export const HOSTS: readonly HostsLine[] = [
  ["127.0.0.1", "localhost", "localhost.localdomain"],
  ["127.0.0.2", "mail.polkatistas.org", "mail"],
];
const LOCAL_NAMES = [
  "localhost",
  "localhost.localdomain",
  "mail.polkatistas.org",
  "mail",
  "[127.0.0.1]",
  "[127.0.0.2]",
];

const PEOPLE: readonly (readonly [string, string])[] = [
  ["root", "root"],
  ["daemon", "daemon"],
  ["bin", "bin"],
  ["mail", "mail"],
  ["smmta", "Mail Transfer Agent"],
  ["smmsp", "Mail Submission"],
  ["mick", "Mick Bauer"],
  ["larry", "Larry Fine"],
  ["curly", "Curly Howard"],
  ["moe", "Moe Howard"],
  ["polkawrangler", ""],
  ["nobody", "nobody"],
];

const ACCOUNTS: ReadonlyMap<string, Account> = new Map(
  PEOPLE.map(([name, fullName], i) => [
    name,
    { name, uid: i, gid: i, fullName, home: `/home/${name}`, shell: "/bin/sh" },
  ]),
);

export const accounts: Accounts = {
  find(name): Lookup<Account> {
    const account = ACCOUNTS.get(name) ?? ACCOUNTS.get(name.toLowerCase());
    return account === undefined ? ABSENT : found(account);
  },
};

/** A path under /etc/mail as a file of the case folder; others are themselves. */
function inFolder(folder: string, path: string): string {
  return path.startsWith("/etc/mail/") ? join(folder, path.slice("/etc/mail/".length)) : path;
}

function readFileOf(folder: string, path: string): Lookup<Buffer> {
  const file = inFolder(folder, path);
  if (!existsSync(file)) return ABSENT;
  try {
    return found(readFileSync(file));
  } catch (e) {
    return tempfail(String(e));
  }
}

function openText(folder: string, spec: MapSpec): Table {
  const source = readFileOf(folder, spec.path.replace(/\.db$/, ""));
  if (source.kind === "found") return textTable(spec.path, source.value);
  return spec.optional
    ? EMPTY_TABLE
    : { name: spec.path, lookup: () => tempfail(`${spec.path}: No such file or directory`) };
}

function files(folder: string): RecipientFiles {
  return {
    include(path) {
      const text = readFileOf(folder, path);
      if (text.kind === "found")
        return { kind: "found", text: text.value.toString("latin1"), unsafe: false, controller: null };
      return { kind: "absent", reason: "No such file or directory" };
    },
    forward: () => ({ kind: "absent", reason: "No such file or directory" }),
    validShell: () => true,
  };
}

export interface Opened {
  readonly site: Site;
  readonly config: Configuration;
  readonly resolver: Resolver;
}

/** Compiles and opens the configuration in `folder`. Throws with the compiler's messages when it cannot. */
export function openCase(folder: string, zone: Zone): Opened {
  const path = join(folder, "sendmail.mc");
  const compiled = compileMc(path, (wanted) =>
    basename(wanted) === "sendmail.mc" ? found(readFileSync(path)) : readFileOf(folder, wanted),
  );
  if (compiled.configuration === null)
    throw new Error(`${path} does not compile: ${JSON.stringify(compiled.errors)}`);
  const config = compiled.configuration;
  const resolver = dataResolver(zone, HOSTS, ["polkatistas.org"]);
  const aliasFile = config.options.AliasFile[0] ?? "";
  const aliasText = aliasFile === "" ? ABSENT : readFileOf(folder, aliasFile);
  const opened = openSite(config, {
    openTable: (spec) => openText(folder, spec),
    readClass(file) {
      const text = readFileOf(folder, file.path);
      return text.kind === "found" ? found(parseClassFile(text.value)) : text;
    },
    aliases: aliasText.kind === "found" ? aliasTextTable(aliasFile, aliasText.value) : null,
    resolver,
    accounts,
    files: files(folder),
    hostName: HOST_NAME,
    localNames: LOCAL_NAMES,
  });
  if (!opened.ok) throw new Error(opened.error);
  return { site: opened.value, config, resolver };
}
