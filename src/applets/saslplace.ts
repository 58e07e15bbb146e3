// Where the saslpasswd family finds its file, realm and mechanisms: the mail configuration's when there is one, else the usual places.
// It must agree with the daemon: the realm is AuthRealm or $j, the file lies beside sendmail.mc.

import { readyConfiguration } from "../daemon/load.ts";
import type { PasswdPlace } from "../sasl/passwd.ts";
import { needsSecret } from "../sasl/service.ts";
import { fullHostName } from "../sys/interfaces.ts";
import { joinPath } from "../sys/path.ts";
import { currentUser, hostName } from "../sys/process.ts";
import { EX } from "./applet.ts";

const FILE = "sasldb.json";

/** DefaultUser "8:12", "8.12" as numbers; null for names (then the file stays root's). */
function numbers(user: string): { readonly uid: number; readonly gid: number } | null {
  const m = /^(\d+)[:.](\d+)$/.exec(user);
  return m === null ? null : { uid: Number(m[1]), gid: Number(m[2]) };
}

export interface SaslPlace extends PasswdPlace {
  /** Lines for standard error: why the configuration that is there could not be asked. */
  readonly notices: readonly string[];
}

/** `configuration`: -C; `file`: -f. */
export function saslPlace(configuration: string | null, file: string | null): SaslPlace {
  const own = fullHostName(hostName(), "/etc/hosts");
  const ready = readyConfiguration(configuration);
  if (!ready.ok) {
    const folder = configuration ?? "/etc/mail";
    const missing = ready.error.exit === EX.OSFILE;
    const notices = missing ? [] : [...ready.error.lines, `the realm is taken to be ${own}`];
    return { path: file ?? joinPath(folder, FILE), realm: own, keepSecret: true, notices };
  }
  const { options, domainName } = ready.value.configuration;
  const owner = currentUser().uid === 0 ? numbers(options.DefaultUser) : null;
  return {
    path: file ?? joinPath(ready.value.found.mail, FILE),
    realm: options.AuthRealm !== "" ? options.AuthRealm : domainName !== "" ? domainName : own,
    keepSecret: needsSecret(options.AuthMechanisms),
    notices: [],
    ...(owner === null ? {} : { owner }),
  };
}
