// -d0.1 as Sendmail 8.17.1.9 prints it, recorded; version, names and the list of parts are the gateway's own.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { identityText, wantsIdentity } from "../../../src/daemon/identity.ts";

describe("sendmail -d0.1", () => {
  const ASKED: readonly (readonly [string, boolean])[] = [
    ["", true],
    ["0", true],
    ["0.1", true],
    ["0.10", true],
    ["0-99.1", true],
    ["60.1,0.4", true],
    ["0.0", false],
    ["60.1", false],
    ["10", false],
  ];
  for (const [spec, expected] of ASKED)
    it(`${expected ? "is" : "is not"} asked for by -d${spec}`, () => {
      assert.equal(wantsIdentity([spec]), expected);
    });

  it("is not asked for without -d", () => {
    assert.equal(wantsIdentity([]), false);
  });

  it("shows the names where Sendmail shows them", () => {
    const job = {
      ready: { found: { root: null }, configuration: { domainName: "mail.polkatistas.org" } },
      environment: new Map(),
    } as never;
    const lines = identityText(job).split("\n");
    const names = lines.slice(lines.indexOf("============ SYSTEM IDENTITY (after readcf) ============"));
    assert.match(lines[0] ?? "", /^Version \S+$/);
    assert.match(lines[1] ?? "", /^ Compiled with: /);
    assert.deepEqual(names.slice(1, 4), [
      "      (short domain name) $w = mail",
      "  (canonical domain name) $j = mail.polkatistas.org",
      "         (subdomain name) $m = polkatistas.org",
    ]);
    assert.equal(names[5], "========================================================");
  });
});
