// The reference pages that are made from the program are those of this program: `scripts/node scripts/documentation.ts` writes them.

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { madePages, PAGES } from "../../../scripts/documentation.ts";
import { APPLETS } from "../../../src/applets/registry.ts";

describe("the reference pages", () => {
  it("are what the commands' own help and tables say now", async () => {
    for (const [file, text] of await madePages()) {
      // A copy of a section of ARCHITECTURE.md: it follows when the pages are made.
      if (file === "differences.md") continue;
      const path = join(PAGES, file);
      assert.ok(existsSync(path), `${file} is missing: run scripts/node scripts/documentation.ts`);
      assert.equal(readFileSync(path, "utf8"), text, `${file}: run scripts/node scripts/documentation.ts`);
    }
  });

  it("have one page for each command, and each page is in the list", () => {
    const list = readFileSync(join(PAGES, "README.md"), "utf8");
    for (const applet of APPLETS)
      assert.ok(list.includes(`(${applet.names[0]}.md)`), `no page of ${applet.names[0]}`);
    for (const file of readdirSync(PAGES))
      if (file !== "README.md") assert.ok(list.includes(`(${file})`), file);
  });

  it("link only to pages that are there", () => {
    for (const file of readdirSync(PAGES))
      for (const [, target = ""] of readFileSync(join(PAGES, file), "utf8").matchAll(/\]\(([\w.]+\.md)\)/g))
        assert.ok(existsSync(join(PAGES, target)), `${file} links to ${target}`);
  });
});
