// SASL DIGEST-MD5 (RFC 2831, historic since RFC 6331, asked for by Sendmail configurations), qop=auth, both sides.
// Server checks: directives once each, our nonce, nonce-count 1, cnonce present, our realm, digest-uri smtp/one-of-our-names, qop,
// charset, length; then it proves itself by rspauth, which the client side demands before it calls the exchange finished.

import { DIGEST_CHALLENGE_BYTES_MAX, DIGEST_RESPONSE_BYTES_MAX } from "../base/limits.ts";
import { digest, sameBytes } from "../sys/crypto.ts";
import { parseDirectives, quote } from "./directives.ts";
import { abort, admit, challenge, later, NOTHING, refuse, respond } from "./exchange.ts";
import type {
  ClientContext,
  ClientExchange,
  ClientStep,
  Mechanism,
  ServerContext,
  ServerExchange,
  ServerStep,
} from "./mechanism.ts";
import { type Account, decodeUtf8, foldRealm, splitAccount } from "./names.ts";

const NONE: ReadonlySet<string> = new Set();
const REALMS: ReadonlySet<string> = new Set(["realm"]);
const FIRST_USE = "00000001";

/** Everything that goes into the digests; texts as they are hashed, one character a byte. */
export interface DigestParts {
  readonly username: string;
  readonly realm: string;
  readonly secret: string;
  readonly nonce: string;
  readonly cnonce: string;
  readonly uri: string;
  readonly authorizationId: string;
}

function bytesOf(text: string): Buffer {
  return Buffer.from(text, "latin1");
}

/** RFC 2831 2.1.2.1: text that ISO 8859-1 can say is hashed in it, other text in UTF-8. Result: one character a byte. */
export function hashedForm(text: string): string {
  return /^[\x00-\xff]*$/.test(text) ? text : Buffer.from(text).toString("latin1");
}

/** The hex response-value for `side` (RFC 2831 2.1.2.1 and 2.1.3). */
export function digestResponse(parts: DigestParts, side: "client" | "server"): string {
  const inner = digest("md5", bytesOf(`${parts.username}:${parts.realm}:${parts.secret}`));
  const tail = parts.authorizationId === "" ? "" : `:${parts.authorizationId}`;
  const a1 = digest("md5", inner, bytesOf(`:${parts.nonce}:${parts.cnonce}${tail}`)).toString("hex");
  const method = side === "client" ? "AUTHENTICATE" : "";
  const a2 = digest("md5", bytesOf(`${method}:${parts.uri}`)).toString("hex");
  return digest("md5", bytesOf(`${a1}:${parts.nonce}:${FIRST_USE}:${parts.cnonce}:auth:${a2}`)).toString(
    "hex",
  );
}

function one(directives: ReadonlyMap<string, readonly string[]>, name: string): string | undefined {
  return directives.get(name)?.[0];
}

/** digest-uri is `smtp/host` or `smtp/host/service-name`, the host one of ours. */
function isOurUri(context: ServerContext, uri: string): boolean {
  const [service, host, name, ...more] = uri.split("/");
  if (foldRealm(service ?? "") !== context.service || more.length > 0) return false;
  const ours = (text: string): boolean => {
    const folded = foldRealm(text);
    if (folded === foldRealm(context.host) || folded === foldRealm(context.realm)) return true;
    return context.ownName?.(text) ?? false;
  };
  return host !== undefined && ours(host) && (name === undefined || ours(name));
}

/** A directive of the client as text: UTF-8 when it said so, else ISO 8859-1. */
function textOf(value: string, utf8: boolean): string | null {
  return utf8 ? decodeUtf8(bytesOf(value)) : value;
}

/** What a response says, after every check that needs no credentials; a string is the reason why it is refused. */
function readResponse(
  context: ServerContext,
  nonce: string,
  message: Buffer,
):
  | {
      readonly parts: Omit<DigestParts, "secret">;
      readonly account: Account;
      readonly response: string;
      readonly authzid: string;
    }
  | string {
  if (message.length > DIGEST_RESPONSE_BYTES_MAX) return "response too long";
  const directives = parseDirectives(message, NONE);
  if (directives === null) return "response is malformed or repeats a directive";
  const charset = one(directives, "charset");
  if (charset !== undefined && charset.toLowerCase() !== "utf-8") return "charset is not utf-8";
  const utf8 = charset !== undefined;
  const username = textOf(one(directives, "username") ?? "", utf8);
  const realm = textOf(one(directives, "realm") ?? "", utf8);
  const authzid = decodeUtf8(bytesOf(one(directives, "authzid") ?? ""));
  if (username === null || realm === null || authzid === null) return "a name is not UTF-8";
  if (directives.has("realm") && foldRealm(realm) !== foldRealm(context.realm)) return "realm is not ours";
  if (one(directives, "nonce") !== nonce) return "nonce is not ours";
  if (one(directives, "nc")?.toLowerCase() !== FIRST_USE) return "nonce count is not 1";
  const cnonce = one(directives, "cnonce") ?? "";
  if (cnonce === "") return "no cnonce";
  if ((one(directives, "qop") ?? "auth").toLowerCase() !== "auth") return "qop is not auth";
  if (directives.has("cipher")) return "cipher without qop=auth-conf";
  const uri = one(directives, "digest-uri") ?? "";
  if (!isOurUri(context, uri)) return `digest-uri is not ours: ${uri}`;
  const response = one(directives, "response") ?? "";
  if (!/^[0-9a-f]{32}$/.test(response)) return "response is not 32 hex digits";
  const account = splitAccount(username, context.realm);
  if (account === null) return "not a user name";
  const parts = {
    username: hashedForm(username),
    realm: hashedForm(realm),
    nonce,
    cnonce,
    uri,
    authorizationId: one(directives, "authzid") ?? "",
  };
  return { parts, account, response, authzid };
}

function server(context: ServerContext): ServerExchange {
  let nonce: string | null = null;
  let admitted: ServerStep | null = null;

  async function judge(message: Buffer, sent: string): Promise<ServerStep> {
    const read = readResponse(context, sent, message);
    if (typeof read === "string") return refuse(read);
    const credential = await context.find(read.account.user, read.account.realm);
    if (credential.kind === "tempfail") return later(credential.reason);
    const secret = credential.kind === "found" ? credential.value.secret : undefined;
    const parts = { ...read.parts, secret: hashedForm(secret ?? "\0") };
    // An unknown user costs the same digest.
    const right = sameBytes(Buffer.from(digestResponse(parts, "client")), Buffer.from(read.response));
    if (secret === undefined)
      return refuse(credential.kind === "found" ? "no secret is kept for this user" : "unknown user");
    if (!right) return refuse("wrong digest");
    const answer = admit(context, read.account, read.authzid);
    if (answer.kind !== "success") return answer;
    admitted = answer;
    return challenge(`rspauth=${digestResponse(parts, "server")}`);
  }

  return {
    async step(message) {
      if (admitted !== null)
        return message === null || message.length === 0 ? admitted : refuse("data after rspauth");
      if (nonce !== null) {
        if (message === null) return refuse("no response");
        // A nonce is good for one response, whatever comes of it.
        const sent = nonce;
        nonce = "";
        return sent === "" ? refuse("a second response") : judge(message, sent);
      }
      // RFC 2831 2.2: an initial response is a client's subsequent authentication with an older nonce (Postfix and others that keep
      // their SASL state try it). We keep none, so the answer is a new challenge, with which the client begins afresh.
      nonce = context.nonce(24).toString("base64");
      return challenge(
        `nonce=${quote(nonce)},realm=${quote(Buffer.from(context.realm).toString("latin1"))},qop="auth",charset=utf-8,algorithm=md5-sess`,
      );
    },
  };
}

/** The realm that the client answers with: its own when offered, else the first offered, else its own or the host. */
function chooseRealm(context: ClientContext, offered: readonly string[]): string {
  const own = Buffer.from(context.realm).toString("latin1");
  const same = offered.find((r) => foldRealm(r) === foldRealm(own));
  return same ?? offered[0] ?? (own === "" ? context.host : own);
}

function answerChallenge(
  context: ClientContext,
  message: Buffer,
): { readonly parts: DigestParts; readonly data: Buffer } | string {
  if (message.length > DIGEST_CHALLENGE_BYTES_MAX) return "challenge too long";
  const directives = parseDirectives(message, REALMS);
  if (directives === null) return "challenge is malformed or repeats a directive";
  const nonce = one(directives, "nonce") ?? "";
  if (nonce === "") return "challenge has no nonce";
  if (one(directives, "algorithm")?.toLowerCase() !== "md5-sess") return "algorithm is not md5-sess";
  const qop = (one(directives, "qop") ?? "auth").split(",").map((word) => word.trim().toLowerCase());
  if (!qop.includes("auth")) return "server does not offer qop=auth";
  const charset = one(directives, "charset");
  if (charset !== undefined && charset.toLowerCase() !== "utf-8") return "charset is not utf-8";
  // Without charset the names travel in ISO 8859-1, if they can.
  const wire = (text: string): string =>
    charset === undefined ? hashedForm(text) : Buffer.from(text).toString("latin1");
  const realm = chooseRealm(context, directives.get("realm") ?? []);
  const realmText = charset === undefined ? realm : (decodeUtf8(bytesOf(realm)) ?? realm);
  const parts: DigestParts = {
    username: hashedForm(context.authenticationId),
    realm: hashedForm(realmText),
    secret: hashedForm(context.secret),
    nonce,
    cnonce: context.nonce(24).toString("base64"),
    uri: `${context.service}/${context.host}`,
    authorizationId:
      context.authorizationId === context.authenticationId
        ? ""
        : Buffer.from(context.authorizationId).toString("latin1"),
  };
  const fields = [
    ...(charset === undefined ? [] : ["charset=utf-8"]),
    `username=${quote(wire(context.authenticationId))}`,
    `realm=${quote(realm)}`,
    `nonce=${quote(nonce)}`,
    `nc=${FIRST_USE}`,
    `cnonce=${quote(parts.cnonce)}`,
    `digest-uri=${quote(parts.uri)}`,
    `response=${digestResponse(parts, "client")}`,
    "qop=auth",
    ...(parts.authorizationId === "" ? [] : [`authzid=${quote(parts.authorizationId)}`]),
  ];
  return { parts, data: bytesOf(fields.join(",")) };
}

function client(context: ClientContext): ClientExchange {
  let parts: DigestParts | null = null;
  let proved = false;

  function checkProof(message: Buffer, sent: DigestParts): ClientStep {
    const directives = parseDirectives(message, NONE);
    const proof = directives === null ? undefined : one(directives, "rspauth");
    if (proof === undefined) return abort("the server sends no rspauth");
    if (!sameBytes(Buffer.from(proof), Buffer.from(digestResponse(sent, "server"))))
      return abort("the server does not know the secret (rspauth is wrong)");
    proved = true;
    return respond(NOTHING);
  }

  return {
    initial: () => null,
    step(message) {
      if (proved) return abort("data after rspauth");
      if (parts !== null) return checkProof(message, parts);
      const answer = answerChallenge(context, message);
      if (typeof answer === "string") return abort(answer);
      parts = answer.parts;
      return respond(answer.data);
    },
    finished: () => proved,
  };
}

export const digestMd5: Mechanism = {
  name: "DIGEST-MD5",
  plaintext: false,
  needsSecret: true,
  server,
  client,
};
