// The option table: every option of Sendmail 8.17 that a gateway can meet, with the m4 macro that sets it, its letter, type, unit,
// default and bounds, and the one line that the reference page prints. Defaults are those of a .mc that does not mention them.
// Options that cannot matter here are kept (effective: false), so that files from elsewhere compile and say so.

import { DURATION_MS_MAX, type OptionRow, type OptionValue, type TimeUnit } from "./optionkinds.ts";
import { TIMEOUT_ROWS } from "./timeouttable.ts";

type More = Partial<Omit<OptionRow, "name" | "conf" | "kind" | "default" | "doc">>;

const PLAIN = {
  letter: "",
  unit: "m",
  min: 0,
  max: Number.MAX_SAFE_INTEGER,
  values: [],
  leads: [],
  effective: true,
} as const;

/** A row whose effect lies outside this gateway. */
const IDLE: More = { effective: false };

function flag<const N extends string>(name: N, conf: string, initial: boolean, doc: string, more: More = {}) {
  const row: OptionRow<N, boolean> = {
    ...PLAIN,
    ...more,
    name,
    conf,
    kind: "boolean",
    default: initial,
    doc,
  };
  return row;
}

function count<const N extends string>(name: N, conf: string, initial: number, doc: string, more: More = {}) {
  const row: OptionRow<N, number> = {
    ...PLAIN,
    max: 2_147_483_647,
    ...more,
    name,
    conf,
    kind: "integer",
    default: initial,
    doc,
  };
  return row;
}

function bytes<const N extends string>(name: N, conf: string, initial: number, doc: string, more: More = {}) {
  const row: OptionRow<N, number> = { ...PLAIN, ...more, name, conf, kind: "bytes", default: initial, doc };
  return row;
}

function time<const N extends string>(
  name: N,
  conf: string,
  initialMs: number,
  unit: TimeUnit,
  doc: string,
  more: More = {},
) {
  const row: OptionRow<N, number> = {
    ...PLAIN,
    max: DURATION_MS_MAX,
    ...more,
    name,
    conf,
    kind: "duration",
    default: initialMs,
    unit,
    doc,
  };
  return row;
}

function text<const N extends string>(name: N, conf: string, initial: string, doc: string, more: More = {}) {
  const row: OptionRow<N, string> = { ...PLAIN, ...more, name, conf, kind: "text", default: initial, doc };
  return row;
}

function letters<const N extends string>(
  name: N,
  conf: string,
  permitted: string,
  doc: string,
  more: More = {},
) {
  const row: OptionRow<N, string> = {
    ...PLAIN,
    ...more,
    name,
    conf,
    kind: "letters",
    default: "",
    values: [...permitted],
    doc,
  };
  return row;
}

function words<const N extends string>(
  name: N,
  conf: string,
  initial: readonly string[],
  doc: string,
  more: More = {},
) {
  const row: OptionRow<N, readonly string[]> = {
    ...PLAIN,
    ...more,
    name,
    conf,
    kind: "words",
    default: initial,
    doc,
  };
  return row;
}

function choice<const N extends string, const V extends string>(
  name: N,
  conf: string,
  values: readonly V[],
  initial: NoInfer<V>,
  doc: string,
  more: More = {},
) {
  const row: OptionRow<N, V> = {
    ...PLAIN,
    ...more,
    name,
    conf,
    kind: "choice",
    default: initial,
    values,
    doc,
  };
  return row;
}

/** The words of PrivacyOptions (semantics section 17). */
const PRIVACY_WORDS = [
  "public",
  "needmailhelo",
  "needexpnhelo",
  "needvrfyhelo",
  "noexpn",
  "novrfy",
  "noetrn",
  "noverb",
  "noreceipts",
  "nobodyreturn",
  "authwarnings",
  "restrictmailq",
  "restrictqrun",
  "restrictexpand",
  "noactualrecipient",
  "goaway",
];

/** The words of DontBlameSendmail (semantics section 23), as Sendmail spells them. */
const BLAME_WORDS = [
  "Safe",
  "AssumeSafeChown",
  "CertOwner",
  "ClassFileInUnsafeDirPath",
  "DontWarnForwardFileInUnsafeDirPath",
  "ErrorHeaderInUnsafeDirPath",
  "FileDeliveryToHardLink",
  "FileDeliveryToSymLink",
  "ForwardFileInGroupWritableDirPath",
  "ForwardFileInUnsafeDirPath",
  "ForwardFileInUnsafeDirPathSafe",
  "GroupReadableDefaultAuthInfoFile",
  "GroupReadableKeyFile",
  "GroupReadableSASLDBFile",
  "GroupWritableAliasFile",
  "GroupWritableDirPathSafe",
  "GroupWritableForwardFile",
  "GroupWritableForwardFileSafe",
  "GroupWritableIncludeFile",
  "GroupWritableIncludeFileSafe",
  "GroupWritableSASLDBFile",
  "HelpFileInUnsafeDirPath",
  "IncludeFileInGroupWritableDirPath",
  "IncludeFileInUnsafeDirPath",
  "IncludeFileInUnsafeDirPathSafe",
  "InsufficientEntropy",
  "LinkedAliasFileInWritableDir",
  "LinkedClassFileInWritableDir",
  "LinkedForwardFileInWritableDir",
  "LinkedIncludeFileInWritableDir",
  "LinkedMapInWritableDir",
  "LinkedServiceSwitchFileInWritableDir",
  "MapInUnsafeDirPath",
  "NonRootSafeAddr",
  "RunProgramInUnsafeDirPath",
  "RunWritableProgram",
  "TrustStickyBit",
  "WorldWritableAliasFile",
  "WorldWritableForwardFile",
  "WorldWritableIncludeFile",
  "WriteMapToHardLink",
  "WriteMapToSymLink",
  "WriteStatsToHardLink",
  "WriteStatsToSymLink",
];

const RESOLVER_WORDS = [
  "DEBUG",
  "AAONLY",
  "USEVC",
  "PRIMARY",
  "IGNTC",
  "RECURSE",
  "DEFNAMES",
  "STAYOPEN",
  "DNSRCH",
  "USE_INET6",
  "USE_EDNS0",
  "USE_DNSSEC",
  "HasWildcardMX",
  "WorkAroundBrokenAAAA",
].flatMap((word) => [word, `+${word}`, `-${word}`]);

/** Every option, by name. */
// biome-ignore format: one option a line reads as the table it is.
export const OPTION_TABLE = [
  words("AliasFile", "ALIAS_FILE", ["/etc/mail/aliases"], "Files of aliases; a type in front (hash:) is accepted.", { letter: "A" }),
  time("AliasWait", "confALIAS_WAIT", 600_000, "m", "How long to wait for an aliases table that is being rebuilt.", { letter: "a" }),
  flag("AllowBogusHELO", "confALLOW_BOGUS_HELO", false, "Accept HELO and EHLO names that break RFC 5321."),
  count("AuthMaxBits", "confAUTH_MAX_BITS", 2_147_483_647, "Largest security layer of AUTH mechanisms; there are none here.", IDLE),
  words("AuthMechanisms", "confAUTH_MECHANISMS", ["EXTERNAL", "DIGEST-MD5", "CRAM-MD5"], "AUTH mechanisms offered to clients, and tried with servers, in this order."),
  letters("AuthOptions", "confAUTH_OPTIONS", "aAcdfmpTyr", "A: AUTH= only after AUTH; a c d f m y: demands on mechanisms; p: PLAIN and LOGIN under TLS only, which is also what an empty value means; set without p: everywhere."),
  text("AuthRealm", "confAUTH_REALM", "", "Realm of AUTH; empty: $j."),
  count("BadRcptThrottle", "confBAD_RCPT_THROTTLE", 0, "After this many refused recipients each further one costs a second; 0: off."),
  text("BlankSub", "confBLANK_SUB", ".", "What unquoted blanks in addresses become.", { letter: "B" }),
  text("CACertFile", "confCACERT", "", "File of certificates of authorities (PEM)."),
  text("CACertPath", "confCACERT_PATH", "", "Folder of certificates of authorities."),
  text("CertFingerprintAlgorithm", "confCERT_FINGERPRINT_ALGORITHM", "", "Digest for certificate fingerprints; empty: SHA-256."),
  flag("CheckAliases", "confCHECK_ALIASES", false, "Parse right-hand sides when aliases are built.", { letter: "n", }),
  count("CheckpointInterval", "confCHECKPOINT_INTERVAL", 10, "Recipients between checkpoints; here each outcome is recorded.", { letter: "C", effective: false }),
  text("CipherList", "confCIPHER_LIST", "", "OpenSSL cipher list for TLS 1.2; empty: the built-in list."),
  count("ClassFactor", "confWORK_CLASS_FACTOR", 1800, "Weight of the precedence class in the priority.", { letter: "z", }),
  text("ClientCertFile", "confCLIENT_CERT", "", "Certificate shown to servers (PEM)."),
  text("ClientKeyFile", "confCLIENT_KEY", "", "Key of ClientCertFile; not readable by group or others."),
  words("ClientPortOptions", "", [], "Set by CLIENT_OPTIONS and -O; kept apart as the client of the configuration."),
  words("ClientSSLOptions", "confCLIENT_SSL_OPTIONS", [], "OpenSSL option words for connections to servers."),
  flag("ColonOkInAddr", "confCOLON_OK_IN_ADDR", true, "A colon may stand in a local part."),
  text("ConnectOnlyTo", "confCONNECT_ONLY_TO", "", "Connect to this address whatever DNS says (tests)."),
  count("ConnectionCacheSize", "confMCI_CACHE_SIZE", 2, "Idle connections to next hops that are kept.", { letter: "k", max: 1000, }),
  time("ConnectionCacheTimeout", "confMCI_CACHE_TIMEOUT", 300_000, "m", "How long an idle connection is kept.", { letter: "K" }),
  count("ConnectionRateThrottle", "confCONNECTION_RATE_THROTTLE", 0, "Connections accepted a second by each listener; 0: no limit."),
  time("ConnectionRateWindowSize", "confCONNECTION_RATE_WINDOW_SIZE", 60_000, "s", "Window in which ratecontrol counts.", { min: 1000 }),
  text("ControlSocketName", "confCONTROL_SOCKET_NAME", "", "Path of the control socket; empty: /run/postern/control."),
  text("CRLFile", "confCRL", "", "Revocation list (PEM)."),
  text("CRLPath", "confCRL_PATH", "", "Folder of revocation lists."),
  words("DaemonPortOptions", "", [], "Set by DAEMON_OPTIONS and -O; kept apart as the daemons of the configuration.", { letter: "O" }),
  choice("DANE", "confDANE", ["false", "true", "always"], "false", "DANE (TLSA records); needs a validating resolver, not in this build.", IDLE),
  bytes("DataFileBufferSize", "confDF_BUFFER_SIZE", 4096, "Size of bodies kept in memory; here a built-in bound.", IDLE),
  text("DeadLetterDrop", "confDEAD_LETTER_DROP", "", "File for mail that can neither be delivered nor returned."),
  text("DefaultAuthInfo", "confDEF_AUTH_INFO", "", "File with the credentials for servers: four or five lines, 0600."),
  text("DefaultCharSet", "confDEF_CHAR_SET", "unknown-8bit", "Character set named when 8-bit text has to be converted."),
  text("DefaultUser", "confDEF_USER_ID", "8:12", "User and group the daemon becomes for good: uid:gid, uid.gid or names.", { letter: "u" }),
  count("DelayLA", "confDELAY_LA", 0, "Load average from which commands are answered slowly; 0: off."),
  time("DeliverByMin", "confDELIVER_BY_MIN", 0, "s", "Smallest DELIVERBY time accepted."),
  choice("DeliveryMode", "confDELIVERY_MODE", ["background", "interactive", "queueonly", "deferred"], "background", "background, interactive, queueonly or deferred.", { letter: "d" }),
  text("DHParameters", "confDH_PARAMETERS", "", "DH parameters: a file, or 2 or a digit for built-in ones; empty: automatic."),
  time("DialDelay", "confDIAL_DELAY", 0, "s", "Wait before a second connection attempt (dialled lines)."),
  letters("DirectSubmissionModifiers", "confDIRECT_SUBMISSION_MODIFIERS", "", "Daemon modifiers for mail submitted by commands."),
  words("DontBlameSendmail", "confDONT_BLAME_SENDMAIL", ["Safe"], "File-safety rules to relax, by name.", { values: BLAME_WORDS, }),
  flag("DontExpandCnames", "confDONT_EXPAND_CNAMES", false, "Leave aliases in DNS (CNAME) as they are."),
  flag("DontInitGroups", "confDONT_INIT_GROUPS", false, "No supplementary groups; the daemon has none anyway.", IDLE),
  flag("DontProbeInterfaces", "confDONT_PROBE_INTERFACES", false, "Do not count names and addresses of interfaces as local names."),
  flag("DontPruneRoutes", "confDONT_PRUNE_ROUTES", false, "Keep source routes; they are always stripped here.", { letter: "R", effective: false }),
  text("DoubleBounceAddress", "confDOUBLE_BOUNCE_ADDRESS", "postmaster", "Who gets bounces that bounce; empty: they are dropped."),
  choice("EightBitMode", "confEIGHT_BIT_HANDLING", ["pass8", "mimify", "mimefy", "strict"], "pass8", "8-bit bodies that were not declared: pass8, mimify or strict.", { letter: "8" }),
  text("ErrorHeader", "confERROR_MESSAGE", "", "Text or file in front of bounces.", { letter: "E" }),
  choice("ErrorMode", "confERROR_MODE", ["print", "quiet", "mail", "write", "exit"], "print", "How errors of local submission are reported.", { letter: "e" }),
  text("FallbackMXhost", "confFALLBACK_MX", "", "Host tried after all MX hosts.", { letter: "V" }),
  text("FallbackSmartHost", "confFALLBACK_SMARTHOST", "", "Host for domains that DNS does not know."),
  count("FastSplit", "confFAST_SPLIT", 1, "Splitting of envelopes at entry; deliveries are always grouped by host here.", IDLE),
  flag("ForkEachJob", "confSEPARATE_PROC", false, "A process per message; there is one process here.", { letter: "Y", effective: false, }),
  text("ForwardPath", "confFORWARD_PATH", "$z/.forward.$w:$z/.forward", "Where .forward files are looked for.", { letter: "J" }),
  text("HeloName", "confHELO_NAME", "", "Name in our HELO and EHLO; empty: $j."),
  text("HelpFile", "HELP_FILE", "/etc/mail/helpfile", "File of HELP texts.", { letter: "H" }),
  flag("HoldExpensive", "confCON_EXPENSIVE", false, "Queue mail for mailers with the flag e until a queue run.", { letter: "c" }),
  text("HostStatusDirectory", "confHOST_STATUS_DIRECTORY", "", "Host status; kept in the state folder here.", IDLE),
  text("HostsFile", "confHOSTS_FILE", "/etc/hosts", "The hosts file."),
  flag("IgnoreDots", "confIGNORE_DOTS", false, "A line with one dot does not end submitted mail (-i).", { letter: "i", }),
  words("InputMailFilters", "confINPUT_MAIL_FILTERS", [], "Milters to call; not in this build."),
  text("LDAPDefaultSpec", "confLDAP_DEFAULT_SPEC", "", "LDAP; not in this build.", IDLE),
  count("LogLevel", "confLOG_LEVEL", 9, "How much is logged.", { letter: "L", max: 99 }),
  text("MailboxDatabase", "confMAILBOX_DATABASE", "pw", "Accounts come from the password file.", IDLE),
  flag("MatchGECOS", "confMATCH_GECOS", false, "Match full names of accounts; not done here.", { letter: "G", effective: false, }),
  count("MaxAliasRecursion", "confMAX_ALIAS_RECURSION", 10, "Levels of aliases.", { max: 100 }),
  count("MaxDaemonChildren", "confMAX_DAEMON_CHILDREN", 0, "Connections at a time; more are refused; 0: no limit of its own."),
  bytes("MaxHeadersLength", "confMAX_HEADERS_LENGTH", 32_768, "Bytes of all header lines of a message; 0: no limit of its own."),
  count("MaxHopCount", "confMAX_HOP", 25, "Received lines from which a message is taken to loop.", { letter: "h", min: 1, max: 1000, }),
  bytes("MaxMessageSize", "confMAX_MESSAGE_SIZE", 0, "Largest message in bytes; 0: no limit."),
  text("MaxMimeHeaderLength", "confMAX_MIME_HEADER_LENGTH", "0/0", "Longest MIME header and parameter, N/M; 0: no limit."),
  count("MaxNOOPCommands", "confMAX_NOOP_COMMANDS", 20, "Commands without effect before answers become slow."),
  time("MaxQueueAge", "confMAX_QUEUE_AGE", 0, "m", "Longest time between attempts of a back-off; 0: every queue run tries."),
  count("MaxQueueChildren", "confMAX_QUEUE_CHILDREN", 0, "Deliveries at a time; 0: the built-in bound."),
  count("MaxQueueRunSize", "confMAX_QUEUE_RUN_SIZE", 0, "Messages of one queue run; 0: all."),
  count("MaxRecipientsPerMessage", "confMAX_RCPTS_PER_MESSAGE", 0, "Recipients of one message; 0: the built-in bound."),
  count("MaxRunnersPerQueue", "confMAX_RUNNERS_PER_QUEUE", 1, "Parallel deliveries of a queue group.", { max: 1000, }),
  flag("MeToo", "confME_TOO", true, "The sender stays in lists that hold him.", { letter: "m" }),
  count("MinFreeBlocks", "confMIN_FREE_BLOCKS", 100, "Free blocks below which mail is refused with 452.", { letter: "b", }),
  time("MinQueueAge", "confMIN_QUEUE_AGE", 0, "m", "How long a message rests between attempts."),
  text("MustQuoteChars", "confMUST_QUOTE_CHARS", ".", "Characters that make a full name need quotes."),
  count("NiceQueueRun", "confNICE_QUEUE_RUN", 0, "Priority of queue runs; there is one process here.", { effective: false, max: 20, }),
  choice("NoRecipientAction", "confNO_RCPT_ACTION", ["none", "add-to", "add-apparently-to", "add-to-undisclosed", "add-bcc"], "none", "What a message without recipient fields gets."),
  flag("OldStyleHeaders", "confOLD_STYLE_HEADERS", true, "Blanks separate addresses in submitted headers.", { letter: "o", }),
  text("OperatorChars", "confOPERATORS", ".:%@!^/[]+", "Characters that cut addresses into tokens; fixed here.", IDLE),
  text("PidFile", "confPID_FILE", "", "File with process id and command line; empty: /run/postern/sendmail.pid."),
  text("PostmasterCopy", "confCOPY_ERRORS_TO", "", "Who gets a copy of bounces.", { letter: "P" }),
  words("PrivacyOptions", "confPRIVACY_FLAGS", ["authwarnings"], "What clients may ask; goaway stands for most of them.", { letter: "p", values: PRIVACY_WORDS }),
  text("ProcessTitlePrefix", "confPROCESS_TITLE_PREFIX", "", "Prefix of process titles.", IDLE),
  text("QueueDirectory", "QUEUE_DIR", "/var/spool/mqueue", "The folder of the queue.", { letter: "Q" }),
  count("QueueFactor", "confQUEUE_FACTOR", 600_000, "How much load a priority bears before mail is only queued.", { letter: "q" }),
  text("QueueFileMode", "confQUEUE_FILE_MODE", "0600", "Mode of queue files; always 0600 here.", IDLE),
  count("QueueLA", "confQUEUE_LA", 8, "Load average from which mail is only queued; 0: off. In force when it is set to another value than the default.", { letter: "x", }),
  choice("QueueSortOrder", "confQUEUE_SORT_ORDER", ["priority", "host", "time", "filename", "modification", "random", "none"], "priority", "Order of a queue run."),
  text("RandFile", "confRAND_FILE", "", "Source of randomness; the kernel's is used.", IDLE),
  count("RecipientFactor", "confWORK_RECIPIENT_FACTOR", 30_000, "Weight of each recipient in the priority.", { letter: "y", }),
  count("RefuseLA", "confREFUSE_LA", 12, "Load average from which connections are refused; 0: off. In force when it is set to another value than the default.", { letter: "X", }),
  time("RejectLogInterval", "confREJECT_LOG_INTERVAL", 10_800_000, "h", "How often refusing connections is logged."),
  flag("RejectNUL", "confREJECT_NUL", false, "Refuse NUL bytes; always done here.", IDLE),
  choice("RequiresDirfsync", "confREQUIRES_DIR_FSYNC", ["true", "false"], "true", "Directories are always synced here.", IDLE),
  words("ResolverOptions", "confBIND_OPTS", [], "Resolver flags, +X or -X.", { letter: "I", values: RESOLVER_WORDS, }),
  flag("RequireTLS", "confREQUIRETLS", false, "Offer and honour REQUIRETLS (RFC 8689)."),
  count("RetryFactor", "confWORK_TIME_FACTOR", 90_000, "What each attempt adds to the priority.", { letter: "Z", }),
  flag("RrtImpliesDsn", "confRRT_IMPLIES_DSN", false, "Return-Receipt-To asks for success reports."),
  text("RunAsUser", "confRUN_AS_USER", "", "User the daemon becomes; empty: DefaultUser."),
  text("SafeFileEnvironment", "confSAFE_FILE_ENV", "", "The jail: nothing is written outside it; empty: /var/mailjail on a board."),
  flag("SaveFromLine", "confSAVE_FROM_LINES", false, "Keep From lines at the top of submitted mail.", { letter: "f", }),
  flag("SendMimeErrors", "confMIME_FORMAT_ERRORS", true, "Bounces are MIME; always so here.", { letter: "j", effective: false, }),
  text("ServerCertFile", "confSERVER_CERT", "", "Certificate shown to clients (PEM)."),
  text("ServerKeyFile", "confSERVER_KEY", "", "Key of ServerCertFile; not readable by group or others."),
  words("ServerSSLOptions", "confSERVER_SSL_OPTIONS", [], "OpenSSL option words for connections of clients."),
  text("ServiceSwitchFile", "confSERVICE_SWITCH_FILE", "", "Order of name services: hosts file, then DNS, here.", IDLE),
  flag("SevenBitInput", "confSEVEN_BIT_INPUT", false, "Strip the eighth bit of input.", { letter: "7" }),
  text("SharedMemoryKey", "confSHARED_MEMORY_KEY", "", "Shared memory; there is one process here.", IDLE),
  flag("SingleLineFromHeader", "confSINGLE_LINE_FROM_HEADER", false, "Fold From fields into one line."),
  flag("SingleThreadDelivery", "confSINGLE_THREAD_DELIVERY", false, "One connection at a time to a host."),
  text("SmtpGreetingMessage", "confSMTP_LOGIN_MSG", "$j Sendmail $v/$Z; $b", "The greeting; ESMTP becomes its second word."),
  flag("SMTPUTF8", "confSMTPUTF8", false, "Offer and honour SMTPUTF8 (RFC 6531)."),
  flag("SoftBounce", "confSOFT_BOUNCE", false, "Permanent errors become temporary ones (tests)."),
  text("StatusFile", "STATUS_FILE", "", "Statistics; kept in the state folder here.", { letter: "S", effective: false, }),
  choice("SuperSafe", "confSAFE_QUEUE", ["true", "false", "interactive", "postmilter"], "true", "When a message must be on flash; a 250 always means that it is safe.", { letter: "s" }),
  text("TempFileMode", "confTEMP_FILE_MODE", "0600", "Mode of temporary files.", { letter: "F", effective: false, }),
  text("TimeZoneSpec", "confTIME_ZONE", "USE_SYSTEM", "USE_SYSTEM, USE_TZ or a zone.", { letter: "t", effective: false, }),
  flag("TLSFallbacktoClear", "confTLS_FALLBACK_TO_CLEAR", false, "Try again without TLS when a handshake fails."),
  letters("TLSSrvOptions", "confTLS_SRV_OPTIONS", "VCRFMDT", "V: no client certificate is asked for."),
  text("TrustedUser", "confTRUSTED_USER", "", "Owner of tables and control socket; empty: DefaultUser."),
  flag("TryNullMXList", "confTRY_NULL_MX_LIST", false, "Connect to the name itself when its best MX is us.", { letter: "w", }),
  text("UnixFromLine", "confFROM_LINE", "From $g $d", "The From line of mailboxes."),
  flag("UnsafeGroupWrites", "confUNSAFE_GROUP_WRITES", true, "Group-writable .forward and :include: files may not name files or programs."),
  flag("UseCompressedIPv6Addresses", "confUSE_COMPRESSED_IPV6_ADDRESSES", false, "IPv6 addresses in keys with ::."),
  flag("UseErrorsTo", "confUSE_ERRORS_TO", false, "Bounces go to Errors-To.", { letter: "l" }),
  flag("UseMSP", "confUSE_MSP", false, "Submission through a mail submission program.", IDLE),
  text("UserDatabaseSpec", "confUSERDB_SPEC", "", "The user database; not in this build.", { letter: "U", effective: false, }),
  flag("Verbose", "", false, "Verbose (-v).", { letter: "v" }),
  bytes("XscriptFileBufferSize", "confXF_BUFFER_SIZE", 4096, "Size of transcripts kept in memory.", IDLE),
  ...TIMEOUT_ROWS,
] as const;

/** The table without its exact types, for code that walks it. */
export const OPTION_ROWS: readonly OptionRow<string, OptionValue>[] = OPTION_TABLE;
