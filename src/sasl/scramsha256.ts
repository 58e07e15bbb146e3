// SCRAM-SHA-256 (RFC 7677): scram.ts over SHA-256.
// A file of its own so that a board can leave it out.

import { scram } from "./scram.ts";

export const scramSha256 = scram("SCRAM-SHA-256", "sha256");
