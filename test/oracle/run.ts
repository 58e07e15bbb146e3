// `make oracle CASES=dir`: runs recorded decisions of Sendmail (reference/cases/README.md has the format) through the code that the
// daemon runs, prints each disagreement and `oracle: N of M agree`. Exit status 0 only when all agree.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Case, canonical, plainHost, titleOf } from "./cases.ts";
import { session } from "./conversation.ts";
import { alias, relay, rewrite, route } from "./decisions.ts";
import { message } from "./messages.ts";
import { readZone, type Zone } from "./resolver.ts";
import { type Opened, openCase } from "./site.ts";

function readCases(path: string): Case[] {
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => JSON.parse(line) as Case);
}

class Oracle {
  readonly #folder: string;
  readonly #zone: Zone;
  readonly #open = new Map<string, Opened>();

  constructor(folder: string) {
    this.#folder = folder;
    this.#zone = readZone(join(folder, "dns.json"));
  }

  #site(config: string): Opened {
    const known = this.#open.get(config) ?? openCase(join(this.#folder, `config-${config}`), this.#zone);
    this.#open.set(config, known);
    return known;
  }

  /** What we answer, in the shape of the record. */
  async answer(c: Case): Promise<unknown> {
    const opened = this.#site(c.config);
    switch (c.kind) {
      case "route":
        return route(opened, c);
      case "alias":
        return alias(opened, c);
      case "rewrite":
        return rewrite(opened, c);
      case "relay":
        return relay(opened, c);
      case "session":
        return session(opened, c);
      case "message":
        return message(opened, c);
    }
  }
}

/** The record in the shape that answers have: sets in order, trailing dots off. */
function expected(c: Case): unknown {
  if (c.kind === "route" && "host" in c.expect) return { ...c.expect, host: plainHost(c.expect.host) };
  if (c.kind === "alias") {
    const deliveries = c.expect.deliveries.map((d) => ({ ...d, host: plainHost(d.host) }));
    return { ...c.expect, deliveries: sorted(deliveries), messages: sorted(c.expect.messages) };
  }
  if (c.kind === "message") return { ...c.expect, sent: sorted(c.expect.sent) };
  return c.expect;
}

function normal(c: Case, answer: unknown): unknown {
  if (c.kind === "message") {
    const { replies, sent } = answer as { replies: unknown[]; sent: unknown[] };
    return { replies, sent: sorted(sent) };
  }
  if (c.kind !== "alias") return answer;
  const { deliveries, messages, exit } = answer as {
    deliveries: unknown[];
    messages: unknown[];
    exit: number;
  };
  return { deliveries: sorted(deliveries), messages: sorted(messages), exit };
}

function sorted(items: readonly unknown[]): unknown[] {
  return [...items].sort((a, b) => (canonical(a) < canonical(b) ? -1 : 1));
}

/** Runs all cases of a folder. Prints disagreements and the summary through `print`; true when all agree. */
export async function runFolder(folder: string, print: (line: string) => void): Promise<boolean> {
  const oracle = new Oracle(folder);
  const cases = ["cases.jsonl", "messages.jsonl"].flatMap((name) => readCases(join(folder, name)));
  let agreed = 0;
  for (const c of cases) {
    let ours: string;
    const theirs = canonical(expected(c));
    try {
      ours = canonical(normal(c, await oracle.answer(c)));
    } catch (e) {
      ours = `(${e instanceof Error ? e.message : String(e)})`;
    }
    if (ours === theirs) agreed++;
    else print(`DISAGREE ${titleOf(c)}\n  sendmail: ${theirs}\n  postern:  ${ours}`);
  }
  print(`oracle: ${agreed} of ${cases.length} agree`);
  return cases.length > 0 && agreed === cases.length;
}

if (process.argv[1] === import.meta.filename) {
  const folder = process.argv[2];
  if (folder === undefined || !existsSync(join(folder, "dns.json"))) {
    process.stderr.write("usage: run.ts DIR (with cases.jsonl, dns.json, config-*)\n");
    process.exitCode = 64;
  } else {
    const all = await runFolder(folder, (line) => process.stdout.write(`${line}\n`));
    process.exitCode = all ? 0 : 1;
  }
}
