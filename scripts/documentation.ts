// The reference pages that are made from the program itself: one page for each command from its help text, the language of sendmail.mc
// from the compiler's tables, the differences from ARCHITECTURE.md, and the list of all pages. The others in the folder are written by hand.
//
//   scripts/node scripts/documentation.ts          writes the pages
//   scripts/node scripts/documentation.ts --check  says which are not up to date, exit 1

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { APPLETS } from "../src/applets/registry.ts";
import { renderReference } from "../src/config/document.ts";

const root = resolve(import.meta.dirname, "..");
export const PAGES = join(root, "rootfs/usr/share/doc/postern");

/** Commands that are called by their own names; the others are called as `postern NAME`. */
const OWN_NAMES = new Set([
  "sendmail",
  "mailq",
  "newaliases",
  "makemap",
  "editmap",
  "praliases",
  "hoststat",
  "mailstats",
  "smrsh",
  "m4",
  "saslpasswd",
  "sasldblistusers",
  "mail.local",
  "sysupgrade",
]);

const HEAD = "<!-- Made by scripts/documentation.ts. -->";

async function commandPages(): Promise<[file: string, title: string, text: string][]> {
  const pages: [string, string, string][] = [];
  for (const entry of APPLETS) {
    const applet = await entry.load();
    const [first = ""] = entry.names;
    const names = entry.names.map((name) => (OWN_NAMES.has(first) ? name : `postern ${name}`));
    const text = [
      `# ${names.join(", ")}`,
      "",
      HEAD,
      "",
      `${entry.summary[0]?.toUpperCase()}${entry.summary.slice(1)}.`,
      "",
      "```",
      applet.help.trimEnd(),
      "```",
      "",
    ].join("\n");
    pages.push([`${first}.md`, `${names.join(", ")}: ${entry.summary}`, text]);
  }
  return pages;
}

/** The section of ARCHITECTURE.md about differences, as a page of its own. */
function differences(): string {
  const text = readFileSync(join(root, "ARCHITECTURE.md"), "utf8");
  const section = /^## Where we differ from Sendmail on purpose\n([\s\S]*?)(?=^## |(?![\s\S]))/m.exec(text);
  return `# Where Postern differs from Sendmail on purpose\n\n${HEAD}\n${(section?.[1] ?? "").trimEnd()}\n`;
}

/** Title of a page written by hand: its first heading. */
function titleOf(text: string): string {
  return /^# (.*)$/m.exec(text)?.[1] ?? "";
}

/** Every page that is made, by file name. */
export async function madePages(): Promise<ReadonlyMap<string, string>> {
  const made = new Map<string, string>();
  const commands = await commandPages();
  for (const [file, , text] of commands) made.set(file, text);
  made.set("sendmail.mc.md", renderReference());
  made.set("differences.md", differences());
  const byHand = readdirSync(PAGES)
    .filter((file) => file.endsWith(".md") && !made.has(file) && file !== "README.md")
    .sort();
  const link = (file: string, title: string): string => `* [${title}](${file})`;
  made.set(
    "README.md",
    [
      "# Postern: reference",
      "",
      HEAD,
      "",
      "## Configuration and operation",
      "",
      link("sendmail.mc.md", "sendmail.mc: directives, features, mailers, options"),
      ...byHand.map((file) => link(file, titleOf(readFileSync(join(PAGES, file), "utf8")))),
      link("differences.md", "Where Postern differs from Sendmail on purpose"),
      "",
      "## Commands",
      "",
      ...commands.map(([file, title]) => link(file, title)),
      "",
    ].join("\n"),
  );
  return made;
}

if (import.meta.main) {
  const check = process.argv.includes("--check");
  let stale = 0;
  for (const [file, text] of await madePages()) {
    const path = join(PAGES, file);
    let old = "";
    try {
      old = readFileSync(path, "utf8");
    } catch {
      old = "";
    }
    if (old === text) continue;
    stale++;
    if (check) process.stderr.write(`${file} is not up to date: run scripts/node scripts/documentation.ts\n`);
    else writeFileSync(path, text);
  }
  if (check && stale > 0) process.exitCode = 1;
}
