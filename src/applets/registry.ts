// Every command, one line each; a board's flags drop lines (see scripts/features.ts).
// The module of an applet is loaded when it is called.

import type { Applet } from "./applet.ts";

export interface AppletEntry {
  readonly names: readonly string[];
  readonly summary: string;
  load(): Promise<Applet>;
}

const entry = (names: string, summary: string, load: () => Promise<Applet>): AppletEntry => ({
  names: names.split(" "),
  summary,
  load,
});

// biome-ignore format: one line each, the mark at the end
export const APPLETS: readonly AppletEntry[] = [
  entry("sendmail smtpd", "Sendmail's command: deliver, daemon, queue, verify", async () => (await import("./sendmail.ts")).sendmail),
  entry("cert", "a small certificate authority", async () => (await import("./cert.ts")).cert), // CONFIG_APPLET_CERT
  entry("check", "say every error of a configuration", async () => (await import("./check.ts")).check), // CONFIG_APPLET_CHECK
  entry("config", "make, show and verify configuration images", async () => (await import("./config.ts")).config), // CONFIG_APPLET_CHECK
  entry("editmap", "query or edit one record of a lookup table", async () => (await import("./editmap.ts")).editmap), // CONFIG_APPLET_TABLES
  entry("features", "what this build contains and what it lacks", async () => (await import("./features.ts")).features),
  entry("hoststat purgestat", "what is known of next hops; purgestat forgets it", async () => (await import("./hoststat.ts")).hoststat), // CONFIG_APPLET_STATUS
  entry("m4", "compile sendmail.mc to sendmail.cf", async () => (await import("./m4.ts")).m4), // CONFIG_APPLET_CHECK
  entry("mailq", "list the queue", async () => (await import("./sendmail.ts")).sendmail), // CONFIG_APPLET_MAILQ
  entry("mail.local", "put a message into mailboxes", async () => (await import("./maillocal.ts")).maillocal), // CONFIG_APPLET_MAIL_LOCAL
  entry("mailstats", "counts of messages and bytes by mailer", async () => (await import("./mailstats.ts")).mailstats), // CONFIG_APPLET_STATUS
  entry("make", "rebuild tables that are older than their text", async () => (await import("./make.ts")).make), // CONFIG_APPLET_TABLES
  entry("makemap", "build a lookup table from text", async () => (await import("./makemap.ts")).makemap), // CONFIG_APPLET_TABLES
  entry("newaliases", "rebuild the alias databases", async () => (await import("./newaliases.ts")).newaliases), // CONFIG_APPLET_TABLES
  entry("praliases", "print the alias databases", async () => (await import("./praliases.ts")).praliases), // CONFIG_APPLET_TABLES
  entry("sasldblistusers sasldblistusers2", "list the users of SMTP AUTH", async () => (await import("./sasldblistusers.ts")).sasldblistusers), // CONFIG_APPLET_SASL
  entry("saslpasswd saslpasswd2", "set the password of an SMTP AUTH user", async () => (await import("./saslpasswd.ts")).saslpasswd), // CONFIG_APPLET_SASL
  entry("smrsh", "run a program that mail may run", async () => (await import("./smrsh.ts")).smrsh), // CONFIG_APPLET_SMRSH
  entry("spool", "list, show, hold, release, delete messages of the queue", async () => (await import("./spool.ts")).spool), // CONFIG_APPLET_SPOOL
  entry("trace", "explain a decision, or the life of a message", async () => (await import("./trace.ts")).trace), // CONFIG_APPLET_TRACE
  entry("upgrade sysupgrade", "install a signed system into the other slot", async () => (await import("./upgrade.ts")).upgrade), // CONFIG_APPLET_UPGRADE
  entry("version", "version and board of this binary", async () => (await import("./version.ts")).version),
];
