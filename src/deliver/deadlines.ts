// The Timeout.* options that the mailers wait by (semantics section 24), and what 0 means for them:
// a day, because nothing here waits for ever.

import type { Options } from "../config/options.ts";

export type DeadlineOptions = Pick<
  Options,
  | "Timeout.auth"
  | "Timeout.connect"
  | "Timeout.datablock"
  | "Timeout.datafinal"
  | "Timeout.datainit"
  | "Timeout.helo"
  | "Timeout.iconnect"
  | "Timeout.initial"
  | "Timeout.lhlo"
  | "Timeout.mail"
  | "Timeout.quit"
  | "Timeout.rcpt"
  | "Timeout.rset"
  | "Timeout.starttls"
>;

/** Milliseconds for "no limit": Sendmail's 0 would wait for ever, and nothing here does. */
const UNLIMITED_MS = 24 * 60 * 60 * 1000;

export function limitMs(value: number): number {
  return value > 0 ? value : UNLIMITED_MS;
}

/** The shortest of them, for the tick of the one timer. */
export function shortestMs(options: DeadlineOptions): number {
  const names = [
    "Timeout.auth",
    "Timeout.datablock",
    "Timeout.datafinal",
    "Timeout.datainit",
    "Timeout.helo",
    "Timeout.initial",
    "Timeout.lhlo",
    "Timeout.mail",
    "Timeout.quit",
    "Timeout.rcpt",
    "Timeout.rset",
  ] as const;
  return Math.min(...names.map((name) => limitMs(options[name])));
}
