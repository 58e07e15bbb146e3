// Lines of tables that are well formed and cannot do what their author wants: each rule is one of sendmail-semantics sections
// 7 (mailertable), 8 (virtusertable), 11 (domaintable) and 13 (access). Advice, never an error: Sendmail takes such lines too.

import { foldCase } from "../map/bytestring.ts";

/** What the rules need to know of a configuration. */
export interface Surroundings {
  /** Declared mailers, in lower case. */
  readonly mailers: ReadonlySet<string>;
  /** Class w. */
  isLocal(domain: string): boolean;
  /** Class VirtHost. */
  isVirtual(domain: string): boolean;
  /** access_db's flag. */
  readonly skip: boolean;
  readonly lookupDotDomain: boolean;
  readonly blocklistRecipients: boolean;
  readonly delayChecks: boolean;
}

/** Says what is wrong with one line, "" when nothing is. Key (folded) and value are as makemap stores them. */
export type Adviser = (key: string, value: string, around: Surroundings) => string;

const BUILT_IN_MAILERS = new Set(["error", "local", "discard"]);
/** Tags of access that something looks up; compared in lower case. */
const ACCESS_TAGS = new Set(
  (
    "connect from to spam greetpause clientrate clientconn srv_features clt_features try_tls tls_clt tls_srv " +
    "tls_rcpt tls_srv_features tls_clt_features authinfo certissuer certsubject compat delay helo"
  ).split(" "),
);
const DECISION_TAGS = new Set(["", "connect", "from", "to"]);

const mailertable: Adviser = (key, value, around) => {
  if (key.startsWith("*"))
    return `no host is named "${key}"; write "${key.replace(/^\*+\.?/, ".")}" for all below a domain`;
  if (/^\[[0-9.]+\]$|^\[ipv6:/.test(key)) return `address literals are not looked up in the mailertable`;
  if (!key.startsWith(".") && around.isLocal(key))
    return `${key} is one of our own names: its mail is local before the mailertable is asked`;
  const colon = value.indexOf(":");
  if (colon < 0) return `"${value}" names no mailer: the line is skipped; write "esmtp:${value}"`;
  const mailer = foldCase(value.slice(0, colon));
  if (BUILT_IN_MAILERS.has(mailer) || around.mailers.has(mailer)) return "";
  return `mailer ${mailer} is not declared: mail is refused with "unknown mailer ${mailer}"`;
};

const virtusertable: Adviser = (key, value, around) => {
  const at = key.lastIndexOf("@");
  if (at < 0) return `no address is "${key}": keys are user@domain or @domain`;
  if (key.startsWith("!")) return `no address begins with "!": write a more specific key instead`;
  const domain = key.slice(at + 1);
  if (!around.isLocal(domain) && !around.isVirtual(domain))
    return `${domain} is neither in local-host-names nor a VIRTUSER_DOMAIN: the line is never asked for`;
  if (/^error:/i.test(value)) return "";
  if (value.startsWith("@")) return `refused with "User address required"; write "%1${value}"`;
  if (/^"?\||^\/|^:include:/.test(value))
    return "programs, files and :include: are refused here; name an alias";
  if (value.includes(","))
    return 'a list is refused with "Invalid route address"; name an alias that has the list';
  return "";
};

const domaintable: Adviser = (key, value) => {
  if (key.includes("@") || value.includes("@")) return "both sides are domains here, not addresses";
  return key.startsWith(".") ? "exact names only: sub-domains are not looked up" : "";
};

const access: Adviser = (key, value, around) => {
  const tag = /^([a-z_]+):/.exec(key)?.[1] ?? "";
  const isAddress = tag === "ipv6";
  if (tag !== "" && !isAddress && !ACCESS_TAGS.has(tag))
    return `nothing looks up keys with the tag "${tag}:"`;
  const target = tag === "" || isAddress ? key : key.slice(tag.length + 1);
  if (target.startsWith("*")) return `no client or address is "${target}"; a domain stands for all below it`;
  if (target.startsWith(".") && !around.lookupDotDomain)
    return `keys that begin with "." need FEATURE(\`lookupdotdomain')`;
  if (tag === "spam" && !around.delayChecks)
    return `Spam: keys need FEATURE(\`delay_checks', \`friend') or \`hater'`;
  if (!DECISION_TAGS.has(isAddress ? "" : tag)) return "";
  if (tag === "to" && !around.blocklistRecipients && !/^relay$/i.test(value))
    return `To: keys other than RELAY need FEATURE(\`blocklist_recipients')`;
  return decision(value, around);
};

function decision(value: string, around: Surroundings): string {
  const word = value.trimEnd();
  if (/^(ok|relay|reject|discard)$/i.test(word) || /^(error|quarantine|discard):/i.test(word)) return "";
  if (/^[245]\d\d\b/.test(word)) return "";
  if (!/^skip$/i.test(word)) return `"${word}" is no decision: it refuses with "553 5.3.0 ${word}"`;
  return around.skip
    ? ""
    : `SKIP needs the flag \`skip' of FEATURE(\`access_db'): it refuses with "553 5.3.0 SKIP"`;
}

/** The rules of a table by what it is for. */
export const ADVISERS: ReadonlyMap<string, Adviser> = new Map([
  ["access", access],
  ["domaintable", domaintable],
  ["mailertable", mailertable],
  ["virtusertable", virtusertable],
]);

/** Advice that holds for every map. */
export function adviseLine(
  adviser: Adviser | undefined,
  key: string,
  value: string,
  around: Surroundings,
): string {
  if (value.endsWith("\r")) return "the value ends in a carriage return: write the file with Unix line ends";
  return adviser?.(key, value, around) ?? "";
}
