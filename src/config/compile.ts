// sendmail.mc -> Configuration. Says every error at once, each with file, line and column; touches no disk itself (an injected
// reader does) and runs no program. include() of Sendmail's own m4 files works without the files.

import { inBuild, notInBuild } from "../base/build.ts";
import { CONFIGURATION_FILE_BYTES_MAX } from "../base/limits.ts";
import { ABSENT, found, type Lookup, tempfail } from "../base/result.ts";
import { digest } from "../sys/crypto.ts";
import { baseName, directoryOf, isAbsolutePath, joinPath } from "../sys/path.ts";
import { assemble, PRESET } from "./assemble.ts";
import type { Configuration, Place, Warning } from "./configuration.ts";

import { type Found, folderReader, realPathOf, SETTINGS } from "./folder.ts";
import { M4, type M4Call, type M4Message } from "./m4.ts";
import { defineBuiltins } from "./m4builtins.ts";
import { type BuildFacts, McState } from "./mcstate.ts";
import { SYSTEM_TYPES } from "./ostypes.ts";
import { readLeftovers } from "./rawlines.ts";
import { type CfReader, directives } from "./system.ts";

/** Reads a whole file by the path that the configuration uses. */
export type SourceReader = (path: string) => Lookup<Buffer>;

export { formatMessage } from "./message.ts";

export interface Compilation {
  /** null when there is any error. */
  readonly configuration: Configuration | null;
  readonly errors: readonly M4Message[];
  readonly warnings: readonly Warning[];
}

/** What this binary was built with. */
export const THIS_BUILD: BuildFacts = { available: inBuild, missing: notInBuild };

const SENDMAIL_CF = /(^|\/)(cf|cfhead|proto|version)\.m4$/;
const DEBIAN_AUTOCONF = /(^|\/)debian\/autoconf\.m4$/;
/** Files that Debian's packages write beside a sendmail.mc; their absence elsewhere is not the administrator's fault. */
const DEBIAN_GENERATED = /^\/etc\/mail\/(tls\/starttls|sasl\/sasl|m4\/(dialup|provider))\.m4$/;

class SourceTree {
  readonly sources: { path: string; sha256: string }[] = [];
  /** Where Sendmail's own m4 files would be, "" when the .mc does not say. */
  cfFolder = "";
  readonly #reader: SourceReader;
  readonly #state: () => McState;

  constructor(reader: SourceReader, state: () => McState) {
    this.#reader = reader;
    this.#state = state;
  }

  /** Text of a file, recorded with its hash. */
  read(path: string): Lookup<{ file: string; text: string }> {
    // Reading a device may never end.
    if (/^\/(dev|proc|sys)\//.test(path)) return tempfail(`${path} is not a file for configurations`);
    const bytes = this.#reader(path);
    if (bytes.kind !== "found") return bytes;
    if (bytes.value.length > CONFIGURATION_FILE_BYTES_MAX)
      return tempfail(`${path} is larger than ${CONFIGURATION_FILE_BYTES_MAX} bytes`);
    if (bytes.value.includes(0)) return tempfail(`${path} is not text: it holds NUL bytes`);
    if (!this.sources.some((source) => source.path === path))
      this.sources.push({ path, sha256: digest("sha256", bytes.value).toString("hex") });
    return found({ file: path, text: bytes.value.toString("utf8") });
  }

  /** What include() and sinclude() do. */
  include(
    path: string,
    from: string,
    optional: boolean,
    place: Place,
  ): Lookup<{ file: string; text: string }> | "known" {
    const state = this.#state();
    if (SENDMAIL_CF.test(path)) {
      this.cfFolder = isAbsolutePath(path) ? directoryOf(directoryOf(path)) : "";
      enterSendmail(state.m4);
      return "known";
    }
    if (DEBIAN_AUTOCONF.test(path)) {
      for (const [name, value] of SYSTEM_TYPES.get("debian")?.settings ?? [])
        if (name.startsWith("sm_")) state.m4.define(name, value, place);
      return "known";
    }
    if (path.trim() === "") return ABSENT;
    const resolved = isAbsolutePath(path) ? path : joinPath(directoryOf(from), path);
    const source = this.read(resolved);
    if (source.kind === "absent" && !optional && DEBIAN_GENERATED.test(path)) {
      state.warn(place, `${path} is not there (Debian's packages make it); what it would set is not set`);
      return "known";
    }
    return source;
  }
}

/** What reading cf.m4 does to m4: no comments, and format is a word like any other. */
function enterSendmail(m4: M4): void {
  m4.comment = ["", "\n"];
  for (const name of ["format", "hpux", "unix"]) m4.undefine(name);
}

function printed(state: McState, message: M4Message): void {
  const text = message.message.replace(/^\*+\s*/, "");
  if (/^ERROR\b/.test(text)) state.error(message.place, text.replace(/^ERROR:?\s*/, ""));
  else if (text !== "") state.warn(message.place, text.replace(/^WARNING:?\s*/, ""));
}

function prepare(
  start: Place,
  tree: (state: () => McState) => SourceTree,
  build: BuildFacts,
): { state: McState; sources: SourceTree } {
  const m4 = new M4(start);
  const state = new McState(m4, build);
  const sources = tree(() => state);
  defineBuiltins(m4, {
    readSource: (path, from, optional, place) => sources.include(path, from, optional, place),
    print: (message) => printed(state, message),
  });
  const beside = directoryOf(start.file);
  const readCf: CfReader = (path, where) => {
    const folder = where === "beside" ? beside : state.value("_CF_DIR_") || sources.cfFolder;
    return folder === "" ? ABSENT : sources.read(joinPath(folder, path));
  };
  for (const directive of directives(readCf)) {
    const run = (call: M4Call): string => directive.run(call, state) ?? "";
    m4.define(directive.name, "", start, { blind: directive.blind, run });
  }
  for (const [name, text] of PRESET) m4.define(name, text, start);
  return { state, sources };
}

/**
 * Compiles the .mc at `path`. `reader` gets the paths as they are written in the configuration (include, relative ones beside the
 * including file); `build` says what there is, this binary unless a test says otherwise; `defines` are m4's -D arguments, NAME[=VALUE].
 */
export function compileMc(
  path: string,
  reader: SourceReader,
  build: BuildFacts = THIS_BUILD,
  defines: readonly string[] = [],
): Compilation {
  const start: Place = { file: path, line: 1, column: 1 };
  const { state, sources } = prepare(start, (get) => new SourceTree(reader, get), build);
  for (const define of defines) {
    const [name = "", ...value] = define.split("=");
    if (name !== "") state.m4.define(name, value.join("="), start);
  }
  const main = sources.read(path);
  if (main.kind !== "found") {
    const reason = main.kind === "absent" ? "cannot open: No such file or directory" : main.reason;
    return { configuration: null, errors: [{ place: start, message: reason }], warnings: [] };
  }
  // Without include(cf.m4) the makefile gives cf.m4 to m4 first (FreeBSD, SUSE): the language is there from the start.
  if (!/include\([^)]{0,200}cf\.m4/.test(main.value.text)) enterSendmail(state.m4);
  state.m4.process(main.value.file, main.value.text);
  if (state.m4.halted) return { configuration: null, errors: state.m4.errors, warnings: state.warnings };
  state.m4.quotes = ["`", "'"];
  state.m4.diversion = 0;
  readLeftovers(state);
  const configuration = assemble(state, sources.sources, start);
  const errors = [...state.m4.errors].sort(byPlace);
  const warnings = [...state.warnings].sort((a, b) =>
    a.place !== null && b.place !== null ? byPlace({ place: a.place }, { place: b.place }) : 0,
  );
  return { configuration: errors.length === 0 ? { ...configuration, warnings } : null, errors, warnings };
}

/** Files in the order in which they were met, places in reading order. */
function byPlace(a: { place: Place }, b: { place: Place }): number {
  if (a.place.file !== b.place.file) return 0;
  return a.place.line - b.place.line || a.place.column - b.place.column;
}

/** The place names of messages with the real path of the folder instead of /etc/mail. */
function shown<T extends { readonly place: { readonly file: string } | null }>(
  folder: string,
  items: readonly T[],
): T[] {
  return items.map((item) =>
    item.place === null
      ? item
      : { ...item, place: { ...item.place, file: realPathOf(folder, item.place.file) } },
  );
}

/** Compiles the .mc of a found configuration; places in messages are real paths. */
export function compileFound(
  found: Found & { mc: string },
  read: SourceReader,
  build: BuildFacts = THIS_BUILD,
  defines: readonly string[] = [],
): Compilation {
  const reader = folderReader(found.mail, read);
  const result = compileMc(`${SETTINGS}/${baseName(found.mc)}`, reader, build, defines);
  return {
    ...result,
    errors: shown(found.mail, result.errors),
    warnings: shown(found.mail, result.warnings),
  };
}
