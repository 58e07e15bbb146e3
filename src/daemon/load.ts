// From -C to a running configuration: found, loaded or compiled (config/folder.ts, config/compile.ts), its /etc/mail paths made real, -O and -o applied.
// Errors are the lines to print, all at once, with the exit status; nothing is started on half a configuration.

import { inBuild, notInBuild } from "../base/build.ts";
import { err, ok, type Result } from "../base/result.ts";
import { isStale, parseCompiled } from "../config/compiled.ts";
import type { Configuration } from "../config/configuration.ts";
import { type Found, findConfiguration, folderReader, realPathOf } from "../config/folder.ts";
import { lackingParts } from "../config/lacking.ts";
import { formatMessage } from "../config/message.ts";
import { overrideOption } from "../config/override.ts";
import { readFileLookup } from "../sys/files.ts";
import { COMPILERS } from "./registry.ts";

export const MAIL_FOLDER = "/etc/mail";

export interface Ready {
  readonly found: Found;
  readonly configuration: Configuration;
  /** Warnings of the compiler, for people. */
  readonly notices: readonly string[];
}

export interface NotReady {
  /** Complete lines, without newline. */
  readonly lines: readonly string[];
  /** sysexits.h */
  readonly exit: number;
}

const EX_SOFTWARE = 70;
const EX_OSFILE = 72;
const EX_CONFIG = 78;

/** Loads what `given` (-C, null for /etc/mail) names and puts -O and -o options over it. */
export function readyConfiguration(
  given: string | null,
  options: readonly (readonly [string, string])[] = [],
): Result<Ready, NotReady> {
  const path = given ?? MAIL_FOLDER;
  const found = findConfiguration(path, readFileLookup);
  if (!found.ok)
    return err({
      lines: [
        found.error.startsWith("cannot open") ? `${path}: line 0: ${found.error}` : `${path}: ${found.error}`,
      ],
      exit: found.error.startsWith("cannot open") ? EX_OSFILE : EX_CONFIG,
    });
  const read = readFound(found.value);
  if (!read.ok) return read;
  let configuration = relocate(read.value.configuration, found.value.mail);
  for (const [name, value] of options) {
    const done = overrideOption(configuration, name, value);
    if (!done.ok) return err({ lines: [done.error], exit: EX_SOFTWARE });
    configuration = done.value;
  }
  return ok({
    found: found.value,
    configuration,
    notices: read.value.notices,
  });
}

type Read = Result<{ readonly configuration: Configuration; readonly notices: readonly string[] }, NotReady>;

/** The compiled form when it is alone or fresh, else the .mc. */
function readFound(found: Found): Read {
  const [compile] = COMPILERS;
  const notices: string[] = [];
  const refuse = (...lines: string[]): Read => err({ lines, exit: EX_CONFIG });
  if (found.compiled !== null) {
    const text = readFileLookup(found.compiled);
    const parsed = text.kind === "found" ? parseCompiled(text.value.toString("utf8")) : err("cannot be read");
    const alone = found.mc === null || compile === undefined;
    const changed =
      parsed.ok && !alone ? isStale(parsed.value, folderReader(found.mail, readFileLookup)) : null;
    if (parsed.ok && changed === null) {
      const lacking = lackingParts(parsed.value, { available: inBuild, missing: notInBuild });
      if (lacking.length > 0) return refuse(...lacking.map((words) => `${found.compiled}:1:1: ${words}`));
      return ok({ configuration: parsed.value, notices });
    }
    if (alone) return refuse(`${found.compiled}:1:1: ${parsed.ok ? "" : parsed.error}`);
    notices.push(
      `${found.compiled}: ${parsed.ok ? `made before ${changed} changed` : parsed.error}; ${found.mc} is used`,
    );
  }
  if (found.mc === null || compile === undefined)
    return refuse(
      `${found.mc ?? found.mail}: ${notInBuild("the compiler of sendmail.mc")}; compile it elsewhere with postern m4`,
    );
  const result = compile({ ...found, mc: found.mc }, readFileLookup);
  if (result.configuration === null)
    return refuse(...result.errors.map((e) => formatMessage(e.place, e.message)));
  notices.push(...result.warnings.map((w) => formatMessage(w.place, `warning: ${w.message}`)));
  return ok({ configuration: result.configuration, notices });
}

/** Every /etc/mail path in the configuration, wherever it stands, as a path below `folder`. Plain data in, plain data out. */
export function relocate(configuration: Configuration, folder: string): Configuration {
  if (folder === MAIL_FOLDER) return configuration;
  const text = JSON.stringify(configuration, (_key, value: unknown) =>
    typeof value === "string"
      ? value.replace(
          /(^|[\s:,=])(\/etc\/mail(?:\/[^\s,]*)?)(?=$|[\s,])/g,
          (_all, before: string, path: string) => before + realPathOf(folder, path),
        )
      : value,
  );
  // The text was made from a Configuration in this function; only its strings changed.
  return JSON.parse(text) as Configuration;
}
