// SASL LOGIN (never an RFC; draft-murchison-sasl-login): two prompts, name and password, as Sendmail with Cyrus SASL asks them.
// The password crosses the wire: offered only under TLS unless the configuration says otherwise.

import { SASL_SECRET_BYTES_MAX } from "../base/limits.ts";
import { abort, challenge, judgePassword, refuse, respond } from "./exchange.ts";
import type { Mechanism, ServerContext, ServerExchange, ServerStep } from "./mechanism.ts";
import { type Account, decodeUtf8, splitAccount } from "./names.ts";

function server(context: ServerContext): ServerExchange {
  let prompted = false;
  let account: Account | null | undefined;

  function takeName(message: Buffer): ServerStep {
    const text = decodeUtf8(message);
    // A bad name is refused only after the password, as a wrong one is.
    account = text === null ? null : splitAccount(text, context.realm);
    return challenge("Password:");
  }

  return {
    async step(message) {
      if (account !== undefined) {
        if (account === null) return refuse("not a user name");
        const password =
          message === null || message.length > SASL_SECRET_BYTES_MAX ? null : decodeUtf8(message);
        if (password === null || password === "" || password.includes("\0")) return refuse("not a password");
        const answer = await context.checkPassword(account.user, account.realm, password);
        return judgePassword(context, answer, account, "");
      }
      if (message === null && !prompted) {
        prompted = true;
        return challenge("Username:");
      }
      return message === null ? refuse("no user name") : takeName(message);
    },
  };
}

export const login: Mechanism = {
  name: "LOGIN",
  plaintext: true,
  needsSecret: false,
  server,
  client(context) {
    let sent = 0;
    return {
      initial: () => null,
      step() {
        sent++;
        // The prompts' wording varies between servers; their order does not.
        if (sent === 1) return respond(context.authenticationId);
        if (sent === 2) return respond(context.secret);
        return abort("the server asks for more than name and password");
      },
      finished: () => sent === 2,
    };
  },
};
