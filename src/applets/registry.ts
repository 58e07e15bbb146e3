// Every command, one line each; a board's flags drop lines (see scripts/features.ts).
// The module of an applet is loaded when it is called.

import type { Applet } from "./applet.ts";

export interface AppletEntry {
  readonly names: readonly string[];
  readonly summary: string;
  load(): Promise<Applet>;
}

const entry = (names: string, summary: string, load: () => Promise<Applet>): AppletEntry => ({
  names: names.split(" "),
  summary,
  load,
});

// biome-ignore format: one line each, the mark at the end
export const APPLETS: readonly AppletEntry[] = [
  entry("check", "say every error of a configuration", async () => (await import("./check.ts")).check), // CONFIG_APPLET_CHECK
  entry("features", "what this build contains and what it lacks", async () => (await import("./features.ts")).features),
  entry("m4", "compile sendmail.mc to sendmail.cf", async () => (await import("./m4.ts")).m4), // CONFIG_APPLET_CHECK
  entry("version", "version and board of this binary", async () => (await import("./version.ts")).version),
];
