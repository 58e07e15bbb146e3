// Every bound that is not a Sendmail option (those are in config/options.ts), with its unit in the name.
// House rule 5: no loop, buffer, queue, retry or wait on the outside world without one of these.

/** RFC 5321 4.5.3.1: a command line; Sendmail's MAXLINE. Longer: 421 4.7.0 Command too long. */
export const COMMAND_LINE_BYTES_MAX = 2048;
/** RFC 4954 section 4: the longest base64 line of an AUTH exchange. */
export const AUTH_LINE_BYTES_MAX = 12288;
/** Sendmail's MAXNAME: one address, with its route. */
export const ADDRESS_BYTES_MAX = 1024;
/** Tokens in one address, Sendmail's MAXATOM is 1000; prescan refuses more. */
export const ADDRESS_TOKENS_MAX = 1000;
/** Rewriting restarts (virtusertable chains): Sendmail's MAXRULERECURSION. */
export const REWRITE_DEPTH_MAX = 50;
/** Recipients of one envelope, whatever MaxRecipientsPerMessage says (0 there means no limit of its own). */
export const ENVELOPE_RECIPIENTS_MAX = 10_000;
/** Deliveries that one recipient may expand to through aliases. */
export const EXPANSION_MAX = 100_000;
/** A message body up to this size stays in memory while it is received and is written with its record. */
export const BODY_IN_MEMORY_BYTES_MAX = 128 * 1024;
/** Bytes of message bodies that all sessions together may hold in memory. */
export const BODIES_IN_MEMORY_BYTES_MAX = 16 * 1024 * 1024;
/** A line of a reply from a next hop. */
export const PEER_REPLY_LINE_BYTES_MAX = 4096;
/** Lines of one reply from a next hop. */
export const PEER_REPLY_LINES_MAX = 200;
/** Labels looked up for one host name in a table. */
export const DOMAIN_LABELS_MAX = 128;
