// TLS towards clients: the handshake of STARTTLS and of listeners that begin with TLS, with the certificate that fits the name asked for.
// Without a certificate and a key there is no such side; files that fail their rules switch it off (context.ts).

import type { Options } from "../config/options.ts";
import { acceptTls, type SecureContext } from "../sys/tls.ts";
import { isDuplex, Keeper, type ServerTls, type TlsSurroundings, tellTime } from "./context.ts";
import { factsOf } from "./facts.ts";

/** The server side. Without ServerCertFile and ServerKeyFile there is none, and nothing is logged. */
export function loadServerTls(options: Options, around: TlsSurroundings): ServerTls | null {
  if (options.ServerCertFile === "" && options.ServerKeyFile === "") return null;
  const keeper = new Keeper(options, "server", around);
  const asksCertificate = !options.TLSSrvOptions.includes("V");
  const context = (listener: string, servername = ""): SecureContext | null =>
    keeper.refresh() ? keeper.context(listener, servername) : null;
  return {
    reason: () => keeper.reason,
    asksCertificate,
    refresh: () => keeper.refresh(),
    warnings: () => keeper.warnings(),
    isRevoked: (certificate) => keeper.isRevoked(certificate),
    leaves: () => (keeper.material?.pairs ?? []).map((pair) => pair.leaf),
    context,
    async upgrade(socket, plan) {
      const chosen = context(plan.listener);
      if (chosen === null || !isDuplex(socket))
        return { failure: keeper.reason === "" ? "not a socket" : keeper.reason };
      const requested = plan.requestCert && asksCertificate;
      const done = await acceptTls(socket, {
        context: chosen,
        contextFor: (name) => keeper.context(plan.listener, name),
        requestCertificate: requested,
        timeoutMs: plan.timeoutMs,
      });
      if (!done.ok) return { failure: done.error };
      const facts = factsOf(done.value, { requested, clockTrusted: around.clockTrusted(), meant: "" });
      tellTime(around, "server", facts);
      return { socket: done.value, facts };
    },
  };
}
