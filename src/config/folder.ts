// Finding a configuration: a .mc, a compiled sendmail.cf, or a folder of either form (contract section 2).
// /etc/mail in the text of a configuration means the folder it came from, so that a candidate is checked as it stands.

import { err, ok, type Result } from "../base/result.ts";
import { directoryOf, joinPath } from "../sys/path.ts";
import type { Compilation, SourceReader } from "./compile.ts";

/** Where a configuration lies. Paths are real ones. */
export interface Found {
  /** The folder that stands for /etc/mail. */
  readonly mail: string;
  /** The folder with system/ when the form has one, else null. */
  readonly root: string | null;
  readonly mc: string | null;
  readonly compiled: string | null;
}

/** Compiles the .mc of a found configuration (compile.ts has the one there is). */
export type FoundCompiler = (found: Found & { mc: string }, read: SourceReader) => Compilation;

/** The folder that configurations name. */
export const SETTINGS = "/etc/mail";

/** A reader that looks for /etc/mail/x in `folder`; other paths are read where they are. */
export function folderReader(folder: string, read: SourceReader): SourceReader {
  return (path) => read(realPathOf(folder, path));
}

/** The real path of a path that a configuration names. */
export function realPathOf(folder: string, path: string): string {
  return path === SETTINGS || path.startsWith(`${SETTINGS}/`)
    ? joinPath(folder, path.slice(SETTINGS.length))
    : path;
}

/** Finds the configuration at `path`: a file, a folder with mail/sendmail.mc, or a folder with sendmail.mc (or .cf) itself. */
export function findConfiguration(path: string, read: SourceReader): Result<Found> {
  const there = (file: string): boolean => read(file).kind === "found";
  for (const [mail, root] of [
    [joinPath(path, "mail"), path],
    [path, null],
  ] as const) {
    const mc = joinPath(mail, "sendmail.mc");
    const compiled = joinPath(mail, "sendmail.cf");
    const [hasMc, hasCompiled] = [there(mc), there(compiled)];
    if (hasMc || hasCompiled)
      return ok({ mail, root, mc: hasMc ? mc : null, compiled: hasCompiled ? compiled : null });
  }
  const file = read(path);
  if (file.kind === "found") {
    const isMc = path.endsWith(".mc") || !/^\s*\{/.test(file.value.subarray(0, 64).toString("latin1"));
    const cf = !isMc || path.endsWith(".cf");
    return ok({ mail: directoryOf(path), root: null, mc: cf ? null : path, compiled: cf ? path : null });
  }
  return err(
    file.kind === "absent" ? "cannot open: No such file or directory" : "no sendmail.mc in this folder",
  );
}
