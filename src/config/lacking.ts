// What a compiled configuration asks for and this build has not: the compiled form may come from a machine with more built in.
// The words are those of the compiler (mcstate.ts, BuildFacts), so that both forms are refused alike. What nobody asked for by
// name (the default listeners, the local mailer, the default list of AUTH mechanisms) is no reason to refuse.

import type { Configuration, MailerSpec } from "./configuration.ts";
import type { BuildFacts } from "./mcstate.ts";

type Wanted = readonly [symbol: string, what: string];

function mailerNeeds(spec: MailerSpec): Wanted | null {
  const { name, kind } = spec;
  const network = spec.path.startsWith("[");
  if (kind === "smtp") return ["MAILER_SMTP", "MAILER(smtp)"];
  if (kind === "lmtp" && network)
    return ["MAILER_LMTP", name === "local" ? "FEATURE(local_lmtp)" : `MAILER(${name})`];
  if (kind === "procmail" && name !== "local") return ["MAILER_PROCMAIL", `MAILER(${name})`];
  return null;
}

function wanted(configuration: Configuration): Wanted[] {
  const { features, options } = configuration;
  const list = configuration.mailers.map(mailerNeeds).filter((need) => need !== null);
  const add = (asked: boolean, symbol: string, what: string): void => {
    if (asked) list.push([symbol, what]);
  };
  add(features.localProcmail?.fromOstype === false, "MAILER_PROCMAIL", "FEATURE(local_procmail)");
  const program = configuration.mailers.find((spec) => spec.name === "local" && spec.kind === "procmail");
  const own = program !== undefined && program.path !== features.localProcmail?.path;
  add(own, "MAILER_PROCMAIL", "LOCAL_MAILER_PATH with a program");
  add(features.smrsh !== null, "MAILER_PROG", "FEATURE(smrsh)");
  for (const { enhanced } of features.dnsbl)
    add(true, "POLICY_DNSBL", enhanced ? "FEATURE(enhdnsbl)" : "FEATURE(dnsbl)");
  add(features.greetPauseMs !== null, "POLICY_GREET_PAUSE", "FEATURE(greet_pause)");
  add(features.rateControl !== null, "POLICY_RATES", "FEATURE(ratecontrol)");
  add(features.connControl !== null, "POLICY_RATES", "FEATURE(conncontrol)");
  add(options.ServerCertFile !== "", "TLS_SERVER", "confSERVER_CERT");
  add(options.ClientCertFile !== "", "TLS_CLIENT", "confCLIENT_CERT");
  return list;
}

/** "MAILER(procmail) is not in this build (board relay-tiny)", one for each thing; empty when all is there. */
export function lackingParts(configuration: Configuration, build: BuildFacts): readonly string[] {
  const lacking = wanted(configuration)
    .filter(([symbol]) => !build.available(symbol))
    .map(([, what]) => build.missing(what));
  return [...new Set(lacking)];
}
