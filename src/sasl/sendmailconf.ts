// Sendmail.conf, the SASL library's configuration of this application: `pwcheck_method: sasldb` and its few companions.
// What Postern cannot do is an error by name (contract section 8): Kerberos and LDAP are never silently ignored.

import { err, ok, type Result } from "../base/result.ts";

/** Where the word of a password is asked for: the credentials file, saslauthd's socket, or the system's accounts. */
export type PasswordSource = "sasldb" | "saslauthd" | "pam";

export interface SaslConf {
  /** In the order to ask; never empty. */
  readonly sources: readonly PasswordSource[];
  /** mech_list narrows confAUTH_MECHANISMS; null: it does not. */
  readonly mechanisms: readonly string[] | null;
  /** saslauthd_path, "" for the default. */
  readonly saslauthdPath: string;
  /** Directives that mean nothing here, `line: text`. */
  readonly warnings: readonly string[];
}

/** Without the file: the SASL library's default. */
export const DEFAULT_CONF: SaslConf = {
  sources: ["sasldb"],
  mechanisms: null,
  saslauthdPath: "",
  warnings: [],
};

/** Folders where SASL libraries have looked for it, after the mail configuration's own. */
export const CONF_PATHS: readonly string[] = [
  "/etc/sasl2/Sendmail.conf",
  "/usr/lib/sasl2/Sendmail.conf",
  "/usr/lib/sasl/Sendmail.conf",
];

const METHODS = new Map<string, PasswordSource>([
  ["sasldb", "sasldb"],
  ["auxprop", "sasldb"],
  ["saslauthd", "saslauthd"],
  ["pam", "pam"],
  ["passwd", "pam"],
  ["shadow", "pam"],
  ["getpwent", "pam"],
]);

const REFUSED = new Map([
  ["kerberos_v4", "Kerberos is not part of Postern"],
  ["kerberos5", "Kerberos is not part of Postern"],
  ["gssapi", "Kerberos is not part of Postern"],
  ["ldap", "LDAP is not part of Postern"],
  ["pwcheck", "the pwcheck daemon is long gone; use saslauthd"],
  ["alwaystrue", "everybody would be let in"],
]);

const IDLE = new Set([
  "log_level",
  "auto_transition",
  "sasldb_path",
  "pwcheck_path",
  "srp_mda",
  "opiekeys",
  "keytab",
]);

export interface ConfError {
  readonly line: number;
  readonly message: string;
}

function words(value: string): readonly string[] {
  return value.split(/[\s,]+/).filter((word) => word !== "");
}

/** Reads the text of a Sendmail.conf. */
export function parseSaslConf(text: string): Result<SaslConf, ConfError> {
  let sources: PasswordSource[] = [];
  let mechanisms: readonly string[] | null = null;
  let saslauthdPath = "";
  const warnings: string[] = [];
  for (const [i, raw] of text.split("\n").entries()) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) continue;
    const fail = (message: string) => err({ line: i + 1, message });
    const m = /^([A-Za-z0-9_]+)\s*:\s*(.*)$/.exec(line);
    if (m === null) return fail(`not "name: value": ${line.slice(0, 60)}`);
    const name = (m[1] ?? "").toLowerCase();
    const value = m[2] ?? "";
    if (name === "pwcheck_method") {
      sources = [];
      for (const method of words(value.toLowerCase())) {
        const source = METHODS.get(method);
        if (source === undefined)
          return fail(`pwcheck_method ${method}: ${REFUSED.get(method) ?? "no such method"}`);
        if (!sources.includes(source)) sources.push(source);
      }
      if (sources.length === 0) return fail("pwcheck_method names no method");
    } else if (name === "auxprop_plugin") {
      const other = words(value.toLowerCase()).find((plugin) => plugin !== "sasldb");
      if (other !== undefined)
        return fail(
          `auxprop_plugin ${other}: ${/ldap/.test(other) ? "LDAP is not part of Postern" : "only sasldb is there"}`,
        );
    } else if (name === "mech_list") mechanisms = words(value.toUpperCase());
    else if (name === "saslauthd_path") saslauthdPath = value;
    else if (name.startsWith("ldapdb_") || name.startsWith("ldap_"))
      return fail("LDAP is not part of Postern");
    else warnings.push(`${i + 1}: ${name} ${IDLE.has(name) ? "means nothing here" : "is not known"}`);
  }
  return ok({
    sources: sources.length === 0 ? DEFAULT_CONF.sources : sources,
    mechanisms,
    saslauthdPath,
    warnings,
  });
}
