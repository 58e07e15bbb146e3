// LIFE-02 and promise 2 with the whole program: killed under load at seeded moments and started again, it loses nothing that it had
// acknowledged, and delivers twice only what was under way. (Kills at single system calls: test/crash/kernel.test.ts.)

import assert from "node:assert/strict";
import { test } from "node:test";
import { Clients, keyOf, NextHop, type Record } from "../powercut/traffic.ts";
import { random } from "../powercut/writelog.ts";
import { delay, freePort, Gateway, until } from "./gateway.ts";

const SEED = 20261122;
const KILLS = 8;
const SESSIONS = 4;
/** Messages that one client or one connection to the next hop can have under way, and marks that wait for their sync (100 ms). */
const TWICE_PER_KILL_MAX = 60;

function mc(port: number, mode: string): string {
  return `OSTYPE(\`linux')dnl
define(\`confDOMAIN_NAME', \`mail.polkatistas.org')dnl
define(\`confTO_IDENT', \`0')dnl
define(\`confDELIVERY_MODE', \`${mode}')dnl
${mode === "interactive" ? "define(`confSAFE_QUEUE', `interactive')dnl\n" : ""}FEATURE(\`mailertable')dnl
FEATURE(\`access_db')dnl
FEATURE(\`nocanonify')dnl
FEATURE(\`accept_unresolvable_domains')dnl
FEATURE(\`no_default_msa')dnl
DAEMON_OPTIONS(\`Name=MTA, Family=inet, Addr=127.0.0.1, Port=${port}')dnl
MAILER(\`smtp')dnl
`;
}

for (const mode of ["background", "interactive"])
  test(`${KILLS} kills under load with ${mode} delivery lose nothing`, { timeout: 150_000 }, async (t) => {
    const record: Record = { acknowledged: [], taken: [], damaged: [], refused: [] };
    const hop = new NextHop(record, () => 0);
    hop.never = 0;
    const gateway = new Gateway(`kill-${mode}`);
    const hopPort = await freePort();
    t.after(async () => {
      await hop.stop();
      await gateway.remove();
    });
    await hop.listen(hopPort);
    gateway.port = await freePort();
    gateway.write({
      "sendmail.mc": mc(gateway.port, mode),
      mailertable: `polkatistas.org\tsmtp:[127.0.0.1]:${hopPort}\n`,
      access: "To:polkatistas.org\tRELAY\n",
    });
    const next = random(SEED);
    for (let kill = 0; kill < KILLS; kill++) {
      await gateway.start(["-q1s"]);
      const clients = new Clients(gateway.port, record, () => 0, 20);
      const done = clients.run(SESSIONS, SEED + kill);
      await delay(300 + next() * 900);
      assert.equal(await gateway.stop("SIGKILL"), "SIGKILL");
      clients.stop();
      await done;
    }
    hop.willing = true;
    await gateway.start(["-q1s"]);
    const missing = (): string[] => {
      const taken = new Set(record.taken.map(({ key }) => key));
      return record.acknowledged
        .flatMap(({ tag, users }) => users.map((user) => keyOf(tag, user)))
        .filter((key) => !taken.has(key));
    };
    await until("all is delivered", 60, () => missing().length === 0).catch(() => {
      assert.deepEqual(missing(), [], "acknowledged and lost");
    });
    assert.deepEqual(record.damaged, []);
    const twice = record.taken.length - new Set(record.taken.map(({ key }) => key)).size;
    t.diagnostic(
      `${record.acknowledged.length} acknowledged, ${record.taken.length} delivered, ${twice} twice`,
    );
    assert.ok(record.acknowledged.length > KILLS * SESSIONS, "there was load");
    assert.ok(twice <= KILLS * TWICE_PER_KILL_MAX, `${twice} duplicates`);
    assert.equal(await gateway.stop(), 0);
  });
