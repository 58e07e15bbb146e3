// Checks a configuration folder without changing anything: compiles it, reads its tables, aliases and class files, and says
// every error at once as `file:line:column: reason` with the paths that the administrator knows.

import { BUILD, inBuild, notInBuild } from "../base/build.ts";
import { LIST_FILE_BYTES_MAX } from "../base/limits.ts";
import { err, ok, type Result } from "../base/result.ts";
import type { Compilation, SourceReader } from "../config/compile.ts";
import { parseCompiled } from "../config/compiled.ts";
import type { Configuration, Place } from "../config/configuration.ts";
import { findConfiguration, realPathOf } from "../config/folder.ts";
import { inspectFiles } from "../config/inspect.ts";
import { lackingParts } from "../config/lacking.ts";
import type { BuildFacts } from "../config/mcstate.ts";
import { readBoundedFile, readFileLookup, statPath } from "../sys/files.ts";
import { joinPath } from "../sys/path.ts";
import { inspectTables } from "./inspect.ts";
import { COMPILERS } from "./registry.ts";
import type { Locate } from "./tables.ts";

/** A folder that stands for /etc/mail, and the system/ beside it. */
export interface ConfigFolder {
  readonly folder: string;
  /** null: the folder has no system/. */
  readonly system: string | null;
}

/** config/compile.ts's compileMc; null in a build without it. */
export type McCompiler = (path: string, reader: SourceReader, build: BuildFacts) => Compilation;

export interface Checked {
  readonly configuration: Configuration;
  /** Kconfig symbols that the configuration asked for. */
  readonly features: readonly string[];
  readonly warnings: readonly string[];
}

const MAIL = "/etc/mail";
/** The chapter's user and group of the daemon, when DefaultUser is a name. */
const DEFAULT_USER = { uid: 8, gid: 12 };

function exists(path: string, type: "file" | "directory"): boolean {
  const facts = statPath(path);
  return facts.kind === "found" && facts.value.type === type;
}

/** Both forms of a configuration folder: one with mail/, or one that holds sendmail.mc (or a compiled sendmail.cf) itself. */
export function findFolder(path: string): Result<ConfigFolder> {
  if (!exists(path, "directory")) return err(`${path}: no such folder`);
  const found = findConfiguration(path, readFileLookup);
  if (!found.ok) return err(`${path}: neither sendmail.mc nor mail/sendmail.mc in it`);
  const { mail, root } = found.value;
  const system = root === null ? null : joinPath(root, "system");
  return ok({ folder: mail, system: system !== null && exists(system, "directory") ? system : null });
}

/** uid and gid of DefaultUser when it is written in numbers. */
export function userOf(configuration: Configuration): { readonly uid: number; readonly gid: number } {
  const numbers = /^(\d{1,9})[:.](\d{1,9})$/.exec(configuration.options.DefaultUser);
  return numbers === null ? DEFAULT_USER : { uid: Number(numbers[1]), gid: Number(numbers[2]) };
}

/** Checks. The configuration that comes out has /etc/mail paths, as it will run. */
export function checkFolder(
  at: ConfigFolder,
  compile: McCompiler | null = COMPILERS[0] ?? null,
): Result<Checked, readonly string[]> {
  const locate: Locate = (path) => realPathOf(at.folder, path);
  const asked = new Set<string>();
  const compiled = readConfiguration(locate, compile, asked);
  if (!compiled.ok) return compiled;
  const { configuration, warnings } = compiled.value;
  const findings = [
    ...inspectTables(configuration, locate),
    ...inspectFiles(configuration, (path) => readFileLookup(locate(path))).map((finding) => ({
      ...finding,
      file: locate(finding.file),
      line: 1,
    })),
  ];
  const errors = findings.filter((f) => f.fatal).map((f) => `${f.file}:${f.line}:1: ${f.message}`);
  if (errors.length > 0) return err(errors);
  const advice = findings.map((f) => `${f.file}:${f.line}:1: warning: ${f.message}`);
  return ok({ configuration, features: [...asked], warnings: [...warnings, ...advice] });
}

function readConfiguration(
  locate: Locate,
  compile: McCompiler | null,
  asked: Set<string>,
): Result<
  { readonly configuration: Configuration; readonly warnings: readonly string[] },
  readonly string[]
> {
  const mc = `${MAIL}/sendmail.mc`;
  if (exists(locate(mc), "file") && compile !== null) {
    const build: BuildFacts = {
      available(symbol) {
        // What is not there is an error, or goes without: in neither case does the result need it.
        const there = inBuild(symbol);
        if (there) asked.add(symbol);
        return there;
      },
      missing: notInBuild,
    };
    const result = compile(mc, (path) => readFileLookup(locate(path)), build);
    const say = (place: Place | null, message: string): string =>
      place === null ? message : `${locate(place.file)}:${place.line}:${place.column}: ${message}`;
    if (result.configuration === null) return err(result.errors.map((e) => say(e.place, e.message)));
    const warnings = result.warnings.map((w) => say(w.place, `warning: ${w.message}`));
    return ok({ configuration: result.configuration, warnings });
  }
  const cf = locate(`${MAIL}/sendmail.cf`);
  const text = readBoundedFile(cf, LIST_FILE_BYTES_MAX);
  if (text.kind !== "found")
    return err([
      `${locate(mc)}: board ${BUILD.board} has no compiler for it, and there is no compiled ${cf}`,
    ]);
  const parsed = parseCompiled(text.value.toString("utf8"));
  if (!parsed.ok) return err([`${cf}:1:1: ${parsed.error}`]);
  const lacking = lackingParts(parsed.value, { available: inBuild, missing: notInBuild });
  if (lacking.length > 0) return err(lacking.map((text) => `${cf}:1:1: ${text}`));
  return ok({ configuration: parsed.value, warnings: [] });
}
