// The recorded cases: their shapes as reference/cases/README.md describes them, and how an answer of ours is compared with a record.

export interface RouteCase {
  readonly kind: "route";
  readonly config: string;
  readonly address: string;
  readonly expect:
    | { readonly mailer: "error"; readonly code: number; readonly enhanced: string; readonly text: string }
    | { readonly mailer: string; readonly host: string; readonly user: string };
}

export interface AliasCase {
  readonly kind: "alias";
  readonly config: string;
  readonly address: string;
  readonly expect: {
    readonly deliveries: readonly { readonly mailer: string; readonly host: string; readonly user: string }[];
    readonly messages: readonly string[];
    readonly exit: number;
  };
}

export interface RewriteCase {
  readonly kind: "rewrite";
  readonly config: string;
  readonly mailer: string;
  readonly which: "header-sender" | "envelope-sender" | "header-recipient" | "envelope-recipient";
  readonly address: string;
  readonly expect: { readonly address: string };
}

export interface RelayCase {
  readonly kind: "relay";
  readonly config: string;
  readonly client: string;
  readonly from: string;
  readonly to: string;
  readonly helo?: string;
  readonly proto?: string;
  readonly mailparams?: string;
  readonly client_name?: string;
  readonly expect: {
    readonly stage: "connect" | "helo" | "mail" | "rcpt";
    readonly code: number;
    readonly enhanced: string;
    readonly text: string;
  };
}

export interface SessionCase {
  readonly kind: "session";
  readonly config: string;
  readonly client: string;
  readonly commands: readonly string[];
  readonly expect: { readonly transcript: readonly (readonly [string, readonly string[]])[] };
}

export interface MessageCase {
  readonly kind: "message";
  readonly config: string;
  readonly client: string;
  readonly from: string;
  readonly to: readonly string[];
  readonly mailparams?: string;
  readonly rcptparams?: string;
  readonly data: string;
  readonly expect: {
    readonly replies: readonly string[];
    readonly sent: readonly {
      readonly mail: string;
      readonly rcpt: readonly string[];
      readonly data: string;
    }[];
  };
}

export type Case = RouteCase | AliasCase | RewriteCase | RelayCase | SessionCase | MessageCase;

/** A trailing dot of a host only says that the name resolved. */
export function plainHost(host: string): string {
  return host.endsWith(".") ? host.slice(0, -1) : host;
}

/** A value with its keys in order, so that two equal ones are one text. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner)}`).join(",")}}`;
}

/** What a case is called in the report. */
export function titleOf(c: Case): string {
  switch (c.kind) {
    case "relay":
      return `${c.config} relay ${c.client} ${c.from} -> ${c.to}`;
    case "session":
      return `${c.config} session ${c.client} ${c.commands.slice(0, 3).join(" | ")}`;
    case "message":
      return `${c.config} message ${c.client} ${c.from} -> ${c.to.join(" ")}`;
    case "rewrite":
      return `${c.config} rewrite ${c.mailer} ${c.which} ${c.address}`;
    default:
      return `${c.config} ${c.kind} ${c.address}`;
  }
}
