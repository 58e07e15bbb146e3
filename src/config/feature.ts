// What one FEATURE is: its name, its arguments and what it records; and the tools that feature entries share.
// Messages are Sendmail's (cf/feature/*.m4), without the leading "*** ERROR:".

import type { Features, MapSpec, Place } from "./configuration.ts";
import type { Mutable } from "./defaults.ts";
import { parseMapSpec } from "./mapspec.ts";
import type { McState } from "./mcstate.ts";

/** One use of FEATURE(). */
export interface FeatureUse {
  readonly name: string;
  /** Arguments after the name, trimmed of nothing; missing ones read as "". */
  argument(index: number): string;
  /** How many arguments follow the name. */
  readonly count: number;
  readonly place: Place;
  readonly state: McState;
}

export interface FeatureEntry {
  readonly name: string;
  /** Arguments as the reference page shows them, "" for none. */
  readonly usage: string;
  readonly doc: string;
  /** Kconfig symbol that must be on, "" for none. */
  readonly symbol: string;
  /** How many arguments make sense; more are an error. */
  readonly argumentsMax: number;
  apply(use: FeatureUse): void;
}

/** Keys of Features that are plain switches. */
export type SwitchKey = {
  [K in keyof Features]: Features[K] extends boolean ? (boolean extends Features[K] ? K : never) : never;
}[keyof Features];

type Switches = Mutable<Pick<Features, SwitchKey>>;

/** A feature that only turns one switch on. */
export function toggle(name: string, key: SwitchKey, doc: string): FeatureEntry {
  return {
    name,
    usage: "",
    doc,
    symbol: "",
    argumentsMax: 0,
    apply: (use) => {
      const switches: Switches = use.state.features;
      switches[key] = true;
    },
  };
}

export function feature(
  name: string,
  usage: string,
  argumentsMax: number,
  doc: string,
  apply: (use: FeatureUse) => void,
  symbol = "",
): FeatureEntry {
  return { name, usage, doc, symbol, argumentsMax, apply };
}

/** The error text of Sendmail when `name` came without access_db before it; true when access_db is there. */
export function needsAccessDb(use: FeatureUse, quoted = true): boolean {
  if (use.state.features.accessDb !== null) return true;
  const [open, close] = quoted ? ["`", "'"] : ["", ""];
  use.state.error(
    use.place,
    `FEATURE(${open}${use.name}${close}) requires FEATURE(${open}access_db${close})`,
  );
  return false;
}

/** The map of a feature: its first argument, or the usual type and file below /etc/mail. */
export function mapArgument(use: FeatureUse, file: string): MapSpec | null {
  const given = use.argument(0);
  const folder = settingsFolder(use.state);
  const type = use.state.value("DATABASE_MAP_TYPE") || "hash";
  const parsed = parseMapSpec(given.trim() === "" ? `${type} ${folder}${file}` : given);
  if (parsed.ok) return parsed.value;
  use.state.error(use.place, `FEATURE(\`${use.name}'): ${parsed.error}`);
  return null;
}

/** MAIL_SETTINGS_DIR, with its slash. */
export function settingsFolder(state: McState): string {
  const folder = state.value("MAIL_SETTINGS_DIR").trim();
  return folder.endsWith("/") || folder === "" ? folder || "/etc/mail/" : `${folder}/`;
}

/** A feature whose whole effect is a map. */
export function mapFeature(
  name: string,
  key: "domainTable" | "genericsTable" | "mailerTable" | "virtUserTable" | "authInfo",
  file: string,
  doc: string,
): FeatureEntry {
  return feature(name, "map", 1, doc, (use) => {
    const map = mapArgument(use, file);
    if (map !== null) use.state.features[key] = map;
  });
}
