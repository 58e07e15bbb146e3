// SASL CRAM-MD5 (RFC 2195): the server's challenge, signed with the secret by HMAC-MD5. Needs the secret at rest on both sides.
// The challenge is `<number.number@host>` as Sendmail's is; each is used once.

import { hmac, sameBytes } from "../sys/crypto.ts";
import { abort, admit, challenge, later, refuse, respond } from "./exchange.ts";
import type { Mechanism, ServerContext, ServerExchange, ServerStep } from "./mechanism.ts";
import { decodeUtf8, splitAccount } from "./names.ts";

/** Name, blank, 32 hex digits. */
const RESPONSE = /^(.+) ([0-9a-f]{32})$/su;

async function judge(context: ServerContext, sent: Buffer, message: Buffer): Promise<ServerStep> {
  const parts = RESPONSE.exec(decodeUtf8(message) ?? "");
  const account = splitAccount(parts?.[1] ?? "", context.realm);
  if (parts === null || account === null) return refuse("response is not a user name and a digest");
  const credential = await context.find(account.user, account.realm);
  if (credential.kind === "tempfail") return later(credential.reason);
  const secret = credential.kind === "found" ? credential.value.secret : undefined;
  // An unknown user costs the same digest.
  const expected = hmac("md5", Buffer.from(secret ?? "\0"), sent);
  const right = sameBytes(expected, Buffer.from(parts[2] ?? "", "hex"));
  if (secret === undefined)
    return refuse(credential.kind === "found" ? "no secret is kept for this user" : "unknown user");
  return right ? admit(context, account, "") : refuse("wrong digest");
}

function server(context: ServerContext): ServerExchange {
  let sent: Buffer | null = null;
  return {
    async step(message) {
      if (sent !== null) return message === null ? refuse("no response") : judge(context, sent, message);
      if (message !== null) return refuse("CRAM-MD5 has no initial response");
      const noise = context.nonce(12);
      sent = Buffer.from(`<${noise.readUInt32BE(0)}.${noise.readUIntBE(4, 6)}@${context.host}>`);
      return challenge(sent);
    },
  };
}

export const cramMd5: Mechanism = {
  name: "CRAM-MD5",
  plaintext: false,
  needsSecret: true,
  server,
  client(context) {
    let done = false;
    return {
      initial: () => null,
      step(message) {
        if (done) return abort("a second challenge in CRAM-MD5");
        done = true;
        const proof = hmac("md5", Buffer.from(context.secret), message).toString("hex");
        return respond(`${context.authenticationId} ${proof}`);
      },
      finished: () => done,
    };
  },
};
