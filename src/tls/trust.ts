// Which TLS files may be used: Sendmail's rules (semantics 22) and its words for what is wrong with them.
// A key is for nobody but its owner to read (GroupReadableKeyFile lets the group); no TLS file is for group or others to write.

import type { Lookup } from "../base/result.ts";
import { errorText, type FileFacts, statPath } from "../sys/files.ts";

export type TlsPurpose = "key" | "certificate";

/** What DontBlameSendmail and the process's user allow. */
export interface TrustRules {
  readonly groupReadableKey: boolean;
  /** Users that may own TLS files; root always may. */
  readonly owners: readonly number[];
}

const GROUP_READ = 0o040;
const GROUP_WRITE = 0o020;
const OTHER_READ = 0o004;
const OTHER_WRITE = 0o002;

function wrongWith(facts: FileFacts, purpose: TlsPurpose, rules: TrustRules): string | null {
  if (facts.type !== "file") return "Regular files only";
  if ((facts.mode & GROUP_WRITE) !== 0) return "Group writable file";
  if ((facts.mode & OTHER_WRITE) !== 0) return "World writable file";
  if (facts.uid !== 0 && !rules.owners.includes(facts.uid)) return "Permission denied";
  if (purpose === "certificate") return null;
  if ((facts.mode & GROUP_READ) !== 0 && !rules.groupReadableKey) return "Group readable file";
  if ((facts.mode & OTHER_READ) !== 0) return "World readable file";
  return null;
}

/** The reason why the file must not be used, in Sendmail's words, or null. */
export function untrusted(path: string, purpose: TlsPurpose, rules: TrustRules): string | null {
  const facts: Lookup<FileFacts> = statPath(path);
  switch (facts.kind) {
    case "absent":
      return errorText("ENOENT");
    case "tempfail":
      return errorText(facts.reason.replace(/^.*: /, ""));
    case "found":
      return wrongWith(facts.value, purpose, rules);
  }
}
