// Where and with what a run was made: date, processor, memory, kernel, programs and their versions; for the head of every report.

import { existsSync, readFileSync, statSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { type Contender, Overlay, posternBinary } from "./contender.ts";

export interface Machine {
  readonly date: string;
  readonly processor: string;
  readonly memory: string;
  readonly kernel: string;
  readonly system: string;
  readonly node: string;
  /** Load average of the last minute when the run began: what others did. */
  readonly load: number;
  readonly program: string;
  /** "Postfix 3.7.11-0+deb12u1", by contender. */
  readonly versions: readonly string[];
}

export function describe(contenders: readonly Contender[], work: string): Machine {
  const binary = posternBinary();
  const system = existsSync("/etc/os-release") ? readFileSync("/etc/os-release", "utf8") : "";
  return {
    date: new Date().toISOString().slice(0, 16).replace("T", " "),
    processor: `${cpus().length} x ${cpus()[0]?.model.trim() ?? "unknown processor"}`,
    memory: `${(totalmem() / 2 ** 30).toFixed(0)} GB`,
    kernel: `Linux ${release()}`,
    system: /^PRETTY_NAME="(.*)"/m.exec(system)?.[1] ?? "",
    node: process.version,
    load: loadavg()[0] ?? 0,
    program: existsSync(binary)
      ? `the packaged binary (${(statSync(binary).size / 1e6).toFixed(1)} MB)`
      : "the sources",
    versions: contenders.flatMap((c) =>
      c.package === undefined ? [] : [`${c.name} ${new Overlay(work, c.name).version(c.package)}`],
    ),
  };
}

/** One line for a title. */
export function headline(m: Machine): string {
  return `${m.date} UTC, ${m.processor}, ${m.memory}, ${m.kernel}, Node ${m.node}`;
}
