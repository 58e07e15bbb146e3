// What `postern check` says about the TLS files of a configuration, without starting anything: rules, keys that do not fit, ends of validity.
// All of it are warnings: such files switch TLS off, the gateway runs.

import type { Options } from "../config/options.ts";
import { EXPIRY_WARNING_DAYS, expiryWarnings } from "./expiry.ts";
import { filesOf, readMaterial, type Side } from "./material.ts";
import type { TrustRules } from "./trust.ts";

/** One line for each thing that is wrong; `options` with the paths to look at. */
export function inspectTls(
  options: Options,
  owners: readonly number[],
  now: { readonly ms: number; readonly trusted: boolean },
): readonly string[] {
  const rules: TrustRules = {
    groupReadableKey: options.DontBlameSendmail.some((w) => w.toLowerCase() === "groupreadablekeyfile"),
    owners,
  };
  const lines: string[] = [];
  const sides: Side[] = ["server", "client"];
  for (const side of sides) {
    const files = filesOf(options, side);
    if (files.certificates.length + files.keys.length === 0) continue;
    const read = readMaterial(files, rules, new Map());
    if (!read.ok) lines.push(read.error);
    else lines.push(...read.value.notes);
    lines.push(...expiryWarnings(files.certificates, now, EXPIRY_WARNING_DAYS));
  }
  return [...new Set(lines)];
}
