// `npm run tidy`: the house rules that a machine can check. What is not checked here is not a rule.
// Layers and cycles of src/, reach from main.ts, file headers, sizes, and words that are not allowed.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";

/** Layer numbers by folder of src/; a file imports from lower numbers or from its own folder. */
const LAYERS = new Map<string, number>([
  ["base", 0],
  ["sys", 1],
  ["mail", 2],
  ["config", 2],
  ["safefile", 2],
  ["map", 3],
  ["state", 3],
  ["control", 3],
  ["route", 4],
  ["sasl", 4],
  ["tls", 4],
  ["policy", 5],
  ["prepare", 5],
  ["spool", 6],
  ["smtpd", 7],
  ["deliver", 7],
  ["daemon", 8],
  ["applets", 9],
  ["console", 9],
  ["", 10],
]);

/** Imports between folders that the layer rule would refuse, each with its reason. */
const LAYER_EXCEPTIONS = new Map<string, string>([]);

/** Files that main.ts does not reach but that belong to src/: read by the build, or types for it. */
const UNREACHED_ALLOWED = new Set<string>([]);

/** A file longer than this is more than one idea (aim: 300 lines). */
const FILE_LINES_MAX = 520;
const HEADER_LINES_MIN = 2;
const HEADER_LINES_MAX = 10;
const FORBIDDEN_NAMES = new Set(["utils", "util", "helpers", "helper", "common", "misc", "index"]);

interface Rule {
  readonly pattern: RegExp;
  readonly says: string;
  /** Folders (first path part below src/) where the rule does not hold. */
  readonly except: readonly string[];
}

const RULES: readonly Rule[] = [
  { pattern: /(:|<|\bas|\|)\s*any\b(?!\w)/, says: "no `any`: name the type or use unknown", except: [] },
  { pattern: /@ts-(ignore|nocheck|expect-error)/, says: "no switched-off type checks", except: [] },
  { pattern: /\bexport default\b/, says: "no default exports", except: [] },
  {
    pattern: /catch\s*(\([^)]*\))?\s*\{\s*\}/,
    says: "no empty catch: handle it or say why not in the block",
    except: [],
  },
  {
    pattern: /\bconsole\.(log|error|warn|info)\b/,
    says: "no console: output goes through Io or Log",
    except: [],
  },
  {
    pattern: /\bDate\.now\(|\bnew Date\(\)|\bperformance\.now\(/,
    says: "clocks only in sys/",
    except: ["sys"],
  },
  {
    pattern: /\bMath\.random\(|\brandomBytes\(|\brandomUUID\(/,
    says: "randomness only in sys/",
    except: ["sys"],
  },
  { pattern: /\bprocess\.env\b/, says: "environment only in sys/", except: ["sys"] },
  { pattern: /\b(setTimeout|setInterval)\(/, says: "timers only in sys/", except: ["sys"] },
  { pattern: /\bshell:\s*true\b|\bexecSync\(|\bexec\(`/, says: "no shell strings", except: [] },
  { pattern: /from "node:/, says: "only sys/ imports node:*", except: ["sys"] },
];

const root = resolve(import.meta.dirname, "..");
const problems: string[] = [];

function typescriptFiles(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((e) => e.isFile() && e.name.endsWith(".ts"))
    .map((e) => join(e.parentPath, e.name))
    .sort();
}

function importsOf(text: string): { path: string; typeOnly: boolean }[] {
  const found: { path: string; typeOnly: boolean }[] = [];
  for (const m of text.matchAll(/^\s*(?:import|export)\s+(type\s)?[^;]*?from\s+"([^"]+)"/gms))
    found.push({ path: m[2] ?? "", typeOnly: m[1] !== undefined });
  for (const m of text.matchAll(/^\s*import\s+"([^"]+)"/gm))
    found.push({ path: m[1] ?? "", typeOnly: false });
  for (const m of text.matchAll(/\bimport\(\s*"([^"]+)"\s*\)/g))
    found.push({ path: m[1] ?? "", typeOnly: false });
  return found;
}

function folderOf(file: string): string {
  const parts = relative(join(root, "src"), file).split("/");
  return parts.length > 1 ? (parts[0] ?? "") : "";
}

const sources = typescriptFiles(join(root, "src"));
const graph = new Map<string, { to: string; typeOnly: boolean }[]>();

for (const file of sources) {
  const name = relative(root, file);
  const text = readFileSync(file, "utf8");
  const lines = text.split("\n");
  const folder = folderOf(file);
  const layer = LAYERS.get(folder);
  if (layer === undefined) problems.push(`${name}: src/${folder}/ is not in the house (ARCHITECTURE.md)`);

  const stem = basename(file, ".ts");
  if (FORBIDDEN_NAMES.has(stem)) problems.push(`${name}: a file is one idea, named by a noun; not "${stem}"`);
  if (!/^[a-z0-9]+$/.test(stem)) problems.push(`${name}: file names are lower-case nouns`);
  if (lines.length > FILE_LINES_MAX)
    problems.push(`${name}: ${lines.length} lines; more than ${FILE_LINES_MAX} is more than one idea`);

  let header = 0;
  while (lines[header]?.startsWith("//")) header++;
  if (header < HEADER_LINES_MIN || header > HEADER_LINES_MAX)
    problems.push(
      `${name}:1: opens with ${header} comment lines; ${HEADER_LINES_MIN} to ${HEADER_LINES_MAX} say what it owns and promises`,
    );

  lines.forEach((line, i) => {
    const code = line
      .replace(/\/\/.*$/, "")
      .replace(/"(?:[^"\\]|\\.)*"|`[^`]*`/g, (s) => (s.startsWith('"node:') ? s : '""'));
    if (/^\s*\*/.test(line)) return;
    for (const rule of RULES)
      if (!rule.except.includes(folder) && rule.pattern.test(code))
        problems.push(`${name}:${i + 1}: ${rule.says}`);
  });

  const edges: { to: string; typeOnly: boolean }[] = [];
  for (const { path, typeOnly } of importsOf(text)) {
    if (!path.startsWith(".")) continue;
    const to = resolve(dirname(file), path);
    if (!to.startsWith(join(root, "src"))) {
      problems.push(`${name}: imports ${path} from outside src/`);
      continue;
    }
    if (!existsSync(to)) problems.push(`${name}: imports ${path}, which does not exist`);
    edges.push({ to, typeOnly });
    const toFolder = folderOf(to);
    const toLayer = LAYERS.get(toFolder) ?? 99;
    const allowed = toFolder === folder || toLayer < (layer ?? 99);
    if (!allowed && !LAYER_EXCEPTIONS.has(`${name} -> ${relative(root, to)}`))
      problems.push(
        `${name}: imports ${relative(root, to)} against the layer rule (${folder}/ is ${layer}, ${toFolder}/ is ${toLayer})`,
      );
  }
  graph.set(file, edges);
}

/** Cycles of value imports; a type-only cycle vanishes when types are stripped. */
function findCycles(): void {
  const state = new Map<string, "open" | "done">();
  const stack: string[] = [];
  const visit = (file: string): void => {
    state.set(file, "open");
    stack.push(file);
    for (const { to, typeOnly } of graph.get(file) ?? []) {
      if (typeOnly) continue;
      const s = state.get(to);
      if (s === "open")
        problems.push(
          `cycle: ${[...stack.slice(stack.indexOf(to)), to].map((f) => relative(root, f)).join(" -> ")}`,
        );
      else if (s === undefined) visit(to);
    }
    stack.pop();
    state.set(file, "done");
  };
  for (const file of sources) if (!state.has(file)) visit(file);
}
findCycles();

// The program, and the binary's way in to it.
const main = join(root, "src", "main.ts");
const packaged = join(root, "src", "packaged.ts");
if (existsSync(main)) {
  const reached = new Set<string>();
  const queue = [main, packaged];
  for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
    if (reached.has(file)) continue;
    reached.add(file);
    for (const { to } of graph.get(file) ?? []) queue.push(to);
  }
  for (const file of sources)
    if (!reached.has(file) && !UNREACHED_ALLOWED.has(relative(root, file)))
      problems.push(`${relative(root, file)}: main.ts does not reach it`);
} else problems.push("src/main.ts is missing");

const TOP = new Set([
  "package.json",
  "package-lock.json",
  "README.md",
  "ARCHITECTURE.md",
  "CHANGELOG.md",
  "LICENSE",
  "Makefile",
  "tsconfig.json",
  "biome.json",
  "src",
  "findings",
  "board",
  "rootfs",
  "scripts",
  "test",
  "build",
  "node_modules",
]);
for (const entry of readdirSync(root))
  if (!entry.startsWith(".") && !TOP.has(entry)) problems.push(`${entry}: nothing else at top level`);

for (const problem of problems) process.stdout.write(`${problem}\n`);
process.stdout.write(`tidy: ${sources.length} files, ${problems.length} problems\n`);
process.exitCode = problems.length === 0 ? 0 : 1;
