// TLS of the client side: the handshake from tls/, the access table's rules from policy/.
// Refusals keep the words and the class (temporary or not) that the rules gave.

import { err, found } from "../base/result.ts";
import type { TlsFacts, TlsNeeds, TlsRefusal } from "../deliver/needs.ts";
import type { Decision } from "../policy/decision.ts";
import { checkTlsRecipient, checkTlsServer, type PeerTls, wantsTls } from "../policy/tlsrules.ts";
import type { Site } from "../route/site.ts";
import type { ClientTls } from "../tls/context.ts";

function peerOf(facts: TlsFacts): PeerTls {
  return {
    verify: facts.verify,
    bits: facts.bits,
    cnSubject: facts.cnSubject,
    certSubject: facts.certSubject,
    certIssuer: facts.certIssuer,
  };
}

function refusalOf(decision: Decision): TlsRefusal | null {
  if (decision.kind !== "refuse") return null;
  const { code, enhanced, lines } = decision.reply;
  return { code, status: enhanced, text: lines.join(" ") };
}

/** `tls` null: a build without that side; its hosts are asked in the open, and rules that ask for TLS refuse them. */
export function makeTlsNeeds(site: () => Site, tls: ClientTls | null): TlsNeeds {
  return {
    wanted: (name, address) => (tls === null ? found(false) : wantsTls(site(), name, address)),
    async upgrade(socket, name, timeoutMs) {
      if (tls === null) return err("TLS is not in this build");
      const done = await tls.upgrade(socket, name, timeoutMs);
      return done.ok ? { ok: true, value: { socket: done.value.socket, facts: done.value.facts } } : done;
    },
    checkServer: (name, address, facts) => refusalOf(checkTlsServer(site(), name, address, peerOf(facts))),
    checkRecipient: async (recipient, name, facts) =>
      refusalOf(await checkTlsRecipient(site(), recipient, name, peerOf(facts))),
    get recipientRules() {
      return site().tables.access !== null;
    },
  };
}
