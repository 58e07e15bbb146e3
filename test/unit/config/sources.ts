// What the tests of the compiler share: compiling a text from memory, with messages as the commands print them.
// Nothing here reads a disk.

import type { Lookup } from "../../../src/base/result.ts";
import { compileMc, formatMessage } from "../../../src/config/compile.ts";
import type { Configuration } from "../../../src/config/configuration.ts";
import type { BuildFacts } from "../../../src/config/mcstate.ts";

export interface Outcome {
  readonly configuration: Configuration | null;
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
}

/** A build with everything but `off`, called "test". */
export function buildWithout(...off: readonly string[]): BuildFacts {
  return {
    available: (symbol) => !off.includes(symbol),
    missing: (what) => `${what} is not in this build (board test)`,
  };
}

/** Compiles `text` as /etc/mail/sendmail.mc; `files` are the other files, by path. Places are shown without the folder. */
export function compileText(
  text: string,
  files: Readonly<Record<string, string>> = {},
  build: BuildFacts = buildWithout(),
): Outcome {
  const all = new Map(Object.entries({ ...files, "/etc/mail/sendmail.mc": text }));
  const reader = (path: string): Lookup<Buffer> => {
    const content = all.get(path);
    return content === undefined ? { kind: "absent" } : { kind: "found", value: Buffer.from(content) };
  };
  const result = compileMc("/etc/mail/sendmail.mc", reader, build);
  const shown = (place: Parameters<typeof formatMessage>[0], message: string): string =>
    formatMessage(place, message).replace(/^\/etc\/mail\//, "");
  return {
    configuration: result.configuration,
    errors: result.errors.map((e) => shown(e.place, e.message)),
    warnings: result.warnings.map((w) => shown(w.place, w.message)),
  };
}

/** A .mc around some lines: OSTYPE before them, the usual mailers after. The first of the lines is line 2. */
export function usual(lines: string): string {
  return `OSTYPE(\`ultrix4')dnl\n${lines}\nMAILER(\`local')dnl\nMAILER(\`smtp')dnl\n`;
}
