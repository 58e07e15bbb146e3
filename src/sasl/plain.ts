// SASL PLAIN (RFC 4616): authzid NUL authcid NUL password, in one message.
// The password crosses the wire: offered only under TLS unless the configuration says otherwise.

import { SASL_NAME_BYTES_MAX, SASL_SECRET_BYTES_MAX } from "../base/limits.ts";
import { abort, challenge, judgePassword, NOTHING, refuse, respond } from "./exchange.ts";
import type { ClientContext, ClientExchange, Mechanism, ServerContext, ServerStep } from "./mechanism.ts";
import { decodeUtf8, splitAccount } from "./names.ts";

async function judge(context: ServerContext, message: Buffer): Promise<ServerStep> {
  if (message.length > 2 * SASL_NAME_BYTES_MAX + SASL_SECRET_BYTES_MAX + 2) return refuse("message too long");
  const text = decodeUtf8(message);
  if (text === null) return refuse("message is not UTF-8");
  const parts = text.split("\0", 4);
  const [authorizationId, name, password] = parts;
  if (parts.length !== 3 || authorizationId === undefined || name === undefined || password === undefined)
    return refuse("message is not authzid NUL authcid NUL password");
  const account = splitAccount(name, context.realm);
  if (account === null) return refuse("not a user name");
  if (password === "") return refuse("empty password");
  const answer = await context.checkPassword(account.user, account.realm, password);
  return judgePassword(context, answer, account, authorizationId);
}

function client(context: ClientContext): ClientExchange {
  return {
    initial: () => Buffer.from(`${context.authorizationId}\0${context.authenticationId}\0${context.secret}`),
    step: (message) =>
      message.length === 0
        ? respond(`${context.authorizationId}\0${context.authenticationId}\0${context.secret}`)
        : abort("the server asks for something in PLAIN"),
    finished: () => true,
  };
}

export const plain: Mechanism = {
  name: "PLAIN",
  plaintext: true,
  needsSecret: false,
  server: (context) => ({
    step: async (message) => (message === null ? challenge(NOTHING) : judge(context, message)),
  }),
  client,
};
