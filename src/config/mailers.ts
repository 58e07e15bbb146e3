// MAILER(), MODIFY_MAILER_FLAGS and raw M lines: which mailers there are, with the flags and arguments that Sendmail's
// cf/mailer/*.m4 give them. Settings (SMTP_MAILER_ARGS and its like) count when they stand before the MAILER() that uses them.

import type { MailerSpec, Place } from "./configuration.ts";
import type { M4Call } from "./m4.ts";
import type { Directive, McState } from "./mcstate.ts";
import { suggestion } from "./nearest.ts";

/** Sendmail's DEFAULT_MAX_RCPT: recipients of one transaction with a next hop. */
const RECIPIENTS_DEFAULT = 100;
const SMTP_LINE_MAX = 990;
const RELAY_LINE_MAX = 2040;

interface MailerPlan {
  readonly name: string;
  /** Prefix of the macros that change it, and its name in MODIFY_MAILER_FLAGS. */
  readonly prefix: string;
  readonly flags: string;
  readonly args: string;
}

/** Macros of mailers that only have an effect before MAILER(), to warn about late ones. */
export const MAILER_SETTING = /^(?:(?:LOCAL|E?SMTP8?|DSMTP|RELAY|PROCMAIL|CYRUSV2)_(?:MAILER|SHELL)_[A-Z]+)$/;

function numberSetting(state: McState, name: string, otherwise: number): number {
  const text = state.value(name).trim();
  if (text === "") return otherwise;
  if (/^\d{1,10}$/.test(text)) return Number(text);
  state.error(
    state.m4.macro(name)?.place ?? { file: "", line: 0, column: 0 },
    `${name}: "${text}" is not a number`,
  );
  return otherwise;
}

/** The value of a macro, or `otherwise` when it is not defined (an empty definition counts). */
function setting(state: McState, name: string, otherwise: string): string {
  return state.m4.macro(name) === undefined ? otherwise : state.value(name);
}

/** Flags after MODIFY_MAILER_FLAGS: +f adds, -f removes, others replace. */
function modifiedFlags(state: McState, group: string, flags: string): string {
  let result = flags;
  const changes = state.flagChanges.get(group) ?? [];
  const plain = changes.findLast((change) => !/^[+-]/.test(change));
  if (plain !== undefined) result = plain;
  const rest = plain === undefined ? changes : changes.slice(changes.lastIndexOf(plain) + 1);
  const letters = (sign: string): string =>
    rest
      .filter((change) => change.startsWith(sign))
      .map((change) => change.slice(1))
      .join("");
  for (const letter of letters("-")) result = result.replaceAll(letter, "");
  for (const letter of letters("+")) if (!result.includes(letter)) result += letter;
  return result;
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Which implementation serves a mailer with this program and these flags. */
function kindOfProgram(path: string, args: string, flags: string): string {
  if (path === "[IPC]" || path === "[TCP]") return flags.includes("z") ? "lmtp" : "smtp";
  if (path === "[FILE]") return "file";
  if (path === "[LPC]") return "lmtp";
  const program = baseName(path);
  if (program === "mail.local") return flags.includes("z") || /\s-l\b/.test(args) ? "lmtp" : "local";
  // Debian's sensible-mda and the BSD mail programs append to the mailbox, as the built-in mailer does.
  if (["mail", "binmail", "sensible-mda", "lmail", "mailx", "rmail"].includes(program)) return "local";
  // Any other program gets the message on its standard input and A= as its arguments.
  return "procmail";
}

function smtpMailer(state: McState, plan: MailerPlan): MailerSpec {
  const relay = plan.name === "relay";
  const own = setting(state, "SMTP_MAILER_FLAGS", "");
  const flags = `${setting(state, "_DEF_SMTP_MAILER_FLAGS", "mDFMuX")}${plan.flags}${relay ? setting(state, "RELAY_MAILER_FLAGS", own) : own}`;
  return {
    name: plan.name,
    kind: "smtp",
    flags: modifiedFlags(state, plan.prefix, flags),
    path: "[IPC]",
    args: setting(state, `${plan.prefix}_MAILER_ARGS`, plan.args),
    lineMax: relay
      ? numberSetting(state, "RELAY_MAILER_LL", RELAY_LINE_MAX)
      : numberSetting(state, "SMTP_MAILER_LL", SMTP_LINE_MAX),
    sizeMax: relay ? 0 : numberSetting(state, "SMTP_MAILER_MAX", 0),
    recipientsMax: numberSetting(state, "SMTP_MAILER_MAXRCPTS", RECIPIENTS_DEFAULT),
    messagesMax: numberSetting(state, relay ? "RELAY_MAILER_MAXMSGS" : "SMTP_MAILER_MAXMSGS", 0),
    waitSeconds: 0,
    charset: setting(state, relay ? "RELAY_MAILER_CHARSET" : "SMTP_MAILER_CHARSET", ""),
  };
}

function program(name: string, kind: string, flags: string, path: string, args: string): MailerSpec {
  return {
    name,
    kind,
    flags,
    path,
    args,
    lineMax: 0,
    sizeMax: 0,
    recipientsMax: RECIPIENTS_DEFAULT,
    messagesMax: 0,
    waitSeconds: 0,
    charset: "",
  };
}

/** Checks the arguments of an SMTP mailer: `TCP host [port]`. */
function checkArgs(state: McState, spec: MailerSpec, place: Place): void {
  if (spec.kind !== "smtp") return;
  const [word, host, port, ...more] = spec.args.trim().split(/\s+/);
  if (
    (word === "TCP" || word === "IPC") &&
    host !== undefined &&
    more.length === 0 &&
    /^(\d{1,5}|[a-z]+|\$\{?\w+\}?)?$/.test(port ?? "")
  )
    return;
  state.error(place, `mailer ${spec.name}: the arguments "${spec.args}" are not of the form TCP $h [port]`);
}

function declareLocal(state: McState): MailerSpec[] {
  const flags = modifiedFlags(
    state,
    "LOCAL",
    setting(state, "_DEF_LOCAL_MAILER_FLAGS", "lsDFMAw5:/|@q") +
      setting(state, "LOCAL_MAILER_FLAGS", "Prmn9"),
  );
  const path = setting(state, "LOCAL_MAILER_PATH", "/bin/mail");
  const args = setting(state, "LOCAL_MAILER_ARGS", "mail -d $u");
  const kind = kindOfProgram(path, args, flags);
  // A program that the administrator named; what OSTYPE brought unasked is replaced by our own mailer (deliver/registry.ts).
  const named = state.m4.macro("LOCAL_MAILER_PATH");
  const brought = state.features.localProcmail?.path === path;
  if (kind === "procmail" && !brought && named !== undefined && !state.build.available("MAILER_PROCMAIL"))
    state.error(named.place, state.build.missing("LOCAL_MAILER_PATH with a program"));
  const local: MailerSpec = {
    ...program("local", kind, flags, path, args),
    sizeMax: numberSetting(state, "LOCAL_MAILER_MAX", 0),
    messagesMax: numberSetting(state, "LOCAL_MAILER_MAXMSGS", 0),
    recipientsMax: numberSetting(state, "LOCAL_MAILER_MAXRCPTS", RECIPIENTS_DEFAULT),
    charset: setting(state, "LOCAL_MAILER_CHARSET", ""),
  };
  const shellFlags = modifiedFlags(
    state,
    "SHELL",
    setting(state, "_DEF_LOCAL_SHELL_FLAGS", "lsDFMoq") + setting(state, "LOCAL_SHELL_FLAGS", "eu9"),
  );
  const shell = setting(state, "LOCAL_SHELL_PATH", "/bin/sh");
  return [
    local,
    {
      ...program("prog", "prog", shellFlags, shell, setting(state, "LOCAL_SHELL_ARGS", "sh -c $u")),
      sizeMax: local.sizeMax,
    },
  ];
}

function declareSmtp(state: McState): MailerSpec[] {
  return [
    { name: "smtp", prefix: "SMTP", flags: "", args: "TCP $h" },
    { name: "esmtp", prefix: "ESMTP", flags: "a", args: "TCP $h" },
    { name: "smtp8", prefix: "SMTP8", flags: "8", args: "TCP $h" },
    { name: "dsmtp", prefix: "DSMTP", flags: "a%", args: "TCP $h" },
    { name: "relay", prefix: "RELAY", flags: "a8", args: "TCP $h" },
  ].map((plan) => smtpMailer(state, plan));
}

function declareProcmail(state: McState): MailerSpec[] {
  const path = setting(
    state,
    "PROCMAIL_MAILER_PATH",
    setting(state, "PROCMAIL_PATH", "/usr/local/bin/procmail"),
  );
  const flags = modifiedFlags(state, "PROCMAIL", `DFM${setting(state, "PROCMAIL_MAILER_FLAGS", "SPhnu9")}`);
  const args = setting(state, "PROCMAIL_MAILER_ARGS", "procmail -Y -m $h $f $u");
  return [
    {
      ...program("procmail", "procmail", flags, path, args),
      sizeMax: numberSetting(state, "PROCMAIL_MAILER_MAX", 0),
    },
  ];
}

function declareCyrusV2(state: McState): MailerSpec[] {
  const flags = modifiedFlags(
    state,
    "CYRUSV2",
    `lsDFMnqXz${setting(state, "CYRUSV2_MAILER_FLAGS", "A@/:|m")}`,
  );
  return [
    program(
      "cyrusv2",
      "lmtp",
      flags,
      "[IPC]",
      setting(state, "CYRUSV2_MAILER_ARGS", "FILE /var/imap/socket/lmtp"),
    ),
  ];
}

/** Kconfig symbols of the implementations by kind. */
const KIND_SYMBOLS = new Map<string, string>([
  ["smtp", "MAILER_SMTP"],
  ["lmtp", "MAILER_LMTP"],
  ["local", "MAILER_LOCAL"],
  ["procmail", "MAILER_PROCMAIL"],
  ["prog", "MAILER_PROG"],
  ["file", "MAILER_FILE"],
]);

interface MailerGroup {
  readonly name: string;
  readonly doc: string;
  /** Kconfig symbol that must be on, "" for none. */
  readonly symbol: string;
  declare(state: McState): MailerSpec[];
}

// biome-ignore format: one group a line.
export const MAILER_GROUPS: readonly MailerGroup[] = [
  { name: "local", doc: "local (mailboxes) and prog (programs of aliases).", symbol: "MAILER_LOCAL", declare: declareLocal },
  { name: "smtp", doc: "smtp, esmtp, smtp8, dsmtp and relay.", symbol: "MAILER_SMTP", declare: declareSmtp },
  { name: "procmail", doc: "procmail with the rc file that the host part names.", symbol: "MAILER_PROCMAIL", declare: declareProcmail },
  { name: "cyrusv2", doc: "cyrusv2: LMTP to a socket.", symbol: "MAILER_LMTP", declare: declareCyrusV2 },
];

/** Mailers of Sendmail that this gateway has not. */
const ABSENT_GROUPS = [
  "cyrus",
  "fax",
  "mail11",
  "phquery",
  "pop",
  "qpage",
  "ssh",
  "usenet",
  "uucp",
  "xagent",
];

/** Declares the mailers of MAILER(name). */
export function declareMailers(state: McState, name: string, argument: string, place: Place): void {
  const group = MAILER_GROUPS.find((candidate) => candidate.name === name);
  if (group === undefined) {
    if (ABSENT_GROUPS.includes(name)) state.error(place, state.build.missing(`MAILER(${name})`));
    else {
      const known = MAILER_GROUPS.map((candidate) => candidate.name);
      state.error(
        place,
        `MAILER(${name}) is unknown: cannot open 'mailer/${name}.m4': No such file or directory${suggestion(name, known)}`,
      );
    }
    return;
  }
  const instance = argument === "" ? name : argument;
  if (state.mailerGroups.has(instance)) {
    state.error(place, `MAILER(${instance}) already included`);
    return;
  }
  state.mailerGroups.set(instance, place);
  state.mailersBegan ??= place;
  if (group.symbol !== "" && !state.build.available(group.symbol)) {
    state.error(place, state.build.missing(`MAILER(${name})`));
    return;
  }
  for (const spec of group.declare(state)) {
    checkArgs(state, spec, place);
    state.mailers.set(spec.name, spec);
  }
}

/** The mailers that are there without being asked for. */
export function builtInMailers(state: McState): MailerSpec[] {
  if (state.mailersBegan !== null && !state.mailerGroups.has("local"))
    for (const spec of declareLocal(state)) state.mailers.set(spec.name, spec);
  return [
    program("*file*", "file", "lsDFMPEouq9", "[FILE]", "FILE $u"),
    program("*include*", "file", "su", "/dev/null", "INCLUDE $u"),
    program("error", "error", "", "", ""),
    program("discard", "discard", "", "", ""),
  ];
}

function modifyFlags(call: M4Call, state: McState): undefined {
  const [name = "", change = ""] = call.args.map((text) => text.trim());
  const known = ["LOCAL", "SHELL", "SMTP", "ESMTP", "SMTP8", "DSMTP", "RELAY", "PROCMAIL", "CYRUSV2"];
  if (!known.includes(name))
    state.error(
      call.place,
      `MODIFY_MAILER_FLAGS: there is no mailer group "${name}"${suggestion(name, known)}`,
    );
  else if (!/^[+-]?[\x21-\x7e]+$/.test(change))
    state.error(call.place, `MODIFY_MAILER_FLAGS: "${change}" is not +flags, -flags or flags`);
  else {
    if (state.mailersBegan !== null)
      state.warn(call.place, "MODIFY_MAILER_FLAGS has no effect after MAILER(): move it up");
    state.changeFlags(name, change);
  }
  return undefined;
}

export const MAILER_DIRECTIVES: readonly Directive[] = [
  {
    name: "MAILER",
    blind: true,
    usage: "name",
    doc: "Declares mailers: local, smtp, procmail, cyrusv2.",
    run: (call, state) => {
      const [name = "", argument = ""] = call.args.map((text) => text.trim());
      declareMailers(state, name, argument, call.place);
      return undefined;
    },
  },
  {
    name: "MODIFY_MAILER_FLAGS",
    blind: true,
    usage: "group, +flags | -flags | flags",
    doc: "Changes the flags of a mailer; before MAILER().",
    run: modifyFlags,
  },
];

const EQUATE = /^([A-Za-z])[A-Za-z]*=(.*)$/s;

/** Reads `Mname, P=.., F=.., A=..` of MAILER_DEFINITIONS; null after an error. Only network and program mailers can be defined. */
export function parseMailerLine(state: McState, line: string, place: Place): MailerSpec | null {
  const [head = "", ...equates] = line.slice(1).split(/,\s*/);
  const values = new Map<string, string>();
  for (let i = 0; i < equates.length; i += 1) {
    const match = EQUATE.exec((equates[i] ?? "").trim());
    // A= takes the rest of the line, commas and all.
    if (match?.[1] === "A") values.set("A", [match[2], ...equates.slice(i + 1)].join(", "));
    else if (match !== null) values.set(match[1] ?? "", match[2] ?? "");
    else if ((equates[i] ?? "").trim() !== "") {
      state.error(place, `mailer ${head.trim()}: "${(equates[i] ?? "").trim()}" is not of the form X=value`);
      return null;
    }
    if (match?.[1] === "A") break;
  }
  const name = head.trim();
  const path = values.get("P") ?? "";
  const args = values.get("A") ?? "";
  if (!/^[A-Za-z][\w-]*$/.test(name) || path === "" || args === "") {
    state.error(place, `mailer ${name}: a mailer wants a name, P= and A=`);
    return null;
  }
  const flags = (values.get("F") ?? "").replace(/\s+/g, "");
  const amount = (letter: string, otherwise: number): number => {
    const text = values.get(letter) ?? "";
    return /^\d{1,10}$/.test(text) ? Number(text) : otherwise;
  };
  const spec: MailerSpec = {
    ...program(name, kindOfProgram(path, args, flags), flags, path, args),
    lineMax: amount("L", 0),
    sizeMax: amount("M", 0),
    messagesMax: amount("m", 0),
    recipientsMax: amount("r", RECIPIENTS_DEFAULT),
    waitSeconds: amount("W", 0),
    charset: values.get("C") ?? "",
  };
  checkArgs(state, spec, place);
  const symbol = KIND_SYMBOLS.get(spec.kind);
  if (symbol === undefined || state.build.available(symbol)) return spec;
  state.error(place, state.build.missing(`mailer ${name} (${spec.kind})`));
  return null;
}
