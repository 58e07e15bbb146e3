// The compiled form of a configuration: JSON, versioned, every default written out, with the hashes of its sources.
// Reading it checks every member against the table of options and the shape of a default configuration: a damaged or foreign
// file is refused with a reason, and a sendmail.cf of Sendmail with advice. Promise: parse(format(c)) equals c.

import { err, ok, type Result } from "../base/result.ts";
import { digest } from "../sys/crypto.ts";
import type { SourceReader } from "./compile.ts";
import type { Configuration } from "./configuration.ts";
import { defaultConfiguration } from "./defaults.ts";
import { defaultOptions } from "./options.ts";
import { OPTION_ROWS } from "./optiontable.ts";

/** The version that this gateway writes. It reads this one; there is no earlier one yet. */
export const COMPILED_VERSION = 1;

/** The text of sendmail.cf. */
export function formatCompiled(configuration: Configuration): string {
  return `${JSON.stringify(configuration, null, 1)}\n`;
}

type Json = { readonly [key: string]: unknown };

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isStrings(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

function checkOptions(value: unknown): Result<Configuration["options"]> {
  if (!isObject(value)) return err("options are missing");
  const given = new Map(Object.entries(value));
  const options = new Map<string, unknown>(Object.entries(defaultOptions()));
  for (const row of OPTION_ROWS) {
    const item = given.get(row.name);
    given.delete(row.name);
    // An option that this version has and the writer's had not keeps its default.
    if (item === undefined) continue;
    const right = Array.isArray(row.default) ? isStrings(item) : typeof item === typeof row.default;
    const inBounds =
      typeof item !== "number" || (Number.isFinite(item) && item >= row.min && item <= row.max);
    const chosen = row.kind !== "choice" || row.values.includes(String(item));
    if (!right || !inBounds || !chosen) return err(`option ${row.name} has an unusable value`);
    options.set(row.name, item);
  }
  const [unknown] = given.keys();
  if (unknown !== undefined) return err(`unknown option ${unknown}`);
  return ok(Object.fromEntries(options) as unknown as Configuration["options"]);
}

/** Compares kinds of values; null in the template accepts anything of an object's kind. */
function sameShape(value: unknown, model: unknown, path: string): string {
  if (model === null) return value === null || typeof value === "object" ? "" : path;
  if (Array.isArray(model)) {
    if (!Array.isArray(value)) return path;
    const [first] = model;
    if (first === undefined) return "";
    for (const [index, item] of value.entries()) {
      const wrong = sameShape(item, first, `${path}[${index}]`);
      if (wrong !== "") return wrong;
    }
    return "";
  }
  if (!isObject(model)) return typeof value === typeof model ? "" : path;
  if (!isObject(value)) return path;
  // Classes and $ macros are keyed by the administrator's own names.
  if (path === "classes") return Object.values(value).every(isStrings) ? "" : path;
  if (path === "macros") return Object.values(value).every((item) => typeof item === "string") ? "" : path;
  const members = new Map(Object.entries(value));
  for (const [key, part] of Object.entries(model)) {
    const wrong = sameShape(members.get(key), part, path === "" ? key : `${path}.${key}`);
    if (wrong !== "") return wrong;
  }
  return "";
}

/** A default configuration with one sample where a list is empty, and without what is checked elsewhere. */
function shape(): Json {
  const { options: _options, features, ...rest } = defaultConfiguration();
  const map = { zone: "", message: "", tempMessage: "", results: [""], enhanced: true };
  const kept = Object.entries({ ...features, dnsbl: [map] }).filter(([key]) => !LOOSE_FEATURES.has(key));
  return {
    ...rest,
    sources: [{ path: "", sha256: "" }],
    clients: rest.daemons,
    queueGroups: [{ name: "", equates: "" }],
    warnings: [{ message: "" }],
    features: Object.fromEntries(kept),
  };
}

/** Values that are null in the default configuration and objects otherwise: which texts they must hold. */
const NULLABLE_TEXTS: readonly (readonly [path: readonly string[], members: readonly string[]])[] = [
  [["smartHost"], ["mailer", "host"]],
  [["mailHub"], ["mailer", "host"]],
  [["localRelay"], ["mailer", "host"]],
  [["luserRelay"], ["mailer", "host"]],
  [
    ["features", "nullClient"],
    ["mailer", "host"],
  ],
  [
    ["features", "authInfo"],
    ["type", "path"],
  ],
  [
    ["features", "domainTable"],
    ["type", "path"],
  ],
  [
    ["features", "genericsTable"],
    ["type", "path"],
  ],
  [
    ["features", "mailerTable"],
    ["type", "path"],
  ],
  [
    ["features", "virtUserTable"],
    ["type", "path"],
  ],
];

/** Features that may be null or a text or a number; sameShape cannot know. */
const LOOSE_FEATURES = new Set(["alwaysAddDomain", "greetPauseMs", "smrsh"]);

function checkNullable(json: Json): string {
  for (const [path, members] of NULLABLE_TEXTS) {
    let value: unknown = json;
    for (const key of path) value = isObject(value) ? value[key] : value;
    if (value === null) continue;
    if (!isObject(value)) return path.join(".");
    for (const member of members) if (typeof value[member] !== "string") return `${path.join(".")}.${member}`;
  }
  return "";
}

/** How a sendmail.cf of Sendmail looks: comments, the V line, and D, C, F, O, S, R, M, K, H, P, T lines. */
function looksLikeCf(text: string): boolean {
  return /^V\d+\/\w+/m.test(text) || /^(#|[DCFKHMOPSRTE]\S)/.test(text.trimStart());
}

/** Reads a compiled configuration. The error is one line for people. */
export function parseCompiled(text: string): Result<Configuration> {
  if (looksLikeCf(text))
    return err(
      "this is a sendmail.cf of Sendmail, and its rules are not run here; take the sendmail.mc it was made from, or compile that with: postern m4 sendmail.mc > sendmail.cf",
    );
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (e) {
    return err(`not a compiled configuration: ${e instanceof Error ? e.message : "not JSON"}`);
  }
  if (!isObject(json) || json["format"] !== "postern-configuration")
    return err("not a compiled configuration (postern m4 writes one)");
  if (json["version"] !== COMPILED_VERSION)
    return err(
      `compiled by another version (${String(json["version"])}, this gateway reads ${COMPILED_VERSION}); compile sendmail.mc again`,
    );
  const options = checkOptions(json["options"]);
  if (!options.ok) return err(`damaged compiled configuration: ${options.error}`);
  const wrong = sameShape(json, shape(), "") || checkNullable(json);
  if (wrong !== "") return err(`damaged compiled configuration: ${wrong}`);
  return ok({ ...(json as unknown as Configuration), options: options.value });
}

/**
 * The path of the first source that has changed or cannot be read, null when the compiled form is fresh. One without sources is.
 */
export function isStale(configuration: Configuration, reader: SourceReader): string | null {
  for (const { path, sha256 } of configuration.sources) {
    const bytes = reader(path);
    if (bytes.kind !== "found" || digest("sha256", bytes.value).toString("hex") !== sha256) return path;
  }
  return null;
}
