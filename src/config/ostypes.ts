// OSTYPE and DOMAIN: what a system type or a domain file sets, as macro names and values. Only settings that a gateway can notice
// are here; paths of the host's own programs and of its folders are the firmware's business.

/** A macro and its value. */
export type Setting = readonly [name: string, value: string];

export interface SystemType {
  readonly settings: readonly Setting[];
  /** Settings that hold unless the administrator has his own. */
  readonly defaults?: readonly Setting[];
  /** MODIFY_MAILER_FLAGS of its own: group and change. */
  readonly flags?: readonly (readonly [group: string, change: string])[];
  /** Which FEATURE it brings. */
  readonly local: "procmail" | "lmtp" | "";
}

const MAILBOX: SystemType = { settings: [], local: "" };

/** Facts of Debian's packaging that its starttls.m4 and sasl.m4 ask for. */
const DEBIAN_FACTS: readonly Setting[] = [
  ["sm_version", "8.17.1.9"],
  ["sm_version_v", "8"],
  ["sm_version_math", "528641"],
  ["sm_enable_tls", "yes"],
  ["sm_enable_auth", "yes"],
  ["sm_auth_lib", "2"],
  ["sm_enable_ipv6", "yes"],
  ["sm_enable_milter", "no"],
  ["sm_enable_ldap", "no"],
  ["sm_ffr", ""],
];

const LINUX: SystemType = {
  settings: [
    ["confEBINDIR", "/usr/sbin"],
    ["PROCMAIL_MAILER_PATH", "/usr/bin/procmail"],
  ],
  local: "procmail",
};

const DEBIAN: SystemType = {
  settings: [
    ...DEBIAN_FACTS,
    ["confEBINDIR", "/usr/libexec/sendmail"],
    [
      "confSMTP_LOGIN_MSG",
      // biome-ignore lint/suspicious/noTemplateCurlyInString: Sendmail's macros look like that.
      "$j Sendmail $v/$Z; $b; (No UCE/UBE) $?{client_addr}logging access from: ${client_name}(${client_resolve})-$_$.",
    ],
    ["LOCAL_MAILER_PATH", "/usr/sbin/sensible-mda"],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: Sendmail's macros look like that.
    ["LOCAL_MAILER_ARGS", "sensible-mda $g $u $h ${client_addr}"],
    ["PROCMAIL_MAILER_PATH", "/usr/bin/procmail"],
    ["PROCMAIL_MAILER_ARGS", "procmail -m $h $f $u"],
    ["confREJECT_NUL", "true"],
    ["confBIND_OPTS", "+WorkAroundBrokenAAAA"],
  ],
  flags: [
    ["LOCAL", "+S"],
    ["LOCAL", "-r"],
    ["LOCAL", "-m"],
  ],
  local: "",
};

const MAIL_LOCAL: Setting = ["LOCAL_MAILER_PATH", "/usr/libexec/mail.local"];

const BSD: SystemType = { settings: [], defaults: [MAIL_LOCAL], local: "" };

const FREEBSD: SystemType = {
  settings: [],
  defaults: [MAIL_LOCAL, ["LOCAL_MAILER_ARGS", "mail $u"]],
  flags: [["LOCAL", "+S"]],
  local: "",
};

const SOLARIS2: SystemType = {
  settings: [["confEBINDIR", "/usr/lib"]],
  defaults: [
    ["LOCAL_MAILER_PATH", "/usr/lib/mail.local"],
    ["LOCAL_MAILER_FLAGS", "fSmn9"],
    ["LOCAL_MAILER_ARGS", "mail.local -d $u"],
  ],
  local: "",
};

const SOLARIS: SystemType = {
  settings: [
    ["confEBINDIR", "/usr/lib"],
    ["_NETINET6_", ""],
  ],
  local: "lmtp",
};

/** Old systems that keep programs in /usr/lib. */
const USR_LIB: SystemType = { settings: [["confEBINDIR", "/usr/lib"]], local: "" };

/** System types that a gateway cannot tell from each other. */
const PLAIN_TYPES = [
  "a-ux",
  "aix3",
  "aix4",
  "aix5",
  "altos",
  "amdahl-uts",
  "bsd4.3",
  "bsdi1.0",
  "bsdi2.0",
  "dgux",
  "domainos",
  "dynix3.2",
  "gnu",
  "hpux9",
  "hpux10",
  "hpux11",
  "irix4",
  "irix5",
  "irix6",
  "isc4.1",
  "maxion",
  "mpeix",
  "nextstep",
  "osf1",
  "powerux",
  "ptx2",
  "qnx",
  "riscos4.5",
  "sco-uw-2.1",
  "sco3.2",
  "sinix",
  "solaris2.pre5",
  "svr4",
  "unicos",
  "unicosmk",
  "unicosmp",
  "unixware7",
  "uxpds",
  "generic",
];

/** System types by name. */
export const SYSTEM_TYPES: ReadonlyMap<string, SystemType> = new Map<string, SystemType>([
  ...PLAIN_TYPES.map((name) => [name, MAILBOX] as const),
  ["linux", LINUX],
  ["mklinux", LINUX],
  ["suse-linux", LINUX],
  ["debian", DEBIAN],
  ["bsd4.4", BSD],
  ["bsdi", BSD],
  ["netbsd", BSD],
  ["openbsd", { settings: [], defaults: [MAIL_LOCAL, ["LOCAL_MAILER_FLAGS", "rmn9S"]], local: "" }],
  [
    "darwin",
    {
      settings: [["confDONT_BLAME_SENDMAIL", "AssumeSafeChown,GroupWritableDirPathSafe"]],
      defaults: [MAIL_LOCAL],
      flags: [["LOCAL", "+S"]],
      local: "",
    },
  ],
  ["dragonfly", FREEBSD],
  ["freebsd4", FREEBSD],
  ["freebsd5", FREEBSD],
  ["freebsd6", FREEBSD],
  ["solaris2", SOLARIS2],
  ["solaris2.ml", SOLARIS2],
  ["solaris8", SOLARIS],
  ["solaris11", SOLARIS],
  ["sunos3.5", USR_LIB],
  ["sunos4.1", USR_LIB],
  ["ultrix4", USR_LIB],
]);

/** Timeouts and limits that Debian's domain files shorten. */
const DEBIAN_TIMES: readonly Setting[] = [
  ["confTO_MAIL", "2m"],
  ["confTO_DATAINIT", "2m"],
  ["confTO_RSET", "1m"],
  ["confTO_QUIT", "2m"],
  ["confTO_COMMAND", "5m"],
];

/** DOMAIN files of Sendmail and Debian; features are asked for by name. */
export const DOMAIN_FILES: ReadonlyMap<
  string,
  { settings: readonly Setting[]; features: readonly string[] }
> = new Map([
  [
    "generic",
    {
      settings: [
        ["confFORWARD_PATH", "$z/.forward.$w+$h:$z/.forward+$h:$z/.forward.$w:$z/.forward"],
        ["confMAX_HEADERS_LENGTH", "32768"],
      ],
      features: ["redirect", "use_cw_file"],
    },
  ],
  [
    "debian-mta",
    {
      settings: [
        ["DEBIAN_MTA", ""],
        ...DEBIAN_TIMES,
        ["confTO_ICONNECT", "2m"],
        ["confMAX_HOP", "100"],
        ["confMAX_RUNNERS_PER_QUEUE", "5"],
        ["confPRIVACY_FLAGS", "restrictqrun,restrictexpand"],
        [
          "confDONT_BLAME_SENDMAIL",
          ",AssumeSafeChown,ForwardFileInGroupWritableDirPath,GroupWritableForwardFileSafe,GroupWritableIncludeFileSafe,IncludeFileInGroupWritableDirPath,DontWarnForwardFileInUnsafeDirPath,TrustStickyBit,NonRootSafeAddr,GroupWritableIncludeFile,GroupReadableDefaultAuthInfoFile",
        ],
      ],
      features: [],
    },
  ],
  [
    "debian-msp",
    {
      settings: [
        ["DEBIAN_MSP", ""],
        ...DEBIAN_TIMES,
        ["confTO_ICONNECT", "2s"],
        ["confTO_HOSTSTATUS", "0"],
        ["MSP_QUEUE_DIR", "/var/spool/mqueue-client"],
        ["confRUN_AS_USER", "smmsp"],
        ["confTRUSTED_USER", "smmsp"],
      ],
      features: ["no_default_msa"],
    },
  ],
]);
