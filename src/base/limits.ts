// Every bound that is not a Sendmail option (those are in config/options.ts), with its unit in the name.
// House rule 5: no loop, buffer, queue, retry or wait on the outside world without one of these.

import { buildLimit } from "./build.ts";

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
/** Deliveries and errors that one recipient may come to through aliases and files; fewer where memory is short. */
export const EXPANSION_MAX = 100_000;
export const EXPANSION_MIN = 2000;
/** Bytes of memory that one of them costs from alias to next hop. */
export const EXPANSION_BYTES_EACH = 12_800;
/** Lines and addresses that are read for each delivery which may come of them: comments, repetitions and what is no address count too. */
export const EXPANSION_PIECES_EACH = 2;
/** Milliseconds that work on one message may take before others have their turn. */
export const SLICE_MS = 10;
/** A message body up to this size stays in memory while it is received and is written with its record. */
export const BODY_IN_MEMORY_BYTES_MAX = 128 * 1024;
/** Bytes of message bodies that all sessions together may hold in memory; CONFIG_BODIES_IN_MEMORY_KB. */
export const BODIES_IN_MEMORY_BYTES_MAX = buildLimit("BODIES_IN_MEMORY_KB", 16 * 1024) * 1024;
/** A line of a reply from a next hop. */
export const PEER_REPLY_LINE_BYTES_MAX = 4096;
/** Lines of one reply from a next hop. */
export const PEER_REPLY_LINES_MAX = 200;
/** Labels looked up for one host name in a table. */
export const DOMAIN_LABELS_MAX = 128;
/** Bytes of a line of map source without its newline: makemap's buffer of 1024 holds the newline and an end mark too. */
export const MAP_LINE_BYTES_MAX = 1022;
/** Bytes of a map's source text that is read into memory because its .db is missing; a larger one wants makemap. */
export const MAP_TEXT_BYTES_MAX = 64 * 1024 * 1024;
/** Bytes of one key and of one value in a table file; a longer one says that the file is damaged. */
export const MAP_KEY_BYTES_MAX = 4096;
export const MAP_VALUE_BYTES_MAX = 4 * 1024 * 1024;
/** A table file up to this size is held in memory; a larger one is read in place. */
export const MAP_HELD_BYTES_MAX = 64 * 1024;
/** Milliseconds between two looks at whether a table file was replaced. */
export const MAP_CHECK_INTERVAL_MS = 1000;
/** Bytes of one alias with its continuation lines. */
export const ALIAS_BYTES_MAX = 1024 * 1024;
/** Bytes of a .forward file. */
export const FORWARD_BYTES_MAX = 1024 * 1024;
/** Bytes of an :include: file where there is memory enough. */
export const INCLUDE_BYTES_MAX = 32 * 1024 * 1024;
/** Bytes of an aliases source or of a class file. */
export const LIST_FILE_BYTES_MAX = 64 * 1024 * 1024;
/** Bytes of one segment of the queue's log on a large spool; smaller spools get smaller ones. */
export const SEGMENT_BYTES_MAX = 1024 * 1024;
/** The smallest segment, for spools of a few megabytes. */
export const SEGMENT_BYTES_MIN = 64 * 1024;
/** A spool has about this many segments before they grow to SEGMENT_BYTES_MAX. */
export const SEGMENTS_PER_SPOOL = 32;
/** Free segments that only outcomes may use, so that mail still leaves when the disk is full. */
export const SEGMENTS_RESERVED = 2;
/** Bytes of the log that each queued message keeps for its own marks: mail is refused before the marks have no room. */
export const MARK_RESERVE_BYTES = 256;
/** Free segments kept for reuse; what is beyond goes back to the file system. */
export const SEGMENTS_IDLE_MAX = 6;
/** Milliseconds that a delivery's mark may wait for company before it is synced. */
export const MARK_DELAY_MS = 100;
/** Milliseconds that the catalogue of the log may lag behind it. */
export const CATALOGUE_DELAY_MS = 100;
/** Milliseconds between two tries to open a new segment on a disk that has failed. */
export const DISK_RETRY_MS = 1000;
/** Milliseconds for which the free space of the spool is believed. */
export const SPACE_AGE_MS = 1000;
/** Inodes that must be free before a message is taken. */
export const FREE_INODES_MIN = 16;
/** Damaged records whose bytes are kept for the administrator; later ones are only logged. */
export const QUARANTINE_FILES_MAX = 200;
/** Ends of the program with the same message in hand before it is quarantined. */
export const STARTS_IN_HAND_MAX = 3;
/** Milliseconds for which everything else waits while the message goes alone that the next end of the program would quarantine. */
export const SUSPECT_ALONE_MS = 60_000;
/** Attempts that run at the same time. */
export const ATTEMPTS_MAX = 64;
/** Attempts to the same mailer and host that run at the same time. */
export const ATTEMPTS_PER_HOST_MAX = 16;
/** Recipients that one attempt takes; more are tried in further attempts. */
export const ATTEMPT_RECIPIENTS_MAX = 1000;
/** Milliseconds for which new mail for a host that just failed waits together instead of failing one by one. */
export const HOST_DOWN_MS = 3000;
/** Milliseconds beyond that for which a host that failed is remembered: failing again, it is taken to stay down. */
export const HOST_REMEMBERED_MS = 60_000;
/** Bytes of accepted messages kept in memory until their first attempt; others are read back from the log. */
export const FRESH_BYTES_MAX = 8 * 1024 * 1024;
/** Largest message that interactive delivery holds in memory while the client waits. */
export const HELD_BYTES_MAX = 2 * 1024 * 1024;
/** Milliseconds the client of an interactive delivery waits for the next hop before the message is made durable. */
export const INTERACTIVE_DEADLINE_MS = 30_000;
/** An original up to this size is put into its failure notice in memory; a larger one goes from file to file. */
export const NOTICE_IN_MEMORY_BYTES_MAX = 64 * 1024;
/** Recipients that one notice describes; more get a line that says how many. */
export const NOTICE_RECIPIENTS_MAX = 500;
/** Milliseconds of switched-off time that a trusted clock may add to the age of queued mail at one start. */
export const DOWNTIME_CREDIT_MS_MAX = 24 * 3600 * 1000;
/** A SASL user name, realm or authorization identity, in UTF-8. */
export const SASL_NAME_BYTES_MAX = 255;
/** A password, in UTF-8. */
export const SASL_SECRET_BYTES_MAX = 1024;
/** PBKDF2 rounds of verifiers that we make (RFC 7677 section 4 asks for at least 4096). */
export const SCRAM_ITERATIONS_MADE = 16_384;
/** Fewer rounds asked for by a server: it wants a proof that is cheap to crack. */
export const SCRAM_ITERATIONS_MIN = 4096;
/** More rounds asked for by a server would stop the daemon for as long. */
export const SCRAM_ITERATIONS_MAX = 262_144;
/** RFC 2831 2.1.1 and 2.1.2: a DIGEST-MD5 challenge and response. */
export const DIGEST_CHALLENGE_BYTES_MAX = 2048;
export const DIGEST_RESPONSE_BYTES_MAX = 4096;
/** The credentials file; some ten thousand users. */
export const SASLDB_BYTES_MAX = 16 * 1024 * 1024;
/** Milliseconds that saslauthd may take for one answer. */
export const SASLAUTHD_WAIT_MS_MAX = 30_000;
/** Rounds of a sha256crypt or sha512crypt hash (the format allows 999,999,999). */
export const SHACRYPT_ROUNDS_MAX = 1_000_000;
/** Bytes of a message's header when MaxHeadersLength does not say less. */
export const HEADER_BYTES_MAX = 1024 * 1024;
/** A field name is found within this many bytes of its line, or the line is no header. */
export const HEADER_NAME_BYTES_MAX = 998;
/** Bytes of replies that may wait for a client that does not read; then its commands wait too. */
export const REPLIES_WAITING_BYTES_MAX = 64 * 1024;
/** Bytes of commands that may wait while one is being answered; then the socket waits. */
export const COMMANDS_WAITING_BYTES_MAX = 64 * 1024;
/** Bytes of message data per second below which a sender runs into its deadline (Timeout.datablock is the grace). */
export const DATA_RATE_BYTES_PER_SECOND_MIN = 500;
/** Milliseconds that a connection which we closed may keep its side open. */
export const LINGER_MS = 5000;
/** Commands that make no sense, Sendmail's MAXBADCOMMANDS: the next one ends the connection. */
export const BAD_COMMANDS_MAX = 25;
/** Sendmail's MAXHELOCOMMANDS, MAXVRFYCOMMANDS, MAXETRNCOMMANDS: from then on each reply waits longer. */
export const HELO_COMMANDS_MAX = 3;
export const VRFY_COMMANDS_MAX = 6;
export const ETRN_COMMANDS_MAX = 8;
/** Sendmail's MAXTIMEOUT: the longest wait before such a reply. */
export const THROTTLE_MS_MAX = 240_000;
/** Parameters of one MAIL or RCPT command, Sendmail's MAXSMTPARGS. */
export const COMMAND_PARAMETERS_MAX = 17;
/** AUTH exchanges that may fail before the connection ends, and the wait added by each. */
export const AUTH_FAILURES_MAX = 3;
export const AUTH_FAILURE_DELAY_MS = 1000;
/** Milliseconds for which wrong passwords of an address are remembered, addresses remembered, and the longest wait they cost. */
export const GUESS_MEMORY_MS = 10 * 60 * 1000;
export const GUESS_ADDRESSES_MAX = 10_000;
export const GUESS_DELAY_MS_MAX = 20_000;
/** Steps of one AUTH exchange. */
export const AUTH_STEPS_MAX = 10;
/** Milliseconds a graceful stop waits for messages that are being received. */
export const SHUTDOWN_GRACE_MS = 8000;
/** Length of the queue of connections the kernel accepts for us when DaemonPortOptions says nothing. */
export const LISTEN_BACKLOG = 1024;
/** Connections at once when MaxDaemonChildren says nothing. */
export const CONNECTIONS_MAX = buildLimit("SESSIONS_MAX", 4000);
/** Macro expansions of one configuration; more is a runaway recursion. */
export const M4_EXPANSIONS_MAX = 200_000;
/** Calls within arguments of calls. */
export const M4_NESTING_MAX = 200;
/** Characters that expansions may put back into the input, all together. */
export const M4_TEXT_CHARS_MAX = 8 * 1024 * 1024;
/** Files that are being included at a time. */
export const M4_INCLUDE_DEPTH_MAX = 16;
/** Bytes of one configuration source file. */
export const CONFIGURATION_FILE_BYTES_MAX = 1024 * 1024;
/** Errors said about one configuration. */
export const CONFIGURATION_ERRORS_MAX = 200;
/** Connections to one next hop at the same time, kept ones included. */
export const CONNECTIONS_PER_HOST_MAX = 20;
/** Addresses of one host, and hosts of one MX list, that one attempt tries. */
export const CONNECT_ADDRESSES_MAX = 5;
export const CONNECT_HOSTS_MAX = 20;
/** A distinguished name of a peer's certificate, in the form of the access table. */
export const CERTIFICATE_NAME_BYTES_MAX = 1024;
/** A common name of a peer's certificate: Sendmail's MAXNAME. */
export const COMMON_NAME_BYTES_MAX = 255;
/** A certificate, key, authority or revocation file. */
export const CERTIFICATE_FILE_BYTES_MAX = 4 * 1024 * 1024;
/** Files read from CACertPath or CRLPath. */
export const CERTIFICATE_FOLDER_FILES_MAX = 512;

/** Certificate, key and list files whose content is kept over reloads. */
export const KNOWN_CERTIFICATE_FILES_MAX = 1024;
/** Bytes of a configuration image with its signature. */
export const CONFIG_IMAGE_BYTES_MAX = 64 * 1024 * 1024;
/** Files and folders of a configuration, and the depth of its folders. */
export const CONFIG_FILES_MAX = 10_000;
export const CONFIG_DEPTH_MAX = 16;
/** Milliseconds that mksquashfs or unsquashfs may take for one configuration. */
export const CONFIG_TOOL_TIMEOUT_MS = 120_000;
/** Bytes of a key file, and how many trusted keys are tried. */
export const KEY_FILE_BYTES_MAX = 16 * 1024;
export const TRUSTED_KEYS_MAX = 64;
/** How long a program mailer may run when W= says nothing, and the bytes of its output that are kept for a bounce. */
export const PROGRAM_MS_MAX = 10 * 60 * 1000;
export const PROGRAM_OUTPUT_BYTES_MAX = 16 * 1024;
/** Connections of one local user to the control sockets; root has no limit. */
export const CONTROL_CONNECTIONS_PER_USER_MAX = 32;
/** One call over the control socket, submission included. */
export const CONTROL_CALL_MS_MAX = 3_600_000;
/** What attempts under way get to end when the daemon is told to stop. */
export const STOP_GRACE_MS = 8_000;
/** Longest common name of a certificate we issue (X.520 ub-common-name). */
export const ISSUED_NAME_CHARS_MAX = 64;
/** Alternative names of one certificate we issue. */
export const ISSUED_ALTERNATIVES_MAX = 50;
/** Days that our authority, and what it issues, may be valid. */
export const ISSUED_DAYS_MAX = 36_500;
/** Warnings about the lines of one table: a table with more of them has one mistake, not many. */
export const ADVICE_MAX = 50;
/** Milliseconds between two writes of rebuildable state (statistics, history, host status) under traffic; nothing is written without. */
export const STATE_WRITE_MS = 3_600_000;
/** Files of large messages that are kept for the next ones. */
export const SPARE_FILES_MAX = 16;
/** Bytes that these files may take, whatever the size of the spool. */
export const SPARE_FILES_BYTES_MAX = 32 * 1024 * 1024;
/** Bytes of one section of rebuildable state; a larger one is not written. */
export const STATE_SECTION_BYTES_MAX = 4 * 1024 * 1024;
/** Credentials that a next hop has refused are tried again after this; it is looked this often whether there are others. */
export const LOGIN_RETRY_MS = 5 * 60 * 1000;
export const LOGIN_LOOK_MS = 2000;
/** Next hops remembered for refusing our credentials. */
export const REFUSED_LOGINS_MAX = 1000;
/** Bytes of log lines that wait for a log that cannot be written; further lines are counted and dropped. */
export const LOG_WAITING_BYTES_MAX = 256 * 1024;

/** The signed list of sums of an update file. */
export const UPDATE_LIST_BYTES_MAX = 4096;
/** release.json of an update file. */
export const RELEASE_BYTES_MAX = 4096;
/** Bytes of an update in hand at once. */
export const PIECE_BYTES = 256 * 1024;
