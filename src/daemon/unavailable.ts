// The gateway without a spool: every client is told 421 and why, nothing is accepted, nothing is lost.
// For a spool partition that could not be mounted (the init script says so) or a queue folder that cannot be opened.

import { type Reply, reply } from "../mail/reply.ts";
import type { Policy } from "../policy/policy.ts";
import type { Intake } from "../spool/intake.ts";

export function unavailableReply(hostName: string, reason: string): Reply {
  return reply(421, "4.3.2", `${hostName} Service not available: ${reason}`);
}

/** A policy whose only answer is the refusal. */
export function closedPolicy(policy: Policy, refusal: Reply): Policy {
  return {
    greetPauseMs: (client) => policy.greetPauseMs(client),
    connect: async () => ({ kind: "reject", reply: refusal, close: true }),
    closed: () => undefined,
    helo: (client) => policy.helo(client),
    mail: async () => ({ kind: "reject", reply: refusal, close: true }),
    rcpt: async () => ({ kind: "reject", reply: refusal, close: true }),
    data: async () => ({ kind: "reject", reply: refusal, close: true }),
    tlsClient: (client) => policy.tlsClient(client),
    serverFeatures: (client) => policy.serverFeatures(client),
    etrn: async () => ({ kind: "reject", reply: refusal, close: true }),
  };
}

/** An intake that takes nothing; its drafts refuse at commit. */
export function closedIntake(refusal: Reply): Intake {
  return {
    admit: () => refusal,
    newId: () => "NOSPOOL",
    open: () => ({
      id: "NOSPOOL",
      write: () => undefined,
      commit: async () => ({ kind: "refused", reply: refusal }),
      abort: () => undefined,
    }),
  };
}
