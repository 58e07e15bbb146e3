// sendmail -bt and -bv -v against Sendmail 8.17.1.9: the answers beside this file were recorded from it with the configuration
// config-b of the recorded cases, their DNS and accounts. Lines of rule sets that only Sendmail's own rules have are left out of the
// record, and so are three commands that show its *LOCAL* mark or its quoting of texts, and how -v counts the turns of an alias loop.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { addressTest } from "../../../src/daemon/addresstest.ts";
import { verifyOver } from "../../../src/daemon/verify.ts";
import type { Site } from "../../../src/route/site.ts";
import { systemClock } from "../../../src/sys/clock.ts";
import { systemEntropy } from "../../../src/sys/entropy.ts";
import { readZone } from "../../oracle/resolver.ts";
import { openCase } from "../../oracle/site.ts";

const RECORDED = join(import.meta.dirname, "../../oracle/recorded");

function site(): Site {
  return openCase(join(RECORDED, "config-b"), readZone(join(RECORDED, "dns.json"))).site;
}

interface Said {
  readonly say: string;
  readonly answer: readonly string[];
}

/** What the session answers to each line: the text between its prompts. */
async function answers(
  over: Site,
  lines: readonly string[],
  debug: readonly string[] = [],
): Promise<string[]> {
  let text = "";
  async function* typed(): AsyncGenerator<Buffer> {
    yield Buffer.from(`${lines.join("\n")}\n`);
  }
  const status = await addressTest(
    {
      site: over,
      clock: systemClock,
      entropy: systemEntropy,
      debug,
      print: (t) => {
        text += t;
      },
    },
    typed(),
  );
  assert.equal(status, 0);
  const head = "ADDRESS TEST MODE (ruleset 3 NOT automatically invoked)\nEnter <ruleset> <address>\n> ";
  assert.ok(text.startsWith(head), text);
  const out: string[] = [];
  let at = head.length;
  for (const _ of lines) {
    if (text.startsWith("> ", at)) {
      out.push("");
      at += 2;
      continue;
    }
    const end = text.indexOf("\n> ", at);
    out.push(text.slice(at, end));
    at = end + 3;
  }
  return out;
}

/** Errors differ in quotes and blanks of their texts, accepting checks in the work space that they leave; classes in their order. */
function comparable(say: string, lines: readonly string[]): string {
  const shown = lines
    .filter((line) => line !== "")
    .map((line) => {
      if (!/\$#|\*error\*|^check_/.test(line)) return line.trimEnd();
      return line
        .replace(/[" ]/g, "")
        .replace(/^(check_\w+returns:)(?!\$#).*/, "$1ok")
        .replace(/(senderaddress).*?(doesnotexist|$)/, "$1$2");
    });
  return (say.startsWith("$=") ? shown.sort() : shown).join("\n");
}

/** The complaints and the conclusion of /parse. */
function lastWords(said: string): string {
  return said
    .split("\n")
    .filter((line) => /^mailer |\.\.\. |^[A-Z]/.test(line))
    .filter((line) => !/Transient parse|input:|returns:|^Cracked|^Parsing|Name server timeout$/.test(line))
    .map((line) =>
      line
        .replace(/"/g, "")
        .replace(/\*error\*, host [^,]*/, "*error*")
        .trimEnd(),
    )
    .join(" | ");
}

describe("sendmail -bt", () => {
  it("answers every command as Sendmail does", async () => {
    const record = JSON.parse(readFileSync(join(import.meta.dirname, "addresstest.json"), "utf8")) as Said[];
    assert.ok(record.length > 100);
    const ours = await answers(
      site(),
      record.map((r) => r.say),
    );
    for (const [i, { say, answer }] of record.entries())
      assert.equal(comparable(say, (ours[i] ?? "").split("\n")), comparable(say, answer), say);
  });

  it("parses what Sendmail parses to what Sendmail parses it to", async () => {
    // Recorded with /parse: configuration, address, then complaints and the last line; quotes, the error's status and notes that a
    // lookup failed are left out.
    const rows = readFileSync(join(import.meta.dirname, "parsed.tsv"), "latin1")
      .trimEnd()
      .split("\n");
    assert.ok(rows.length > 1000);
    for (const config of ["config-b", "config-d"]) {
      const asked = rows.map((row) => row.split("\t")).filter(([name]) => name === config);
      const ours = await answers(
        openCase(join(RECORDED, config), readZone(join(RECORDED, "dns.json"))).site,
        asked.map(([, address]) => `/parse ${address}`),
      );
      for (const [i, [, address, expected = ""]] of asked.entries())
        assert.equal(lastWords(ours[i] ?? ""), expected, `${config}: ${address}`);
    }
  });

  it("ends at /quit and does not read on", async () => {
    let printed = "";
    async function* typed(): AsyncGenerator<Buffer> {
      yield Buffer.from("/quit\n$j\n");
      throw new Error("read on");
    }
    const means = { site: site(), clock: systemClock, entropy: systemEntropy, debug: [] };
    await addressTest({ ...means, print: (t) => (printed += t) }, typed());
    assert.ok(printed.endsWith("> "));
  });

  it("shows with -d60 what the tables answered", async () => {
    const [said = ""] = await answers(site(), ["3,0 x@exact.example"], ["60.1"]);
    assert.match(said, /^map_lookup\(mailertable, exact\.example\) => esmtp:gw\.example\.net \(0\)$/m);
  });

  it("asks check_mail and check_relay themselves where delay_checks puts them off", async () => {
    const delayed = openCase(join(RECORDED, "config-e"), readZone(join(RECORDED, "dns.json"))).site;
    const [, mail = ""] = await answers(delayed, [
      ".D{client_addr}203.0.113.200",
      "check_mail <joe@nosuch.example>",
    ]);
    assert.match(mail, /^check_mail {7}returns: \$# error \$@ 5 \. 1 \. 8 \$: "553 /m);
    const [relay = ""] = await answers(site(), ["check_relay client.example.com $| 198.51.100.4"]);
    assert.match(relay, /^check_relay {6}returns: \$# error \$@ 5 \. 7 \. 1 \$: "550 Access denied"$/m);
  });

  it("says that there are no rules to show", async () => {
    const [said = ""] = await answers(site(), ["=Sparse"]);
    assert.match(said, /^Rules are not available/);
  });

  it("takes any bytes", async () => {
    const odd = [
      "\x00\x01",
      "3,0 \xff\xfe<",
      "/parse (((",
      "/try esmtp <<<<",
      ".D{",
      ".C{w",
      "$={",
      "/map access \x00",
      "3,0 ".padEnd(9000, "@"),
    ];
    for (const line of odd) await answers(site(), [line]);
  });
});

describe("sendmail -bv", () => {
  const record = JSON.parse(readFileSync(join(import.meta.dirname, "verify.json"), "utf8")) as {
    readonly verbose: boolean;
    readonly recipients: readonly string[];
    readonly lines: readonly string[];
    readonly exit: number;
  }[];
  for (const { verbose, recipients, lines, exit } of record)
    it(`${verbose ? "-v " : ""}${recipients.join(" ")} prints what Sendmail prints`, async () => {
      const printed: string[] = [];
      const status = await verifyOver(site(), recipients, verbose, (line) => printed.push(line));
      assert.deepEqual(printed, lines);
      assert.equal(status, exit);
    });
});
