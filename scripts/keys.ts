// `make keys`: the signing keys of a firmware line, in KEYS or the user's configuration folder. What is there is never replaced.
// config signs configurations, update signs systems; spare signs systems too when update is lost or leaked: keep it elsewhere.

import { resolve } from "node:path";
import { say } from "./board.ts";
import { makeMissing, ownKeys } from "./configuration.ts";

const given = process.env["KEYS"];
const folder = given === undefined || given === "" ? ownKeys() : resolve(given);
makeMissing(folder);
say(`images built with the keys of ${folder} take configurations of config, and updates of update and spare`);
say(
  "move spare.key to a medium that is kept in a safe: an update that it signs may bring new keys when update.key is lost or leaked",
);
