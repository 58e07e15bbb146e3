// Policy for sessions whose client showed a certificate: what was verified at the handshake is asked again at MAIL and RCPT,
// so that a revoked certificate stops relaying at once, in sessions that are open too, and takes an EXTERNAL identity with it.

import type { Client, Policy } from "../policy/policy.ts";
import type { ServerTls } from "../tls/context.ts";

/** The client as it is now: with a revoked certificate it counts as one whose certificate does not verify. */
function current(client: Client, tls: ServerTls): Client {
  const shown = client.tls;
  if (shown?.verify !== "OK" || shown.serial === undefined) return client;
  if (!tls.isRevoked({ certIssuer: shown.certIssuer, serial: shown.serial })) return client;
  const { auth, ...rest } = client;
  const kept = auth === undefined || auth.mechanism === "EXTERNAL" ? {} : { auth };
  return { ...rest, ...kept, tls: { ...shown, verify: "FAIL" } };
}

/** `policy`, asked about the client as it is now. */
export function watchCertificates(policy: Policy, tls: ServerTls | null): Policy {
  if (tls === null) return policy;
  return {
    greetPauseMs: (client) => policy.greetPauseMs(client),
    connect: (client) => policy.connect(client),
    closed: (client) => policy.closed(client),
    helo: (client) => policy.helo(client),
    mail: (client, sender, typed) => policy.mail(current(client, tls), sender, typed),
    rcpt: (client, sender, recipient, typed) => policy.rcpt(current(client, tls), sender, recipient, typed),
    data: (client, sender) => policy.data(client, sender),
    tlsClient: (client) => policy.tlsClient(client),
    serverFeatures: (client) => policy.serverFeatures(client),
    etrn: (client, host) => policy.etrn(client, host),
  };
}
