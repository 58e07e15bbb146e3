// Words that the mechanisms share: how an exchange goes on or ends, and what an answer of the store means for it.
// Promises that a client cannot tell a wrong password from an unknown user: reasons are for the log alone.

import type { Lookup } from "../base/result.ts";
import type { ClientStep, ServerContext, ServerStep } from "./mechanism.ts";
import { type Account, authorizes, identityOf } from "./names.ts";

export const NOTHING = Buffer.alloc(0);

export function challenge(data: Buffer | string): ServerStep {
  return { kind: "challenge", data: typeof data === "string" ? Buffer.from(data) : data };
}

/** The credentials or the exchange are wrong: 535. `reason` is for the log, never for the client. */
export function refuse(reason: string): ServerStep {
  return { kind: "failure", temporary: false, reason };
}

/** The store could not answer: 454. */
export function later(reason: string): ServerStep {
  return { kind: "failure", temporary: true, reason };
}

/** The exchange proved `account`: success, when it may act as `authorizationId`. */
export function admit(context: ServerContext, account: Account, authorizationId: string): ServerStep {
  if (!authorizes(authorizationId, account, context.realm)) return refuse("may not act for another user");
  return { kind: "success", identity: identityOf(account, context.realm) };
}

/** PLAIN and LOGIN: the answer to a password. */
export function judgePassword(
  context: ServerContext,
  answer: Lookup<true>,
  account: Account,
  authorizationId: string,
): ServerStep {
  switch (answer.kind) {
    case "found":
      return admit(context, account, authorizationId);
    case "absent":
      return refuse("unknown user or wrong password");
    case "tempfail":
      return later(answer.reason);
  }
}

export function respond(data: Buffer | string): ClientStep {
  return { kind: "response", data: typeof data === "string" ? Buffer.from(data) : data };
}

export function abort(reason: string): ClientStep {
  return { kind: "abort", reason };
}
