// TLS-05 (reliability 3.2) through sendmail.mc and the whole program: PLAIN and LOGIN are offered without TLS only when confAUTH_OPTIONS is
// set without p, and then the log says so; a password is in no log line, queue file or reply.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Client } from "../flow/gateway.ts";
import { plain } from "../flow/session.ts";
import { Siege } from "./siege.ts";

const SECRET = "Ch1mp-fuzz-fl0ppi";

const CASES: readonly { readonly options: string | null; readonly open: boolean }[] = [
  { options: null, open: false },
  { options: "A p", open: false },
  { options: "A", open: true },
];

describe("confAUTH_OPTIONS", () => {
  for (const { options, open } of CASES)
    it(`${options ?? "not set"}: a password ${open ? "may" : "may not"} cross the open wire`, async () => {
      const more = `define(\`confAUTH_MECHANISMS', \`PLAIN LOGIN')dnl
${options === null ? "" : `define(\`confAUTH_OPTIONS', \`${options}')dnl\n`}`;
      const siege = await Siege.start("authoptions", { more });
      const { gateway } = siege;
      try {
        await siege.restart(async () => {
          const made = await gateway.run(
            "saslpasswd2",
            ["-C", gateway.config, "-p", "-c", "-u", "gw.test", "joe"],
            `${SECRET}\n`,
          );
          assert.equal(made.status, 0, made.err);
        });
        const client = new Client(gateway.port);
        await client.reply();
        const hello = await client.say("EHLO c.test");
        assert.equal(/^250-AUTH PLAIN LOGIN$/m.test(hello), open, hello);
        const answer = await client.say(`AUTH PLAIN ${plain("joe", SECRET)}`);
        assert.match(answer, open ? /^235 2\.0\.0 / : /^50[34] 5\.3\.3 /);
        client.close();
        assert.equal(/AuthOptions=A has no p/.test(gateway.output), open);
        for (const shown of [SECRET, plain("joe", SECRET)]) assert.ok(!gateway.output.includes(shown));
        await siege.holds();
      } finally {
        await siege.end();
      }
    });
});
