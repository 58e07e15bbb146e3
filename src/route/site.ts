// Everything a decision is made from: the configuration, our names and classes, the open tables, DNS and accounts, in one object that
// is built at start (or reload) and never changes. Class w is filled as Sendmail fills it (semantics section 4, end).

import { err, type Lookup, ok, type Result } from "../base/result.ts";
import type { ClassFile, Configuration, MailerSpec, MapSpec } from "../config/configuration.ts";
import type { Routing } from "../mail/focus.ts";
import type { Table } from "../map/table.ts";
import type { Resolver } from "../sys/resolver.ts";
import type { Accounts, RecipientFiles } from "./account.ts";
import { NameSet } from "./names.ts";

export type { Account, Accounts, Controller, RecipientFile, RecipientFiles } from "./account.ts";

/** The classes that the rules ask; all are there, empty when nothing names them. */
export interface Classes {
  readonly w: NameSet;
  readonly R: NameSet;
  readonly M: NameSet;
  readonly N: NameSet;
  readonly E: NameSet;
  readonly G: NameSet;
  readonly VirtHost: NameSet;
  readonly L: NameSet;
  readonly P: NameSet;
  readonly t: NameSet;
  readonly TrustAuthMech: NameSet;
  readonly Canonify: NameSet;
}

/** Tables by feature; null: the feature is not configured (absent and "has no such key" differ). */
export interface Tables {
  readonly access: Table | null;
  readonly mailer: Table | null;
  readonly virtuser: Table | null;
  readonly domain: Table | null;
  readonly generics: Table | null;
  readonly authInfo: Table | null;
}

export interface Site {
  readonly config: Configuration;
  /** $j, our full host name. */
  readonly j: string;
  /** $m, $j without its first label. */
  readonly m: string;
  /** $M, "" when nothing is masqueraded. */
  readonly masquerade: string;
  readonly classes: Classes;
  readonly tables: Tables;
  readonly aliases: Table | null;
  readonly resolver: Resolver;
  readonly accounts: Accounts;
  readonly files: RecipientFiles;
  readonly routing: Routing;
  readonly mailers: ReadonlyMap<string, MailerSpec>;
}

export interface SiteDeps {
  openTable(spec: MapSpec): Table;
  /** Names of a class file; absent when the file does not exist. */
  readClass(file: ClassFile): Lookup<readonly string[]>;
  /** The alias database, null when there is none (nullclient). */
  readonly aliases: Table | null;
  readonly resolver: Resolver;
  readonly accounts: Accounts;
  readonly files: RecipientFiles;
  /** The host's full name, used when DOMAIN_NAME is not defined. */
  readonly hostName: string;
  /** Interface addresses as "[127.0.0.1]" and the names that the hosts file gives them. */
  readonly localNames: readonly string[];
}

function mutableClasses(config: Configuration) {
  const from = (name: string) => new NameSet(Object.hasOwn(config.classes, name) ? config.classes[name] : []);
  return {
    w: from("w"),
    R: from("R"),
    M: from("M"),
    N: from("N"),
    E: from("E"),
    G: from("G"),
    VirtHost: from("VirtHost"),
    L: from("L"),
    P: from("P"),
    t: from("t"),
    TrustAuthMech: from("TrustAuthMech"),
    Canonify: from("Canonify"),
  };
}

function isClassName(classes: Classes, name: string): name is keyof Classes {
  return Object.hasOwn(classes, name);
}

/** Reads the class files; the first one that cannot be read is the error, worded as Sendmail's. */
function fillFromFiles(config: Configuration, classes: Classes, deps: SiteDeps): Result<true> {
  for (const file of config.classFiles) {
    const names = deps.readClass(file);
    if (names.kind === "tempfail") return err(`fileclass: cannot open '${file.path}': ${names.reason}`);
    if (names.kind === "absent") {
      if (file.optional) continue;
      return err(`fileclass: cannot open '${file.path}': No such file or directory`);
    }
    if (!isClassName(classes, file.class)) continue;
    for (const name of names.value) classes[file.class].add(name);
  }
  return ok(true);
}

/** Builds the site. Errors are one line for the log; the old site keeps running then. */
export function openSite(config: Configuration, deps: SiteDeps): Result<Site> {
  const j = config.domainName === "" ? deps.hostName : config.domainName;
  const dot = j.indexOf(".");
  const m = dot < 0 ? "" : j.slice(dot + 1);
  const classes = mutableClasses(config);
  const first = dot < 0 ? j : j.slice(0, dot);
  for (const name of [j, first, "localhost"]) classes.w.add(name);
  if (!config.options.DontProbeInterfaces) for (const name of deps.localNames) classes.w.add(name);
  const filled = fillFromFiles(config, classes, deps);
  if (!filled.ok) return filled;
  // Virtual domains may be relayed to: they are ours to route.
  if (config.features.virtUserTable !== null)
    for (const name of classes.VirtHost.values()) classes.R.add(name);
  if (config.features.redirect) classes.P.add("REDIRECT");
  // block_bad_helo exempts the host itself, and refuses its literal names as HELO.
  if (config.features.blockBadHelo) {
    for (const name of ["127.0.0.1", "IPv6:0:0:0:0:0:0:0:1", "IPv6:::1"]) {
      classes.R.add(name);
      classes.w.add(`[${name}]`);
    }
  }
  const open = (spec: MapSpec | null | undefined): Table | null => (spec ? deps.openTable(spec) : null);
  const features = config.features;
  return ok({
    config,
    j,
    m,
    masquerade: config.masqueradeAs,
    classes,
    tables: {
      access: open(features.accessDb?.map),
      mailer: open(features.mailerTable),
      virtuser: open(features.virtUserTable),
      domain: open(features.domainTable),
      generics: open(features.genericsTable),
      authInfo: open(features.authInfo),
    },
    aliases: deps.aliases,
    resolver: deps.resolver,
    accounts: deps.accounts,
    files: deps.files,
    routing: { uucp: features.noUucp === "off", percent: features.noPercentHack === "off" },
    mailers: new Map(config.mailers.map((mailer) => [mailer.name, mailer])),
  });
}
