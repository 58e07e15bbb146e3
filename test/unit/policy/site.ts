// A small site for policy tests: a sendmail.mc and an access table from text, the reference's DNS data.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Client } from "../../../src/policy/policy.ts";
import type { Site } from "../../../src/route/site.ts";
import { readZone } from "../../oracle/resolver.ts";
import { openCase } from "../../oracle/site.ts";

const ZONE = readZone(join(import.meta.dirname, "../../oracle/recorded/dns.json"));
const ACCESS = "FEATURE(`access_db', `hash -T<TMPF> -o /etc/mail/access.db')dnl";

/** The site of these lines of a .mc (between OSTYPE and MAILER) and this access table. */
export function siteOf(lines: string, access = "", accessFeature = ACCESS): Site {
  const folder = mkdtempSync(join(tmpdir(), "postern-policy-"));
  try {
    const mc = [
      "include(`/usr/share/sendmail/cf/m4/cf.m4')",
      "VERSIONID(`test')dnl",
      "OSTYPE(`linux')dnl",
      "FEATURE(`nouucp', `reject')dnl",
      accessFeature,
      lines,
      "MAILER(`local')dnl",
      "MAILER(`smtp')dnl",
      "",
    ];
    writeFileSync(join(folder, "sendmail.mc"), mc.join("\n"));
    writeFileSync(join(folder, "access"), access);
    writeFileSync(join(folder, "aliases"), "postmaster: root\nroot: mick\n");
    return openCase(folder, ZONE).site;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** A client with a confirmed name. */
export function client(address: string, more: Partial<Client> = {}): Client {
  return {
    address,
    name: `[${address}]`,
    resolve: "fail",
    helo: "client.test",
    daemon: "MTA",
    modifiers: "",
    localAddress: "127.0.0.2",
    localPort: 25,
    ...more,
  };
}
