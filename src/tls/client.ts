// TLS towards next hops: the handshake of STARTTLS, with our certificate when there is one.
// What the other side must show is asked of the access table's rules, not here.

import { err, ok } from "../base/result.ts";
import type { Options } from "../config/options.ts";
import { startTls } from "../sys/tls.ts";
import { type ClientTls, isDuplex, Keeper, type TlsSurroundings, tellTime } from "./context.ts";
import { factsOf } from "./facts.ts";

/** The client side; works without any file (then nothing verifies). */
export function loadClientTls(options: Options, around: TlsSurroundings): ClientTls {
  const keeper = new Keeper(options, "client", around);
  return {
    reason: () => keeper.reason,
    refresh: () => keeper.refresh(),
    warnings: () => keeper.warnings(),
    async upgrade(socket, name, timeoutMs) {
      const context = keeper.refresh() ? keeper.context("client", "") : null;
      if (context === null || !isDuplex(socket))
        return err(keeper.reason === "" ? "not a socket" : keeper.reason);
      const done = await startTls(socket, { context, servername: name, timeoutMs });
      if (!done.ok) return done;
      const facts = factsOf(done.value, {
        requested: true,
        clockTrusted: around.clockTrusted(),
        meant: name,
      });
      tellTime(around, "client", facts);
      return ok({ socket: done.value, facts });
    },
  };
}
