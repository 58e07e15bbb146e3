// One decision in the making: the site it asks, the trace it leaves, and what it must remember on the way (a lookup that could not be
// made, how deep it has recursed). Every rule that fires tells the trace: `postern trace`, -bt and -bv read it.

import type { Lookup } from "../base/result.ts";
import type { Focus } from "../mail/focus.ts";
import type { Table } from "../map/table.ts";
import type { Site } from "./site.ts";

/** One rule that fired. */
export interface TraceStep {
  /** The rule's name as the reference calls it: "virtusertable", "class w", "smart host", ... */
  readonly rule: string;
  /** Table asked, its key and value, when a table was asked. */
  readonly table?: string;
  readonly key?: string;
  readonly value?: string;
  /** What it made of the address, one printable line. */
  readonly text?: string;
}

export type Trace = (step: TraceStep) => void;

/** An address decided: a mailer to take it, or an error. */
export type Parsed =
  | {
      readonly kind: "mailer";
      readonly mailer: string;
      readonly host: string;
      readonly user: Focus;
      /** True when local aliases' last resort (MAIL_HUB, +detail) must not be tried again: Sendmail's leading "@". */
      readonly final: boolean;
    }
  | {
      readonly kind: "error";
      /** After `$@`: "5.7.1", a word such as "nouser", or "". */
      readonly status: string;
      /** After `$:`: "550 text" or text without a code. */
      readonly text: string;
    }
  /** Routing did not come to an end within REWRITE_DEPTH_MAX. */
  | { readonly kind: "loop" };

export interface Run {
  readonly site: Site;
  readonly trace: Trace;
  /** DaemonPortOptions modifiers of the listener ("c" canonify, "C" do not). */
  readonly modifiers: string;
  /** True for `-bi` and the like, where REDIRECT addresses pass. */
  readonly rebuilding: boolean;
  /** First lookup that could not be made now; "" when all could. The recipient is then queued. */
  tempfail: string;
  /** Nested restarts so far, bounded by REWRITE_DEPTH_MAX. */
  depth: number;
  /** Restarts the decision with an address that a table gave. Set by parse.ts. */
  recurse(address: Focus): Promise<Parsed>;
}

export const noTrace: Trace = () => {};

/** Asks a table and leaves a trace; a lookup failure is remembered and reads as null, the caller goes on as Sendmail does. */
export function ask(run: Run, rule: string, table: Table | null, key: string): string | null {
  if (table === null) return null;
  const answer: Lookup<string> = table.lookup(key);
  if (answer.kind === "found") {
    run.trace({ rule, table: table.name, key, value: answer.value });
    return answer.value;
  }
  if (answer.kind === "tempfail") run.tempfail ||= `${table.name}: ${answer.reason}`;
  return null;
}

/** Replaces %0..%9 in a table's value by the arguments (a missing one is empty), %% by one sign. Bounded by the value's length. */
export function substitute(value: string, args: readonly string[]): string {
  if (!value.includes("%")) return value;
  let out = "";
  for (let i = 0; i < value.length; i++) {
    const c = value[i] as string;
    const next = value[i + 1] ?? "";
    if (c !== "%") out += c;
    else if (next >= "0" && next <= "9") {
      out += args[Number(next)] ?? "";
      i++;
    } else {
      if (next === "%") i++;
      out += c;
    }
  }
  return out;
}
