// Where the configuration lies: /etc/mail, what -C names (a .mc, a compiled .cf, a folder in either form of the contract),
// and how paths in it are read: a folder that stands for /etc/mail answers for every /etc/mail path in its configuration.

import { err, ok, type Result } from "../base/result.ts";
import type { Configuration } from "../config/configuration.ts";
import { statPath } from "../sys/files.ts";
import { directoryOf, joinPath } from "../sys/path.ts";

export const MAIL_FOLDER = "/etc/mail";

export interface Place {
  /** The folder that stands for /etc/mail. */
  readonly folder: string;
  /** sendmail.mc, null when there is none. */
  readonly mc: string | null;
  /** A compiled sendmail.cf, null when there is none. */
  readonly cf: string | null;
  /** The folder beside mail/ with system/, null when the form has none. */
  readonly system: string | null;
  locate(path: string): string;
}

function exists(path: string, type: "file" | "directory"): boolean {
  const facts = statPath(path);
  return facts.kind === "found" && facts.value.type === type;
}

function place(folder: string, mc: string | null, cf: string | null, moved: boolean): Place {
  const parent = directoryOf(folder);
  const system = joinPath(parent, "system");
  return {
    folder,
    mc,
    cf,
    system: exists(system, "directory") ? system : null,
    locate: (path) =>
      moved && path.startsWith(`${MAIL_FOLDER}/`)
        ? joinPath(folder, path.slice(MAIL_FOLDER.length + 1))
        : path,
  };
}

/** Finds the configuration that `given` (-C) or the default names. The error is the line for standard error; exit 72 or 78. */
export function findConfiguration(
  given: string | null,
): Result<Place, { readonly message: string; readonly exit: number }> {
  const path = given ?? MAIL_FOLDER;
  if (exists(path, "directory")) {
    const folder = exists(joinPath(path, "mail"), "directory") ? joinPath(path, "mail") : path;
    const mc = joinPath(folder, "sendmail.mc");
    const cf = joinPath(folder, "sendmail.cf");
    const found = place(
      folder,
      exists(mc, "file") ? mc : null,
      exists(cf, "file") ? cf : null,
      folder !== MAIL_FOLDER,
    );
    if (found.mc === null && found.cf === null)
      return err({ message: `${folder}: no sendmail.mc and no sendmail.cf in it`, exit: 78 });
    return ok(found);
  }
  if (!exists(path, "file"))
    return err({ message: `${path}: line 0: cannot open: No such file or directory`, exit: 72 });
  const compiled = path.endsWith(".cf");
  return ok(place(directoryOf(path), compiled ? null : path, compiled ? path : null, false));
}

/** Every /etc/mail path in the configuration, wherever it stands, as `place` locates it. Plain data in, plain data out. */
export function relocate(configuration: Configuration, at: Place): Configuration {
  if (at.locate(`${MAIL_FOLDER}/x`) === `${MAIL_FOLDER}/x`) return configuration;
  const text = JSON.stringify(configuration, (_key, value: unknown) =>
    typeof value === "string"
      ? value.replace(
          /(^|[\s:,=])(\/etc\/mail\/[^\s,]*)/g,
          (_all, before: string, path: string) => before + at.locate(path),
        )
      : value,
  );
  // The text was made from a Configuration in this function; only its strings changed.
  return JSON.parse(text) as Configuration;
}
