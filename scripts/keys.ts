// `make keys`: the signing keys of a firmware line, in KEYS or the user's configuration folder. What is there is never replaced.
// The public halves of the last two are there for signify(1) too. config signs configurations, update signs systems; spare signs systems too when update is lost or leaked: keep it elsewhere.

import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { readTrustedKey } from "../src/prepare/keys.ts";
import { signifyKey } from "../src/prepare/update.ts";
import { fail, say } from "./board.ts";
import { makeMissing, ownKeys } from "./configuration.ts";

const given = process.env["KEYS"];
const folder = given === undefined || given === "" ? ownKeys() : resolve(given);
makeMissing(folder);
for (const name of ["update", "spare"]) {
  const key = readTrustedKey(join(folder, `${name}.pub`));
  if (!key.ok) fail(key.error);
  writeFileSync(join(folder, `${name}.signify`), signifyKey(key.value));
}
say(`images built with the keys of ${folder} take configurations of config, and updates of update and spare`);
say(
  "move spare.key to a medium that is kept in a safe: an update that it signs may bring new keys when update.key is lost or leaked",
);
