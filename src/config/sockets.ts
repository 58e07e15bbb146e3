// DAEMON_OPTIONS and CLIENT_OPTIONS: the key=value lists of listeners and of outgoing connections (semantics section 2,
// setdaemonoptions() in Sendmail's daemon.c: only the first letter of a key counts there, whole names are checked here).

import { err, ok, type Result } from "../base/result.ts";
import type { DaemonSpec, Place } from "./configuration.ts";
import type { M4Call } from "./m4.ts";
import type { Directive, McState } from "./mcstate.ts";

/** Length of the queue of connections that wait to be accepted, when Listen= is not given. */
const LISTEN_DEFAULT = 128;
const LISTEN_MAX = 4096;

const PORTS: ReadonlyMap<string, number> = new Map([
  ["smtp", 25],
  ["mail", 25],
  ["submission", 587],
  ["msa", 587],
  ["submissions", 465],
  ["smtps", 465],
  ["ssmtp", 465],
  ["urd", 465],
]);

const MODIFIERS = "abcfhrsuACEOS";

const DELIVERY_MODES: ReadonlyMap<string, string> = new Map([
  ["b", "background"],
  ["i", "interactive"],
  ["q", "queueonly"],
  ["d", "deferred"],
]);

type Key =
  | "name"
  | "address"
  | "port"
  | "family"
  | "listen"
  | "modifier"
  | "children"
  | "mode"
  | "send"
  | "receive"
  | "delayLA"
  | "queueLA"
  | "refuseLA"
  | "filter";

/** Sendmail's letters: upper and lower case differ. */
const LETTERS: ReadonlyMap<string, Key> = new Map([
  ["N", "name"],
  ["A", "address"],
  ["P", "port"],
  ["F", "family"],
  ["L", "listen"],
  ["M", "modifier"],
  ["c", "children"],
  ["D", "mode"],
  ["S", "send"],
  ["R", "receive"],
  ["d", "delayLA"],
  ["q", "queueLA"],
  ["r", "refuseLA"],
  ["I", "filter"],
]);

const NAMES: ReadonlyMap<string, Key> = new Map([
  ["name", "name"],
  ["addr", "address"],
  ["address", "address"],
  ["port", "port"],
  ["family", "family"],
  ["listen", "listen"],
  ["modifier", "modifier"],
  ["modifiers", "modifier"],
  ["modify", "modifier"],
  ["children", "children"],
  ["deliverymode", "mode"],
  ["sendbuffersize", "send"],
  ["sndbufsize", "send"],
  ["sendsize", "send"],
  ["receivebuffersize", "receive"],
  ["rcvbufsize", "receive"],
  ["receivesize", "receive"],
  ["delayla", "delayLA"],
  ["queuela", "queueLA"],
  ["refusela", "refuseLA"],
  ["inputfilter", "filter"],
]);

function keyOf(word: string): Key | undefined {
  return NAMES.get(word.toLowerCase()) ?? (word.length === 1 ? LETTERS.get(word) : undefined);
}

function whole(text: string, most: number): Result<number> {
  if (!/^\d{1,9}$/.test(text) || Number(text) > most) return err(`"${text}" is not a number up to ${most}`);
  return ok(Number(text));
}

function portOf(text: string): Result<number> {
  const named = PORTS.get(text.toLowerCase());
  if (named !== undefined) return ok(named);
  return whole(text, 65535).ok ? ok(Number(text)) : err(`"${text}" is neither a port nor the name of one`);
}

function addressOf(text: string): Result<string> {
  const bare = text.replace(/^\[(.*)\]$/, "$1").replace(/^IPv6:/i, "");
  if (/^[A-Za-z0-9_.:%-]+$/.test(bare)) return ok(bare);
  return err(`"${text}" is not an address`);
}

function modifiersOf(text: string): Result<string> {
  const letters = text.replace(/\s+/g, "");
  for (const letter of letters)
    if (!MODIFIERS.includes(letter)) return err(`unknown modifier "${letter}" (${[...MODIFIERS].join(" ")})`);
  return ok(letters);
}

type Fields = { -readonly [K in keyof DaemonSpec]: DaemonSpec[K] };

function assign<T>(result: Result<T>, write: (value: T) => void): string {
  if (!result.ok) return result.error;
  write(result.value);
  return "";
}

/** Sets one field; returns the reason when the value is bad, else "". */
function setField(fields: Fields, key: Key, value: string): string {
  switch (key) {
    case "name":
      fields.name = value;
      return /^[\w.-]+$/.test(value) ? "" : `"${value}" is not a name`;
    case "address":
      return assign(addressOf(value), (address) => {
        fields.address = address === "0.0.0.0" || address === "::" ? "" : address;
      });
    case "port":
      return assign(portOf(value), (port) => {
        fields.port = port;
      });
    case "family":
      if (value !== "inet" && value !== "inet6") return `unknown address family ${value}`;
      fields.family = value;
      return "";
    case "modifier":
      return assign(modifiersOf(value), (letters) => {
        fields.modifiers = letters;
      });
    case "mode": {
      const mode = DELIVERY_MODES.get(value.slice(0, 1).toLowerCase());
      fields.deliveryMode = mode ?? "";
      return mode === undefined ? `unknown delivery mode ${value}` : "";
    }
    case "filter":
      return value === "" ? "" : "milters are not in this build";
    default:
      return setAmount(fields, key, value);
  }
}

function setAmount(
  fields: Fields,
  key: "listen" | "children" | "send" | "receive" | "delayLA" | "queueLA" | "refuseLA",
  value: string,
): string {
  const most = key === "listen" ? LISTEN_MAX : key === "send" || key === "receive" ? 1 << 26 : 100_000;
  return assign(whole(value, most), (amount) => {
    if (key === "listen") fields.listen = amount || LISTEN_DEFAULT;
    else if (key === "children") fields.children = amount;
    else if (key === "send") fields.sendBufferSize = amount;
    else if (key === "receive") fields.receiveBufferSize = amount;
    else fields[key] = amount;
  });
}

/** Reads `Name=MTA, Port=smtp, Addr=..` of `option` (DaemonPortOptions or ClientPortOptions). All faults at once. */
export function parseSocketOptions(
  text: string,
  option: "DaemonPortOptions" | "ClientPortOptions",
  fallbackName: string,
): Result<DaemonSpec, readonly string[]> {
  const fields: Fields = {
    name: fallbackName,
    address: "",
    port: option === "DaemonPortOptions" ? 25 : 0,
    family: "inet",
    listen: LISTEN_DEFAULT,
    modifiers: "",
    children: 0,
    deliveryMode: "",
    sendBufferSize: 0,
    receiveBufferSize: 0,
    delayLA: 0,
    queueLA: 0,
    refuseLA: 0,
  };
  const faults: string[] = [];
  for (const part of text.split(",")) {
    const equate = part.trim();
    if (equate === "") continue;
    const at = equate.indexOf("=");
    const word = (at < 0 ? equate : equate.slice(0, at)).trim();
    const key = keyOf(word);
    if (key === undefined) faults.push(`"${word}" unknown ${option} parameter`);
    else if (at < 0) faults.push(`${option} parameter "${word}" wants a value: ${word}=...`);
    else {
      const reason = setField(fields, key, equate.slice(at + 1).trim());
      if (reason !== "") faults.push(`${option} ${word}: ${reason}`);
    }
  }
  if (fields.family === "inet" && fields.address.includes(":"))
    faults.push(`${option}: ${fields.address} is an IPv6 address; add Family=inet6`);
  return faults.length === 0 ? ok(fields) : err(faults);
}

/** Notes a listener; all are read at the end, when the default submission listener is known. */
export function addListener(state: McState, text: string, place: Place): void {
  state.daemons.push({ text, place });
}

function readAll(
  state: McState,
  noted: readonly { text: string; place: Place }[],
  option: "DaemonPortOptions" | "ClientPortOptions",
): { spec: DaemonSpec; place: Place }[] {
  const result: { spec: DaemonSpec; place: Place }[] = [];
  for (const [index, { text, place }] of noted.entries()) {
    const parsed = parseSocketOptions(text, option, option === "DaemonPortOptions" ? `Daemon${index}` : "");
    if (parsed.ok) result.push({ spec: parsed.value, place });
    else for (const fault of parsed.error) state.error(place, fault);
  }
  return result;
}

function sameSocket(a: DaemonSpec, b: DaemonSpec): boolean {
  return (
    a.port !== 0 &&
    a.port === b.port &&
    a.family === b.family &&
    (a.address === b.address || a.address === "" || b.address === "")
  );
}

/** The listeners: those of DAEMON_OPTIONS, or MTA on port 25; and MSA on 587 unless no_default_msa. */
export function listeners(state: McState): DaemonSpec[] {
  const [asked] = state.daemons;
  if (!state.build.available("LISTENER")) {
    if (asked !== undefined) state.error(asked.place, state.build.missing("DAEMON_OPTIONS"));
    return [];
  }
  const given = readAll(state, state.daemons, "DaemonPortOptions");
  for (const [index, { spec, place }] of given.entries()) {
    const other = given.slice(0, index).find((earlier) => sameSocket(earlier.spec, spec));
    if (other !== undefined)
      state.error(
        place,
        `DAEMON_OPTIONS: ${spec.name} and ${other.spec.name} want the same port ${spec.port}`,
      );
    else if (given.slice(0, index).some((earlier) => earlier.spec.name === spec.name))
      state.warn(
        place,
        `DAEMON_OPTIONS: the name ${spec.name} is used twice; log lines cannot tell them apart`,
      );
  }
  const result = given.map(({ spec }) => spec);
  const fallback = (text: string): void => {
    const parsed = parseSocketOptions(text, "DaemonPortOptions", "MTA");
    if (parsed.ok) result.push(parsed.value);
  };
  if (state.daemons.length === 0 && state.m4.macro("_NETINET6_") !== undefined) {
    fallback("Name=MTA-v4, Family=inet");
    fallback("Name=MTA-v6, Family=inet6");
  } else if (state.daemons.length === 0) fallback("Name=MTA");
  if (state.features.noDefaultMsa) return result;
  const taken = given.find(({ spec }) => spec.port === 587);
  if (taken === undefined) fallback("Port=587, Name=MSA, M=E");
  else
    state.warn(
      taken.place,
      "DAEMON_OPTIONS takes port 587 from the default listener MSA, which is left out; say FEATURE(`no_default_msa') to make that plain",
    );
  return result;
}

export function outgoing(state: McState): DaemonSpec[] {
  return readAll(state, state.clients, "ClientPortOptions").map(({ spec }) => spec);
}

/** Without quotes the commas cut the list, and Sendmail reads the first part only. */
function firstArgument(call: M4Call, state: McState): string {
  if (call.args.length > 1)
    state.warn(call.place, `${call.name} reads its first argument only; put the whole list in quotes`);
  return call.args[0] ?? "";
}

export const SOCKET_DIRECTIVES: readonly Directive[] = [
  {
    name: "DAEMON_OPTIONS",
    blind: true,
    usage: "Name=, Addr=, Port=, Family=, Modifier=, ...",
    doc: "A listener; the first one replaces the default on port 25.",
    run: (call, state) => {
      addListener(state, firstArgument(call, state), call.place);
      return undefined;
    },
  },
  {
    name: "CLIENT_OPTIONS",
    blind: true,
    usage: "Addr=, Port=, Family=, Modifier=, ...",
    doc: "Our side of outgoing connections.",
    run: (call, state) => {
      state.clients.push({ text: firstArgument(call, state), place: call.place });
      return undefined;
    },
  },
];
