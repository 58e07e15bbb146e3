// What a board can leave out of the daemon itself, one marked line each (scripts/features.ts).
// Users take the first entry and say "not in this build" when there is none.

import { compileFound } from "../config/compile.ts"; // CONFIG_MC
import type { FoundCompiler } from "../config/folder.ts";
import { makeSmtpd } from "../smtpd/server.ts"; // CONFIG_LISTENER
import type { AddressTest } from "./addresstest.ts";
import type { TraceMeans, TraceQuestion, TraceReport } from "./tracing.ts";

/** The sendmail.mc compiler; empty on a board that takes only compiled configurations. */
export const COMPILERS: readonly FoundCompiler[] = [
  compileFound, // CONFIG_MC
];

/** Address test mode (sendmail -bt), loaded when it is asked for. */
type AddressTester = (test: AddressTest, input: AsyncIterable<Buffer>) => Promise<number>;

// biome-ignore format: one line each, the mark at the end
export const ADDRESS_TESTERS: readonly (() => Promise<AddressTester>)[] = [
  async () => (await import("./addresstest.ts")).addressTest, // CONFIG_APPLET_TRACE
];

/** postern trace, asked over the control socket; loaded when it is asked for. */
type Tracer = (means: TraceMeans, question: TraceQuestion) => Promise<TraceReport>;

// biome-ignore format: one line each, the mark at the end
export const TRACERS: readonly (() => Promise<Tracer>)[] = [
  async () => (await import("./tracing.ts")).traceDecision, // CONFIG_APPLET_TRACE
];

/** The SMTP server: listeners, and sessions on standard input (-bs). Empty on a board that only sends. */
export const SERVERS: readonly (typeof makeSmtpd)[] = [
  makeSmtpd, // CONFIG_LISTENER
];
