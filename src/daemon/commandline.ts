// The command line of `sendmail` (and of mailq, newaliases, hoststat, purgestat by name): options to a typed request.
// Follows sendmail(8): attached or separate arguments, -q with optional attached text, messages and exit 64 verbatim.

import { err, ok, type Result } from "../base/result.ts";
import type { Selector } from "../control/protocol.ts";
import { isXtext } from "../mail/xtext.ts";

export type Mode =
  | "deliver"
  | "daemon"
  | "foreground"
  | "stdio"
  | "list"
  | "capacity"
  | "aliases"
  | "verify"
  | "test"
  | "hoststat"
  | "purgestat"
  | "queue";

export interface CommandLine {
  readonly mode: Mode;
  readonly recipients: readonly string[];
  /** -t */
  readonly fromHeader: boolean;
  /** -i, -oi: a dot alone does not end the input. */
  readonly ignoreDots: boolean;
  /** -f or -r, null when not given. */
  readonly sender: string | null;
  readonly fullName: string;
  readonly notify: string;
  readonly ret: string;
  readonly envid: string;
  readonly body: string;
  readonly hops: number;
  readonly verbose: boolean;
  /** -C */
  readonly configuration: string | null;
  /** -O Name=value and -oX in order: [name or letter, value]. */
  readonly options: readonly (readonly [string, string])[];
  /** -q15m: milliseconds between queue runs; 0 for one run; null when -q was not given. */
  readonly queueIntervalMs: number | null;
  readonly selectors: readonly Selector[];
  readonly quarantined: boolean;
  /** -Q[reason] */
  readonly quarantineReason: string | null;
  readonly syslogTag: string;
  /** -p, -oMr */
  readonly protocol: string;
  /** -p PROTOCOL:HOST, -oMs */
  readonly sendingHost: string;
  readonly debug: readonly string[];
  /** --spool-unusable REASON: answer 421 and say why (the init script could not mount the spool). */
  readonly spoolUnusable: string | null;
}

const WITH_ARGUMENT = "ABbCDdeFfhLMNOopRrVXQ";
const WITHOUT_ARGUMENT = "cGIimnsTtv";

const MODES = new Map<string, Mode>([
  ["m", "deliver"],
  ["d", "daemon"],
  ["D", "foreground"],
  ["s", "stdio"],
  ["p", "list"],
  ["P", "capacity"],
  ["i", "aliases"],
  ["v", "verify"],
  ["t", "test"],
  ["h", "hoststat"],
  ["H", "purgestat"],
]);

const BY_NAME = new Map<string, Mode>([
  ["mailq", "list"],
  ["newaliases", "aliases"],
  ["hoststat", "hoststat"],
  ["purgestat", "purgestat"],
  ["smtpd", "daemon"],
]);

type Draft = { -readonly [K in keyof CommandLine]: CommandLine[K] };

const UNIT_MS = new Map<string, number>([
  ["s", 1000],
  ["m", 60_000],
  ["h", 3_600_000],
  ["d", 86_400_000],
  ["w", 604_800_000],
]);

/** Sendmail's time: "15m", "1h30m", "90s"; a bare number counts minutes for -q. Gives milliseconds, null when it is not one. */
export function parseInterval(text: string): number | null {
  if (!/^(\d+[smhdw]?)+$/.test(text)) return null;
  let total = 0;
  for (const m of text.matchAll(/(\d+)([smhdw]?)/g))
    total += Number(m[1]) * (UNIT_MS.get(m[2] ?? "") ?? 60_000);
  return total;
}

function emptyDraft(name: string): Draft {
  return {
    mode: BY_NAME.get(name) ?? "deliver",
    recipients: [],
    fromHeader: false,
    ignoreDots: false,
    sender: null,
    fullName: "",
    notify: "",
    ret: "",
    envid: "",
    body: "",
    hops: 0,
    verbose: false,
    configuration: null,
    options: [],
    queueIntervalMs: null,
    selectors: [],
    quarantined: false,
    quarantineReason: null,
    syslogTag: "",
    protocol: "",
    sendingHost: "",
    debug: [],
    spoolUnusable: null,
  };
}

/**
 * Options end at the first word that is none (POSIX 12.2 guideline 9; not as GNU getopt): what a script appends to its own recipient is
 * never an option. Errors are the line for standard error; the exit status is 64 for all of them.
 */
export function parseCommandLine(name: string, args: readonly string[]): Result<CommandLine> {
  const draft = emptyDraft(name);
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? "";
    if (arg === "--spool-unusable") {
      draft.spoolUnusable = args[++i] ?? "the spool could not be mounted";
      continue;
    }
    if (arg === "--") {
      draft.recipients = args.slice(i + 1);
      break;
    }
    if (!arg.startsWith("-") || arg === "-") {
      draft.recipients = args.slice(i);
      break;
    }
    const used = parseFlags(draft, arg.slice(1), args[i + 1]);
    if (!used.ok) return used;
    i += used.value;
  }
  return check(draft);
}

function check(draft: Draft): Result<CommandLine> {
  if (draft.queueIntervalMs !== null && draft.mode === "verify") return err("Can not use -q with -bv");
  if (draft.queueIntervalMs !== null && draft.mode === "deliver" && draft.recipients.length === 0)
    draft.mode = "queue";
  return ok(draft);
}

/** One word of options; the value is how many further words it took. */
function parseFlags(draft: Draft, word: string, next: string | undefined): Result<number> {
  for (let at = 0; at < word.length; at++) {
    const letter = word[at] ?? "";
    const rest = word.slice(at + 1);
    // -q and -Q take only attached text; the next word is a recipient.
    if (letter === "q") return queueFlag(draft, rest);
    if (letter === "Q") {
      draft.quarantineReason = rest;
      return ok(0);
    }
    if (WITHOUT_ARGUMENT.includes(letter)) {
      const done = plainFlag(draft, letter);
      if (!done.ok) return done;
      continue;
    }
    if (!WITH_ARGUMENT.includes(letter)) return err(`sendmail: illegal option -- ${letter}`);
    // -d may stand alone; everything else wants its argument.
    const attached = rest !== "" || letter === "d";
    if (!attached && next === undefined) return err(`sendmail: option requires an argument -- ${letter}`);
    const done = valueFlag(draft, letter, attached ? rest : (next ?? ""));
    return done.ok ? ok(attached ? 0 : 1) : done;
  }
  return ok(0);
}

function plainFlag(draft: Draft, letter: string): Result<true> {
  if (letter === "t") draft.fromHeader = true;
  else if (letter === "i") draft.ignoreDots = true;
  else if (letter === "v") draft.verbose = true;
  else if (letter === "n")
    return err("-n cannot be done here: aliases are followed when the message is delivered, by the queue");
  // The time that belongs to it is not taken from the next word: Sendmail refuses it in the same words.
  else if (letter === "T") return err("Invalid time unit `T'");
  // c, m, s are obsolete and mean nothing today; -I once was newaliases. -G (rmail's) tells relayed mail from submitted mail, and there is
  // no difference here: names are made canonical in both.
  else if (letter === "I") draft.mode = "aliases";
  return ok(true);
}

function valueFlag(draft: Draft, letter: string, value: string): Result<true> {
  switch (letter) {
    case "b": {
      const mode = MODES.get(value);
      if (mode === undefined) return err(`Invalid operation mode ${value}`);
      draft.mode = mode;
      return ok(true);
    }
    case "f":
    case "r":
      if (draft.sender !== null) return err('More than one "from" person');
      // Nothing is the null sender: what forwards a message without one says so.
      draft.sender = value.trim() === "" ? "<>" : value;
      return ok(true);
    case "O": {
      const equals = value.indexOf("=");
      draft.options = [
        ...draft.options,
        equals < 0 ? [value, ""] : [value.slice(0, equals).trim(), value.slice(equals + 1).trim()],
      ];
      return ok(true);
    }
    case "o":
      if (value === "i") draft.ignoreDots = true;
      else if (value.startsWith("M")) setMacro(draft, value.slice(1));
      else draft.options = [...draft.options, [value.slice(0, 1), value.slice(1)]];
      return ok(true);
    case "N":
      return oneOfNotify(draft, value);
    case "R":
      if (!/^(hdrs|full)$/i.test(value)) return err(`Invalid -R value`);
      draft.ret = value.toUpperCase();
      return ok(true);
    case "h":
      if (!/^\d+$/.test(value)) return err(`Bad hop count (${value})`);
      draft.hops = Number(value);
      return ok(true);
    case "A":
      // submit.cf or sendmail.cf: there is one configuration, and who submits needs no other.
      return value === "c" || value === "m" ? ok(true) : err(`Illegal option -A${value}`);
    case "V":
      if (!isXtext(value)) return err("Invalid syntax in -V flag");
      draft.envid = value;
      return ok(true);
    case "X":
      return err(
        "-X cannot be done here: no traffic is written; `postern trace` explains a decision, the log has the answers",
      );
    case "B":
      if (!/^(7bit|8bitmime)$/i.test(value)) return err(`Illegal body type ${value}`);
      draft.body = value.toUpperCase();
      return ok(true);
    default:
      simpleValue(draft, letter, value);
      return ok(true);
  }
}

function simpleValue(draft: Draft, letter: string, value: string): void {
  if (letter === "C") draft.configuration = value;
  else if (letter === "F") draft.fullName = value;
  else if (letter === "L") draft.syslogTag = value;
  else if (letter === "p") {
    const colon = value.indexOf(":");
    draft.protocol = colon < 0 ? value : value.slice(0, colon);
    if (colon >= 0) draft.sendingHost = value.slice(colon + 1);
  } else if (letter === "M") setMacro(draft, value);
  else if (letter === "d") draft.debug = [...draft.debug, value];
  else if (letter === "e") draft.options = [...draft.options, ["e", value]];
  // -D names a file for debugging output, of which there is none here.
}

/** -oMrPROTOCOL, -oMsHOST: the macros that a message carries; no other is of any use here (Sendmail lets only root set others). */
function setMacro(draft: Draft, text: string): void {
  const [, name = "", value = ""] = /^(\{[^}]*\}|.)([\s\S]*)$/.exec(text) ?? [];
  if (name === "r" || name === "{r}") draft.protocol = value;
  else if (name === "s" || name === "{s}") draft.sendingHost = value;
}

function oneOfNotify(draft: Draft, value: string): Result<true> {
  const words = value.toUpperCase().split(",");
  const wrong = words.find((w) => !["NEVER", "SUCCESS", "FAILURE", "DELAY"].includes(w));
  if (wrong !== undefined || (words.includes("NEVER") && words.length > 1)) return err("Invalid -N argument");
  draft.notify = words.join(",");
  return ok(true);
}

const SELECTOR_FIELDS = new Map<string, Selector["field"]>([
  ["I", "id"],
  ["R", "recipient"],
  ["S", "sender"],
  ["Q", "reason"],
]);

/** -q, -q15m, -qp15m, -qf, -qIsub, -q!Rsub, -qQ, -qGgroup. */
function queueFlag(draft: Draft, text: string): Result<number> {
  draft.queueIntervalMs ??= 0;
  const negate = text.startsWith("!");
  const body = negate ? text.slice(1) : text;
  const field = SELECTOR_FIELDS.get(body.slice(0, 1));
  if (field !== undefined) {
    if (field === "reason") draft.quarantined = true;
    if (field !== "reason" || body.length > 1)
      draft.selectors = [...draft.selectors, { field, text: body.slice(1), negate }];
    return ok(0);
  }
  if (body.startsWith("L"))
    return err("-qL: no queue file is lost here; `postern spool verify` shows damaged records");
  // One queue group is all a gateway has: -qG runs it.
  if (body.startsWith("G") || body === "f") return ok(0);
  // -qp: one runner that stays. Every runner does.
  const interval = body.startsWith("p") ? body.slice(1) : body;
  if (interval === "") return ok(0);
  const ms = parseInterval(interval);
  if (ms === null) return err(`Invalid -q value`);
  draft.queueIntervalMs = ms;
  return ok(0);
}
