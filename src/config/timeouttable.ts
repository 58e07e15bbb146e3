// The Timeout.* rows of the option table (semantics section 24): how long Sendmail waits in each place. Values are milliseconds;
// a bare number in a .mc is minutes, hours for queuewarn, days for queuereturn, seconds for resolver.retrans (settimeout() in readcf.c).

import { DURATION_MS_MAX, type OptionRow, type TimeUnit } from "./optionkinds.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

function wait<const N extends string>(
  name: N,
  initialMs: number,
  doc: string,
  unit: TimeUnit = "m",
  leads: readonly string[] = [],
) {
  const key = name.replaceAll("-", "").replaceAll(".", "_").toUpperCase();
  const row: OptionRow<`Timeout.${N}`, number> = {
    name: `Timeout.${name}`,
    conf: `confTO_${key}`,
    letter: "",
    kind: "duration",
    default: initialMs,
    unit,
    min: 0,
    max: DURATION_MS_MAX,
    values: [],
    leads: leads.map((lead) => `Timeout.${lead}`),
    effective: true,
    doc,
  };
  return row;
}

function tries<const N extends string>(name: N, initial: number, doc: string, leads: readonly string[] = []) {
  const row: OptionRow<`Timeout.${N}`, number> = {
    ...wait(name, 0, doc, "s", leads),
    kind: "integer",
    default: initial,
    max: 100,
  };
  return row;
}

export const TIMEOUT_ROWS = [
  wait("aconnect", 0, "All connection attempts for one delivery together; 0: no limit of its own."),
  wait("auth", 10 * MINUTE, "A line of an AUTH exchange."),
  wait("command", HOUR, "The next command of a client."),
  wait("connect", 5 * MINUTE, "A connection to a next hop."),
  wait("control", 2 * MINUTE, "A request on the control socket."),
  wait("datablock", HOUR, "A block of message data."),
  wait("datafinal", HOUR, "The reply to the final dot."),
  wait("datainit", 5 * MINUTE, "The reply to DATA."),
  wait("fileopen", 60 * SECOND, "Opening an :include: or .forward file."),
  wait("helo", 5 * MINUTE, "The reply to HELO or EHLO."),
  wait("hoststatus", 30 * MINUTE, "How long the status of a host counts."),
  wait("iconnect", 5 * MINUTE, "The first connection attempt of a message."),
  wait("ident", 5 * SECOND, "An ident query; none is made here (0 disables)."),
  wait("initial", 5 * MINUTE, "The greeting of a next hop."),
  wait("lhlo", 2 * MINUTE, "The reply to LHLO."),
  wait("mail", 10 * MINUTE, "The reply to MAIL."),
  wait("misc", 2 * MINUTE, "The reply to NOOP, VERB and others."),
  wait("queuereturn", 5 * DAY, "How long a message is tried before it is returned.", "d", [
    "queuereturn.dsn",
    "queuereturn.normal",
    "queuereturn.urgent",
    "queuereturn.non-urgent",
  ]),
  wait("queuereturn.dsn", 5 * DAY, "The same for delivery reports.", "d"),
  wait("queuereturn.normal", 5 * DAY, "The same for mail of normal priority.", "d"),
  wait("queuereturn.urgent", 2 * DAY, "The same for urgent mail.", "d"),
  wait("queuereturn.non-urgent", 7 * DAY, "The same for mail that is not urgent.", "d"),
  wait("queuewarn", 4 * HOUR, "When the sender is warned that a message is late; 0: never.", "h", [
    "queuewarn.dsn",
    "queuewarn.normal",
    "queuewarn.urgent",
    "queuewarn.non-urgent",
  ]),
  wait("queuewarn.dsn", 4 * HOUR, "The same for delivery reports.", "h"),
  wait("queuewarn.normal", 4 * HOUR, "The same for mail of normal priority.", "h"),
  wait("queuewarn.urgent", HOUR, "The same for urgent mail.", "h"),
  wait("queuewarn.non-urgent", 12 * HOUR, "The same for mail that is not urgent.", "h"),
  wait("quit", 2 * MINUTE, "The reply to QUIT."),
  wait("rcpt", HOUR, "The reply to RCPT."),
  wait("resolver.retrans", 5 * SECOND, "A DNS query before it is sent again.", "s", [
    "resolver.retrans.first",
    "resolver.retrans.normal",
  ]),
  wait("resolver.retrans.first", 5 * SECOND, "The same for the first delivery of a message.", "s"),
  wait("resolver.retrans.normal", 5 * SECOND, "The same for later deliveries.", "s"),
  tries("resolver.retry", 4, "How often a DNS query is sent.", [
    "resolver.retry.first",
    "resolver.retry.normal",
  ]),
  tries("resolver.retry.first", 4, "The same for the first delivery of a message."),
  tries("resolver.retry.normal", 4, "The same for later deliveries."),
  wait("rset", 5 * MINUTE, "The reply to RSET."),
  wait("starttls", HOUR, "A TLS handshake after STARTTLS."),
] as const;
