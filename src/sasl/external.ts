// SASL EXTERNAL (RFC 4422 appendix A): the identity is the one that TLS proved with a client certificate.
// Offered only on such a connection; the client may ask for that identity (by the subject or by its common name, which is what mail
// programs have room for) or for none, not for another. The identity is the subject either way.

import { abort, challenge, NOTHING, refuse, respond } from "./exchange.ts";
import type { Mechanism } from "./mechanism.ts";
import { decodeUtf8 } from "./names.ts";

export const external: Mechanism = {
  name: "EXTERNAL",
  plaintext: false,
  needsSecret: false,
  server: (context) => ({
    async step(message) {
      if (message === null) return challenge(NOTHING);
      if (context.externalIdentity === "") return refuse("no verified client certificate");
      const asked = decodeUtf8(message);
      if (asked !== "" && asked !== context.externalIdentity && asked !== context.externalName)
        return refuse("asks for another identity than the certificate's");
      return { kind: "success", identity: context.externalIdentity };
    },
  }),
  client(context) {
    let sent = false;
    return {
      initial: () => {
        sent = true;
        return Buffer.from(context.authorizationId);
      },
      step(message) {
        if (message.length > 0) return abort("the server asks for something in EXTERNAL");
        sent = true;
        return respond(context.authorizationId);
      },
      finished: () => sent,
    };
  },
};
