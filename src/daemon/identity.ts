// sendmail -d0.1: version, what is built in, and who we think we are. Administrators' scripts read the version and $j from it, so the
// lines are Sendmail's.

import { inBuild } from "../base/build.ts";
import { fullHostName } from "../sys/interfaces.ts";
import { hostName } from "../sys/process.ts";
import type { Job } from "./commands.ts";
import { thisMachine } from "./site.ts";
import { GATEWAY_VERSION } from "./version.ts";

/** Sendmail's names for what is built in, with the symbol that takes it out; "" for what is always there. */
const COMPILED: readonly (readonly [name: string, symbol: string])[] = [
  ["DNSMAP", ""],
  ["LOG", ""],
  ["MIME7TO8", ""],
  ["MIME8TO7", ""],
  ["NAMED_BIND", ""],
  ["NETINET", ""],
  ["NETINET6", ""],
  ["NETUNIX", ""],
  ["PIPELINING", ""],
  ["SASLv2", "LISTENER"],
  ["STARTTLS", "TLS_SERVER"],
  ["TLS_EC", "TLS_SERVER"],
];

/** Is -d0 asked for (-d, -d0, -d0.1 and more)? */
export function wantsIdentity(debug: readonly string[]): boolean {
  return debug.some((spec) => spec.split(",").some((part) => /^(0(-\d+)?(\.\d*[1-9]\d*)?)?$/.test(part)));
}

export function identityText(job: Job): string {
  const { configuration, found } = job.ready;
  const own =
    configuration.domainName === ""
      ? fullHostName(hostName(), thisMachine(found, job.environment).hostsFile)
      : configuration.domainName;
  const dot = own.indexOf(".");
  const has = COMPILED.filter(([, symbol]) => symbol === "" || inBuild(symbol)).map(([name]) => name);
  return [
    `Version ${GATEWAY_VERSION}`,
    ` Compiled with: ${has.slice(0, 8).join(" ")}`,
    `\t\t${has.slice(8).join(" ")}`,
    "",
    "============ SYSTEM IDENTITY (after readcf) ============",
    `      (short domain name) $w = ${dot < 0 ? own : own.slice(0, dot)}`,
    `  (canonical domain name) $j = ${own}`,
    `         (subdomain name) $m = ${dot < 0 ? "" : own.slice(dot + 1)}`,
    `              (node name) $k = ${hostName()}`,
    "========================================================",
    "",
    "",
  ].join("\n");
}
