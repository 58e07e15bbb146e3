// SCRAM-SHA-1 (RFC 5802): scram.ts over SHA-1.
// A file of its own so that a board can leave it out.

import { scram } from "./scram.ts";

export const scramSha1 = scram("SCRAM-SHA-1", "sha1");
