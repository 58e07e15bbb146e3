// The commands of postern spool. A running daemon does the work; without one it is done in this process.
// Ids are exact here: a part of an id never deletes anything.

import { ok, type Result } from "../base/result.ts";
import type { Call, CallVerb, Selector } from "../control/protocol.ts";
import type { Envelope } from "../mail/envelope.ts";
import type { QueueEntry, SpoolFigures } from "../spool/spool.ts";
import { printable } from "../sys/log.ts";
import type { CommandLine } from "./commandline.ts";
import { ask, type Job } from "./commands.ts";
import { formatMailq } from "./listing.ts";
import type { ModeIo } from "./modes.ts";
import { EX_NOPERM, forbidden } from "./permission.ts";
import { timeText } from "./tracetext.ts";

const EX_OK = 0;
const EX_USAGE = 64;
const EX_NOUSER = 67;
const EX_TEMPFAIL = 75;

export interface SpoolRequest {
  readonly command: string;
  readonly names: readonly string[];
  readonly all: boolean;
  readonly json: boolean;
  readonly line: CommandLine;
}

type Command = (job: Job, request: SpoolRequest, io: ModeIo) => Promise<number>;

interface ShownMessage {
  readonly entry: QueueEntry;
  readonly envelope: Envelope;
  readonly header: string;
}

interface Verified {
  readonly figures: SpoolFigures;
  readonly damaged: readonly { readonly name: string; readonly reason: string; readonly bytes: number }[];
}

function failed(text: string, io: ModeIo): number {
  io.err(`${text}\n`);
  return EX_TEMPFAIL;
}

/** Free and held messages together, in the order of the next run. */
async function entriesOf(job: Job, selectors: readonly Selector[]): Promise<Result<readonly QueueEntry[]>> {
  const reasons = selectors.some((s) => s.field === "reason");
  const calls: Call[] = [{ verb: "mailq", selectors, quarantined: reasons }];
  if (!reasons) calls.push({ verb: "mailq", selectors, quarantined: true });
  const entries: QueueEntry[] = [];
  for (const call of calls) {
    const asked = await ask(job, call);
    if (!asked.ok) return asked;
    // mailq is answered with entries.
    entries.push(...(asked.value as QueueEntry[]));
  }
  return ok(entries);
}

async function list(job: Job, request: SpoolRequest, io: ModeIo): Promise<number> {
  const why = forbidden("list", job.ready.configuration.options, job.folders.queue);
  if (why !== "") {
    io.err(`${why}\n`);
    return EX_NOPERM;
  }
  const found = await entriesOf(job, request.line.selectors);
  if (!found.ok) return failed(found.error, io);
  const { names } = request;
  const entries = names.length === 0 ? found.value : found.value.filter((e) => names.includes(e.id));
  if (request.json) io.out(`${JSON.stringify(entries)}\n`);
  else io.out(formatMailq(job.folders.queue, entries, request.line.verbose));
  return missing(names, entries, io);
}

function missing(names: readonly string[], entries: readonly { readonly id: string }[], io: ModeIo): number {
  const unknown = names.filter((name) => !entries.some((e) => e.id === name));
  for (const name of unknown) io.err(`${printable(name)}: no such message\n`);
  return unknown.length > 0 ? EX_NOUSER : EX_OK;
}

async function show(job: Job, request: SpoolRequest, io: ModeIo): Promise<number> {
  const { names } = request;
  if (names.length === 0) return usage("show wants ids", io);
  const asked = await ask(job, { verb: "show", names });
  if (!asked.ok) return failed(asked.error, io);
  // show is answered with messages.
  const messages = asked.value as ShownMessage[];
  if (request.json) io.out(`${JSON.stringify(messages)}\n`);
  else for (const message of messages) io.out(shownText(message));
  return missing(
    names,
    messages.map((m) => m.entry),
    io,
  );
}

function shownText({ entry, envelope, header }: ShownMessage): string {
  const { origin } = envelope;
  const from =
    origin.clientAddress === "" ? "this machine" : `${origin.clientName} [${origin.clientAddress}]`;
  const lines = [
    `id        ${entry.id}`,
    `sender    <${envelope.sender}>`,
    ...entry.recipients.map((r) => `recipient <${r.address}>${r.text === "" ? "" : `  ${r.text}`}`),
    `from      ${from}${origin.protocol === "" ? "" : `, ${origin.protocol}`}`,
    `arrived   ${timeText(entry.arrivedMs)}`,
    `body      ${entry.sizeBytes} bytes`,
    `priority  ${entry.priority}, ${entry.tries} tries`,
    ...(entry.hold === "" ? [] : [`held      ${entry.hold}`]),
    ...(entry.text === "" ? [] : [`status    ${entry.text}`]),
  ];
  // A terminal must not be told what to do by a header.
  const fields = header.trimEnd().split("\r\n").map(printable);
  return `${lines.map(printable).join("\n")}\n\n${fields.join("\n")}\n\n`;
}

/** hold, release, delete, requeue, flush: one call per id, or one for the selectors. */
function changing(verb: CallVerb): Command {
  return async (job, request, io) => {
    const { names, line, all } = request;
    if (names.length === 0 && line.selectors.length === 0 && !all)
      return usage(`${request.command} wants ids, a selector (-qR...) or --all`, io);
    const known = await entriesOf(job, line.selectors);
    if (!known.ok) return failed(known.error, io);
    const meant = known.value.filter((e) => names.length === 0 || names.includes(e.id));
    const reason = line.quarantineReason ?? "held by the administrator";
    let done = 0;
    for (const entry of meant) {
      if (verb === "release" && entry.hold === "") continue;
      const quarantined = entry.hold !== "";
      const asked = await ask(job, { verb, names: [entry.id], reason, quarantined });
      if (!asked.ok) return failed(asked.error, io);
      done++;
    }
    if (request.json) io.out(`${JSON.stringify({ [request.command]: done })}\n`);
    else io.out(`${done} message${done === 1 ? "" : "s"}\n`);
    return missing(names, known.value, io);
  };
}

async function verify(job: Job, request: SpoolRequest, io: ModeIo): Promise<number> {
  const asked = await ask(job, { verb: "verify" });
  if (!asked.ok) return failed(asked.error, io);
  // verify is answered with figures and damaged records.
  const [found] = asked.value as [Verified];
  if (request.json) io.out(`${JSON.stringify(found)}\n`);
  else {
    const { figures, damaged } = found;
    io.out(
      `${figures.messages} messages, ${figures.held} held, ${figures.running} being delivered\n` +
        `${figures.log.segments} segments, ${figures.log.free} free, ${figures.log.bytes} bytes\n`,
    );
    if (figures.trouble !== "") io.out(`trouble: ${printable(figures.trouble)}\n`);
    if (figures.suspended.length > 0) io.out(`suspended: ${figures.suspended.join(" ")}\n`);
    for (const d of damaged)
      io.out(`damaged ${printable(d.name)}: ${printable(d.reason)}, ${d.bytes} bytes\n`);
    if (damaged.length === 0) io.out("no damaged records\n");
  }
  return EX_OK;
}

/** reinject, discard: damaged records by the names that verify shows. */
function mending(verb: CallVerb): Command {
  return async (job, { command, names, json, line }, io) => {
    if (names.length === 0) return usage(`${command} wants the names that verify shows`, io);
    const done: string[] = [];
    for (const name of names) {
      const asked = await ask(job, { verb, names: [name], reason: line.quarantineReason ?? "" });
      if (!asked.ok) return failed(asked.error, io);
      if (asked.value[0] === false) {
        io.err(`${printable(name)}: no such damaged record\n`);
        return EX_NOUSER;
      }
      done.push(
        verb === "reinject" ? `${name}: in the queue as ${String(asked.value[0])}` : `${name}: discarded`,
      );
    }
    io.out(json ? `${JSON.stringify(done)}\n` : `${done.map(printable).join("\n")}\n`);
    return EX_OK;
  };
}

/** Verbs whose answer is shown as it is. */
function asking(verb: CallVerb, names: (given: readonly string[]) => readonly string[]): Command {
  return async (job, request, io) => {
    const asked = await ask(job, { verb, names: names(request.names) });
    if (!asked.ok) return failed(asked.error, io);
    if (request.json) io.out(`${JSON.stringify(asked.value.length === 1 ? asked.value[0] : asked.value)}\n`);
    else if (verb === "status") io.out(statusText(asked.value[0]));
    else
      io.out(asked.value.length === 0 ? "nothing is suspended\n" : `suspended: ${asked.value.join(" ")}\n`);
    return EX_OK;
  };
}

/** `name: value` lines of nested figures. */
function statusText(value: unknown, prefix = ""): string {
  if (typeof value !== "object" || value === null) return `${prefix}: ${printable(String(value))}\n`;
  if (Array.isArray(value)) return value.length === 0 ? "" : `${prefix}: ${printable(value.join(" "))}\n`;
  return Object.entries(value)
    .map(([key, inner]) => statusText(inner, prefix === "" ? key : `${prefix}.${key}`))
    .join("");
}

const PARTS = new Set(["delivery", "listener"]);

/** suspend and resume: delivery unless something else is said. */
function parts(verb: CallVerb): Command {
  return async (job, request, io) => {
    const unknown = request.names.find((name) => !PARTS.has(name));
    if (unknown !== undefined) return usage(`${unknown}: delivery or listener`, io);
    return asking(verb, (given) => (given.length === 0 ? ["delivery"] : given))(job, request, io);
  };
}

function usage(text: string, io: ModeIo): number {
  io.err(`${printable(text)}\n`);
  return EX_USAGE;
}

const COMMANDS = new Map<string, Command>([
  ["list", list],
  ["show", show],
  ["hold", changing("hold")],
  ["release", changing("release")],
  ["delete", changing("delete")],
  ["requeue", changing("requeue")],
  ["flush", changing("flush")],
  ["verify", verify],
  ["reinject", mending("reinject")],
  ["discard", mending("discard")],
  ["status", asking("status", () => [])],
  ["suspend", parts("suspend")],
  ["resume", parts("resume")],
]);

export const SPOOL_VERBS: ReadonlySet<string> = new Set(COMMANDS.keys());

export async function spoolJob(job: Job, request: SpoolRequest, io: ModeIo): Promise<number> {
  return (await COMMANDS.get(request.command)?.(job, request, io)) ?? EX_USAGE;
}
