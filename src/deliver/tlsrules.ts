// The TLS rules of the access table as a session asks them: Try_TLS, TLS_Srv, TLS_Rcpt (semantics section 22).
// Only shapes change here; policy/ decides and tls/ shakes hands.

import { ok } from "../base/result.ts";
import type { Decision } from "../policy/decision.ts";
import { checkTlsRecipient, checkTlsServer, wantsTls } from "../policy/tlsrules.ts";
import type { Site } from "../route/site.ts";
import type { ClientTls } from "../tls/context.ts";
import type { TlsNeeds, TlsRefusal } from "./needs.ts";

function refusalOf(decision: Decision): TlsRefusal | null {
  if (decision.kind !== "refuse") return null;
  const { code, enhanced, lines } = decision.reply;
  return {
    code,
    status: enhanced === "" ? `${Math.trunc(code / 100)}.7.0` : enhanced,
    text: lines.join(" "),
  };
}

/** tls: null when this build or configuration has no TLS towards next hops; the rules hold all the same. */
export function tlsNeeds(site: () => Site, tls: ClientTls | null): TlsNeeds {
  return {
    wanted: (name, address) =>
      tls === null ? { kind: "found", value: false } : wantsTls(site(), name, address),
    async upgrade(socket, name, timeoutMs) {
      if (tls === null) return { ok: false, error: "TLS is not available" };
      const done = await tls.upgrade(socket, name, timeoutMs);
      return done.ok ? ok({ socket: done.value.socket, facts: done.value.facts }) : done;
    },
    checkServer: (name, address, facts) => refusalOf(checkTlsServer(site(), name, address, facts)),
    checkRecipient: async (recipient, name, facts) =>
      refusalOf(await checkTlsRecipient(site(), recipient, name, facts)),
    // Without an access table there are no such rules.
    get recipientRules() {
      return site().tables.access !== null;
    },
  };
}
