// What `postern check` says about Sendmail.conf: what Postern cannot do is an error, what means nothing here a warning.
// Kerberos is dropped from mech_list with a warning, and is an error as pwcheck_method (sendmail.mc's lists are the compiler's).

import { notInBuild } from "../base/build.ts";
import { mechanismNamed } from "./registry.ts";
import { parseSaslConf } from "./sendmailconf.ts";

export interface SaslFinding {
  /** An error; otherwise a warning. */
  readonly fatal: boolean;
  /** Line in Sendmail.conf, 0 when it has none. */
  readonly line: number;
  readonly message: string;
}

/** What Postern has when nothing is left out. */
const WHOLE = new Set([
  "EXTERNAL",
  "SCRAM-SHA-1",
  "SCRAM-SHA-256",
  "DIGEST-MD5",
  "CRAM-MD5",
  "PLAIN",
  "LOGIN",
]);

/** Findings about names of mechanisms. */
function inspectMechanisms(where: string, names: readonly string[]): readonly SaslFinding[] {
  return names
    .filter((name) => mechanismNamed(name) === undefined)
    .map((name) => {
      const upper = name.toUpperCase();
      const why = /^(GSSAPI|KERBEROS|GSS-SPNEGO)/.test(upper)
        ? `${upper}: Kerberos is not part of Postern`
        : WHOLE.has(upper)
          ? notInBuild(`AUTH mechanism ${upper}`)
          : `${name.slice(0, 40)}: no such AUTH mechanism here`;
      return { fatal: false, line: 0, message: `${where}: ${why}; dropped from the list` };
    });
}

/** Findings about the text of a Sendmail.conf. */
export function inspectSaslConf(text: string): readonly SaslFinding[] {
  const parsed = parseSaslConf(text);
  if (!parsed.ok) return [{ fatal: true, line: parsed.error.line, message: parsed.error.message }];
  const warnings = parsed.value.warnings.map((warning) => {
    const at = warning.indexOf(": ");
    return { fatal: false, line: Number(warning.slice(0, at)), message: warning.slice(at + 2) };
  });
  const { mechanisms } = parsed.value;
  return [...warnings, ...inspectMechanisms("mech_list", mechanisms ?? [])];
}
