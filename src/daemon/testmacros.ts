// Macros of address test mode: $j and its like, what .D set, and the client that the check_ rule sets see through them
// (${client_addr}, ${client_name}, $s, ${auth_type}, ${verify}, ...), by Sendmail's names.

import type { Client } from "../policy/policy.ts";
import type { Site } from "../route/site.ts";
import { specOf } from "../route/triple.ts";
import { GATEWAY_VERSION } from "./version.ts";

/** What .D and .C may define in one session. */
const MACROS_MAX = 1000;

const RESOLVES = new Map<string, Client["resolve"]>([
  ["OK", "ok"],
  ["FAIL", "fail"],
  ["FORGED", "forged"],
  ["TEMP", "temp"],
]);

export class TestMacros {
  readonly #site: Site;
  readonly #set = new Map<string, string>();

  constructor(site: Site) {
    this.#site = site;
  }

  set(name: string, value: string): void {
    if (this.#set.size < MACROS_MAX || this.#set.has(name)) this.#set.set(name, value);
  }

  /** The value of a macro, by its letter or the name between braces; null when it is not defined. */
  value(name: string): string | null {
    const own = this.#set.get(name);
    if (own !== undefined) return own;
    const site = this.#site;
    const { config } = site;
    const known = new Map([
      ["j", site.j],
      ["m", site.m],
      ["w", site.j.split(".")[0] ?? ""],
      ["k", site.j],
      ["M", site.masquerade],
      ["n", config.texts.mailerName],
      ["v", GATEWAY_VERSION],
      ["Z", config.texts.cfVersion],
      ["S", specOf(config.smartHost)],
      ["H", specOf(config.mailHub)],
      ["R", specOf(config.localRelay)],
      ["L", specOf(config.luserRelay)],
    ]).get(name);
    if (known !== undefined && known !== "") return known;
    return Object.hasOwn(config.macros, name) ? (config.macros[name] ?? null) : null;
  }

  /** The client that the macros describe; without any it is a local process. */
  client(): Client {
    const at = (name: string): string => this.#set.get(name) ?? "";
    const address = at("client_addr").replace(/^IPv6:/i, "");
    const name = at("client_name");
    const resolve = RESOLVES.get(at("client_resolve").toUpperCase());
    const named = name !== "" && !name.startsWith("[");
    return {
      address,
      name: named ? name : `[${address}]`,
      resolve: resolve ?? (address === "" || named ? "ok" : "fail"),
      helo: at("s"),
      daemon: at("daemon_name"),
      modifiers: at("daemon_flags").replaceAll(" ", ""),
      localAddress: at("if_addr"),
      localPort: 25,
      ...(at("auth_type") === ""
        ? {}
        : { auth: { identity: at("auth_authen"), mechanism: at("auth_type") } }),
      ...(at("verify") === ""
        ? {}
        : {
            tls: {
              version: at("tls_version"),
              cipher: at("cipher"),
              bits: Number(at("cipher_bits")) || 0,
              verify: at("verify"),
              certIssuer: at("cert_issuer"),
              certSubject: at("cert_subject"),
              cnIssuer: at("cn_issuer"),
              cnSubject: at("cn_subject"),
            },
          }),
    };
  }
}
