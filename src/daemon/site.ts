// The site of a configuration on this machine: tables opened, class files read, aliases, resolver, accounts, our own names.
// Built at start and at every reload; the old one is closed when nothing uses it any more.

import { BUILD } from "../base/build.ts";
import { ABSENT, found, type Result, tempfail } from "../base/result.ts";
import type { Configuration } from "../config/configuration.ts";
import { type Found, realPathOf } from "../config/folder.ts";
import { aliasSpec, openAliases } from "../map/aliases.ts";
import { readClassFile } from "../map/classfile.ts";
import { type OpenTable, openTable } from "../map/open.ts";
import { openSite, type Site } from "../route/site.ts";
import type { Clock } from "../sys/clock.ts";
import { DnsResolver } from "../sys/dnsresolver.ts";
import { statPath } from "../sys/files.ts";
import { PasswdFile } from "../sys/identity.ts";
import { fullHostName, interfaceNames } from "../sys/interfaces.ts";
import { joinPath } from "../sys/path.ts";
import { hostName } from "../sys/process.ts";
import type { Resolver } from "../sys/resolver.ts";
import { makeRecipientFiles } from "./recipientfiles.ts";

/** Where the machine keeps what is not in the configuration; tests and the oracle give others. */
export interface Machine {
  readonly hostsFile: string;
  readonly resolvConf: string;
  readonly passwdFile: string;
  /** Instead of the servers of resolv.conf; empty: those. */
  readonly nameServers: readonly string[];
}

export interface OpenedSite {
  readonly site: Site;
  /** What an administrator should know about tables now. */
  notices(): readonly string[];
  close(): void;
}

/** This machine; a board's accounts are those of its configuration (system/passwd). */
export function thisMachine(found_: Found, environment: ReadonlyMap<string, string>): Machine {
  const passwd = found_.root === null ? "" : joinPath(found_.root, "system/passwd");
  const own = passwd !== "" && BUILD.board !== "host" && statPath(passwd).kind === "found";
  return {
    hostsFile: "/etc/hosts",
    resolvConf: "/etc/resolv.conf",
    passwdFile: own ? passwd : "/etc/passwd",
    nameServers: (environment.get("POSTERN_NAMESERVERS") ?? "").split(" ").filter((s) => s !== ""),
  };
}

export function resolverFor(configuration: Configuration, machine: Machine, clock: Clock): Resolver {
  return new DnsResolver(clock, {
    retransMs: configuration.options["Timeout.resolver.retrans"],
    retries: configuration.options["Timeout.resolver.retry"],
    hostsFile: machine.hostsFile,
    resolvConf: machine.resolvConf,
    servers: machine.nameServers,
  });
}

/** Opens everything; the error is one line, worded as Sendmail's (a class file that cannot be read stops the start). */
export function openSiteHere(
  configuration: Configuration,
  where: Found,
  machine: Machine,
  resolver: Resolver,
): Result<OpenedSite> {
  const opened: OpenTable[] = [];
  const keep = (table: OpenTable): OpenTable => {
    opened.push(table);
    return table;
  };
  const short = hostName();
  const own = fullHostName(short, machine.hostsFile);
  const passwd = new PasswdFile(machine.passwdFile);
  const aliasFiles = configuration.options.AliasFile;
  const trust = { dontBlame: configuration.options.DontBlameSendmail };
  const names = new Set(
    [...(configuration.classes["w"] ?? []), own, short, "localhost"].map((n) => n.toLowerCase()),
  );
  // `define(`confDOMAIN_NAME', `$w.example.com')` names the host by its first label.
  const domainName = configuration.domainName.replaceAll("$w", short.split(".")[0] ?? short);
  const site = openSite(
    { ...configuration, domainName },
    {
      openTable: (spec) => keep(openTable(spec, undefined, trust)),
      readClass: (file) => {
        const names = readClassFile(file.path, file.optional, trust);
        if (names.ok) return found(names.value);
        return names.error.endsWith("No such file or directory")
          ? ABSENT
          : tempfail(names.error.replace(/^.*?: /, ""));
      },
      aliases:
        aliasFiles.length === 0
          ? null
          : keep(
              openAliases(
                aliasFiles.map(aliasSpec),
                (host) => names.has(host.toLowerCase()),
                undefined,
                trust,
              ),
            ),
      resolver,
      accounts: passwd,
      files: makeRecipientFiles(
        configuration.options.DontBlameSendmail,
        (path) => realPathOf(where.mail, path),
        passwd,
      ),
      hostName: own,
      localNames: interfaceNames(machine.hostsFile, own),
    },
  );
  const close = (): void => {
    for (const table of opened) table.close();
  };
  if (!site.ok) {
    close();
    return site;
  }
  return {
    ok: true,
    value: { site: site.value, notices: () => opened.flatMap((table) => table.notices()), close },
  };
}
