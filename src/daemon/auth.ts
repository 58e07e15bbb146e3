// AUTH of a configuration: Sendmail.conf and sasldb.json found beside sendmail.mc (or where SASL libraries look), accounts of a board.
// A Sendmail.conf that asks for what Postern cannot do switches AUTH off and says so; the rest of the gateway runs.

import { BUILD } from "../base/build.ts";
import type { Site } from "../route/site.ts";
import { mechanismNamed } from "../sasl/registry.ts";
import { CONF_PATHS, DEFAULT_CONF, parseSaslConf, type SaslConf } from "../sasl/sendmailconf.ts";
import { makeSaslServer, plaintextWithoutTls } from "../sasl/service.ts";
import type { ServerAuth } from "../smtpd/service.ts";
import { readFileLookup } from "../sys/files.ts";
import { joinPath } from "../sys/path.ts";
import type { Surroundings } from "./gateway.ts";
import type { Ready } from "./load.ts";

/** The first Sendmail.conf that is there, parsed; null when it cannot be honoured (the log has the reason). */
function readConf(ready: Ready, around: Surroundings): SaslConf | null {
  for (const path of [joinPath(ready.found.mail, "Sendmail.conf"), ...CONF_PATHS]) {
    const text = readFileLookup(path);
    if (text.kind === "absent") continue;
    if (text.kind === "tempfail") {
      around.log.line(1, `AUTH: ${text.reason}`);
      return null;
    }
    const parsed = parseSaslConf(text.value.toString("utf8"));
    if (!parsed.ok) {
      around.log.line(1, `AUTH: ${path}:${parsed.error.line}: ${parsed.error.message}`);
      return null;
    }
    for (const warning of parsed.value.warnings) around.log.line(5, `AUTH: ${path}:${warning}`);
    return parsed.value;
  }
  return DEFAULT_CONF;
}

function showsPassword(name: string): boolean {
  return mechanismNamed(name)?.plaintext === true;
}

export function makeServerAuth(ready: Ready, site: Site, around: Surroundings): ServerAuth | null {
  const { options } = ready.configuration;
  const conf = readConf(ready, around);
  if (conf === null || options.AuthMechanisms.length === 0) return null;
  if (plaintextWithoutTls(options) && options.AuthMechanisms.some(showsPassword))
    around.log.line(
      5,
      `AUTH: AuthOptions=${options.AuthOptions} has no p: mechanisms that show the password are offered without TLS too`,
    );
  const folder = ready.found.root === null ? "/etc" : joinPath(ready.found.root, "system");
  return makeSaslServer({
    options,
    conf,
    host: site.j,
    storePath: joinPath(ready.found.mail, "sasldb.json"),
    accounts:
      BUILD.board === "host"
        ? null
        : { passwd: around.machine.passwdFile, shadow: joinPath(folder, "shadow") },
    ownName: (name) => site.classes.w.has(name),
    entropy: around.entropy,
  });
}
