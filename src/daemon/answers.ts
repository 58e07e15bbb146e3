// What the control socket answers, one function a verb, over a running gateway. Adding a verb is one entry here and one in
// control/protocol.ts. Answers are JSON values; nothing here throws for what a caller asks.

import { notInBuild } from "../base/build.ts";
import { err, ok, type Result } from "../base/result.ts";
import type { Selector as AskedSelector, Call, CallVerb } from "../control/protocol.ts";
import type { Smtpd } from "../smtpd/server.ts";
import type { Selector } from "../spool/selector.ts";
import type { Spool } from "../spool/spool.ts";
import { memoryUse } from "../sys/process.ts";
import { type Gateway, smrshDirectories } from "./gateway.ts";
import type { MailStats } from "./hostlisting.ts";
import { numberedMailers } from "./mailerlist.ts";
import { TRACERS } from "./registry.ts";

export interface Answering {
  readonly gateway: Gateway;
  readonly smtpd: Smtpd | null;
  reload(): Result<true>;
  startedMs: number;
}

type Answer = (a: Answering, spool: Spool, call: Call) => Promise<Result<unknown>>;

function selectorsOf(call: Call): Selector[] {
  const asked: readonly AskedSelector[] = call.selectors ?? [];
  const list: Selector[] = asked.map((s) => ({ kind: s.field, text: s.text, negate: s.negate }));
  for (const name of call.names ?? []) list.push({ kind: "id", text: name, negate: false });
  // -qQ without a text means every quarantined message.
  if (call.quarantined === true && !list.some((s) => s.kind === "reason"))
    list.push({ kind: "reason", text: "", negate: false });
  return list;
}

const ANSWERS = new Map<CallVerb, Answer>([
  ["mailq", async (_a, spool, call) => ok(spool.list(selectorsOf(call)))],
  ["flush", async (_a, spool, call) => ok(await spool.flush(selectorsOf(call)))],
  ["hold", async (_a, spool, call) => ok(await spool.hold(selectorsOf(call), call.reason ?? ""))],
  [
    "release",
    async (_a, spool, call) => ok(await spool.release(selectorsOf({ ...call, quarantined: true }))),
  ],
  ["delete", async (_a, spool, call) => ok(await spool.remove(selectorsOf(call)))],
  ["requeue", async (_a, spool, call) => ok(await spool.requeue(selectorsOf(call)))],
  ["show", async (_a, spool, call) => ok(await shown(spool, call.names ?? []))],
  ["verify", async (_a, spool) => ok({ figures: spool.figures(), damaged: await spool.damaged() })],
  ["reinject", async (_a, spool, call) => spool.reinject(call.names?.[0] ?? "", call.reason ?? "")],
  ["discard", async (_a, spool, call) => ok(await spool.discardDamaged(call.names?.[0] ?? ""))],
  ["suspend", async (a, spool, call) => ok(await turn(a, spool, call.names ?? [], true))],
  ["resume", async (a, spool, call) => ok(await turn(a, spool, call.names ?? [], false))],
  ["hoststat", async (a) => ok(a.gateway.generation.mailers.status.snapshot())],
  ["purgestat", async (a) => ok(a.gateway.generation.mailers.status.purge(false) ?? null)],
  ["mailstats", async (a) => ok(a.gateway.statistics.rows())],
  ["counters", async (a) => ok(counters(a))],
  ["history", async (a, _spool, call) => ok(a.gateway.statistics.history(call.names ?? []))],
  ["reload", async (a) => a.reload()],
  ["trace", async (a, _spool, call) => traced(a, call)],
  ["status", async (a, spool) => ok(status(a, spool))],
]);

async function shown(spool: Spool, ids: readonly string[]): Promise<unknown[]> {
  const out: unknown[] = [];
  for (const id of ids) {
    const one = await spool.show(id);
    if (one !== null)
      out.push({ entry: one.entry, envelope: one.envelope, header: one.header.toString("latin1") });
  }
  return out;
}

async function turn(
  a: Answering,
  spool: Spool,
  parts: readonly string[],
  off: boolean,
): Promise<readonly string[]> {
  for (const part of parts) {
    if (part === "listener") a.smtpd?.suspend(off);
    if (off) await spool.suspend(part);
    else await spool.resume(part);
  }
  return [...spool.suspended];
}

/** A decision of the running configuration. */
async function traced(a: Answering, call: Call): Promise<Result<unknown>> {
  const load = TRACERS[0];
  if (load === undefined) return err(notInBuild("trace"));
  if (call.trace === undefined) return err("trace wants client, sender and recipient");
  const { around, site, configuration } = a.gateway;
  const trace = await load();
  const means = {
    site,
    clock: around.clock,
    entropy: around.entropy,
    jail: around.folders.jail,
    smrshDirectories: smrshDirectories(configuration),
  };
  const { client, sender, recipient } = call.trace;
  return ok(
    await trace(means, {
      client: String(client),
      sender: String(sender),
      recipient: String(recipient),
      helo: "",
    }),
  );
}

/** What mailstats prints, with the numbers that the configuration gives its mailers. */
function counters(a: Answering): MailStats {
  const { statistics, configuration, around } = a.gateway;
  const names = numberedMailers(configuration.mailers).map((m) => m.name);
  const numbered = statistics.rows().map((row) => {
    const number = names.indexOf(row.mailer);
    return { ...row, number: number < 0 ? names.length : number };
  });
  return {
    sinceWallMs: statistics.sinceWallMs,
    nowWallMs: around.clock.wallMs(),
    rows: numbered.sort((x, y) => x.number - y.number),
    totals: statistics.totals,
  };
}

function status(a: Answering, spool: Spool): unknown {
  return {
    uptimeMs: Math.round(a.gateway.around.clock.monotonicMs() - a.startedMs),
    host: a.gateway.site.j,
    queue: spool.figures(),
    sessions: a.smtpd?.stats ?? null,
    memory: memoryUse(),
    tables: a.gateway.generation.opened.notices(),
  };
}

/** Answers one call; the error is a line for people. */
export async function answer(a: Answering, call: Call): Promise<Result<unknown>> {
  const { spool } = a.gateway;
  if (spool === null) return err("the queue cannot be used: the spool is not available");
  const found = ANSWERS.get(call.verb);
  return found === undefined ? err(`unknown call ${JSON.stringify(call.verb)}`) : found(a, spool, call);
}
