// The typed configuration: what a sendmail.mc compiles to. Plain data, JSON-serialisable, every default written out;
// `postern m4` prints it, the daemon takes it. Options carry Sendmail's long names (config/options.ts has the table).

import type { Options } from "./options.ts";

/** Where a directive stands in the source. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** The first argument of a map feature: `hash -o -T<TMPF> /etc/mail/access.db`. */
export interface MapSpec {
  /** "hash" | "btree" | "dbm" | "cdb" (all mean a constant database), "text", "null". */
  readonly type: string;
  /** Path without ".db". */
  readonly path: string;
  /** -o: a missing file is an empty map. */
  readonly optional: boolean;
  /** -T<TMPF> given or implied: lookup failures are temporary failures. */
  readonly tempfail: boolean;
  /** -f: keys are not folded. */
  readonly caseSensitive: boolean;
  /** -N/-O null-byte conventions, -k/-v columns, -z delimiter and so on, as written. */
  readonly flags: readonly string[];
}

/** A file that adds members to a class, read at start. */
export interface ClassFile {
  readonly class: string;
  readonly path: string;
  /** A missing file is an error unless optional (`-o`). */
  readonly optional: boolean;
}

/** `mailer:host`, as SMART_HOST, MAIL_HUB, LUSER_RELAY take it. */
export interface RelayTarget {
  /** Mailer name; "local" and "error" occur for LUSER_RELAY. */
  readonly mailer: string;
  readonly host: string;
}

export interface DnsblSpec {
  readonly zone: string;
  /** Text of argument 2 as written, "" for the default. */
  readonly message: string;
  /** Argument 3: "" accepts on failure, "t" is the default text, else the text itself. */
  readonly tempMessage: string;
  /** enhdnsbl arguments 4..: answers with a trailing dot; empty when every answer counts. */
  readonly results: readonly string[];
  readonly enhanced: boolean;
}

export interface Features {
  readonly accessDb: {
    readonly map: MapSpec;
    readonly skip: boolean;
    readonly lookupDotDomain: boolean;
    readonly relayToFullAddress: boolean;
  } | null;
  readonly acceptUnqualifiedSenders: boolean;
  readonly acceptUnresolvableDomains: boolean;
  readonly allMasquerade: boolean;
  /** Domain to add for the local mailer, "" means $j; null: not asked for. */
  readonly alwaysAddDomain: string | null;
  readonly authInfo: MapSpec | null;
  /** badmx: sender/recipient MX checks by name pattern. */
  readonly badMx: {
    readonly map: MapSpec | null;
    readonly message: string;
    /** Extended regular expression for addresses of bad MX hosts. */
    readonly pattern: string;
  } | null;
  /** null: off; empty list: all domains. */
  readonly bestMxIsLocal: readonly string[] | null;
  readonly blockBadHelo: boolean;
  readonly blocklistRecipients: boolean;
  readonly compatCheck: boolean;
  readonly connControl: { readonly noDelay: boolean; readonly terminate: boolean } | null;
  readonly delayChecks: "off" | "plain" | "friend" | "hater";
  readonly dnsbl: readonly DnsblSpec[];
  readonly domainTable: MapSpec | null;
  readonly genericsEntireDomain: boolean;
  readonly genericsTable: MapSpec | null;
  /** Default milliseconds of greet_pause; null: not asked for. */
  readonly greetPauseMs: number | null;
  readonly limitedMasquerade: boolean;
  readonly localLmtp: { readonly path: string; readonly args: string } | null;
  readonly localNoMasquerade: boolean;
  /** True also when OSTYPE(linux) turned it on. */
  readonly localProcmail: {
    readonly path: string;
    readonly args: string;
    readonly flags: string;
    readonly fromOstype: boolean;
  } | null;
  readonly lookupDotDomain: boolean;
  readonly looseRelayCheck: boolean;
  readonly mailerTable: MapSpec | null;
  readonly masqueradeEntireDomain: boolean;
  readonly masqueradeEnvelope: boolean;
  readonly msp: { readonly host: string } | null;
  readonly noCanonify: { readonly canonifyHosts: boolean } | null;
  readonly noDefaultMsa: boolean;
  readonly noPercentHack: "off" | "reject" | "nospecial";
  readonly noUucp: "off" | "reject" | "nospecial";
  /** nullclient(hub): the mailer and host that take everything. */
  readonly nullClient: RelayTarget | null;
  readonly preserveLocalPlusDetail: boolean;
  readonly preserveLuserHost: boolean;
  readonly promiscuousRelay: boolean;
  readonly queueGroup: { readonly group: string } | null;
  readonly rateControl: { readonly noDelay: boolean; readonly terminate: boolean } | null;
  readonly redirect: boolean;
  readonly relayBasedOnMx: boolean;
  readonly relayEntireDomain: boolean;
  readonly relayHostsOnly: boolean;
  readonly relayLocalFrom: boolean;
  readonly relayMailFrom: "off" | "address" | "domain";
  readonly requireRdns: boolean;
  /** Path of FEATURE(smrsh) (a program or a directory as the .mc says); null: not asked for (its rules apply all the same). */
  readonly smrsh: string | null;
  readonly stickyHost: boolean;
  readonly tlsSessionFeatures: boolean;
  readonly useClientPtr: boolean;
  readonly useCtFile: boolean;
  readonly useCwFile: boolean;
  readonly virtUserEntireDomain: boolean;
  readonly virtUserTable: MapSpec | null;
}

/** One listener (DAEMON_OPTIONS) or the client side (CLIENT_OPTIONS), see sendmail-semantics section 2. */
export interface DaemonSpec {
  readonly name: string;
  readonly address: string;
  /** Number; service names are resolved by the compiler. */
  readonly port: number;
  readonly family: "inet" | "inet6";
  readonly listen: number;
  /** Modifier letters as written ("a", "E", "Ea"). */
  readonly modifiers: string;
  /** 0: no limit of its own. */
  readonly children: number;
  readonly deliveryMode: string;
  readonly sendBufferSize: number;
  readonly receiveBufferSize: number;
  readonly delayLA: number;
  readonly queueLA: number;
  readonly refuseLA: number;
}

/** A mailer as MAILER() declares it: enough for routing, rewriting and delivery. */
export interface MailerSpec {
  /** "esmtp", "relay", "local", "prog", "procmail", "*file*", "*include*", "error", "discard", ... */
  readonly name: string;
  /** Which implementation delivers: "smtp" | "lmtp" | "local" | "procmail" | "prog" | "file" | "discard" | "error". */
  readonly kind: string;
  /** Sendmail mailer flags (F=), after MODIFY_MAILER_FLAGS. */
  readonly flags: string;
  readonly path: string;
  /** A=, e.g. "TCP $h 587" or "procmail -Y -a $h -d $u". */
  readonly args: string;
  /** L= line limit in bytes, 0: none. */
  readonly lineMax: number;
  /** M= message limit in bytes, 0: none. */
  readonly sizeMax: number;
  /** r= recipients per transaction. */
  readonly recipientsMax: number;
  /** m= messages per connection, 0: none. */
  readonly messagesMax: number;
  /** W= seconds, 0: none. */
  readonly waitSeconds: number;
  /** C=: character set for mail without one, "" for none. */
  readonly charset: string;
}

/** confMAILER_NAME and the header formats: texts of the rules that are not options. */
export interface Texts {
  /** $n, the sender of bounces: "MAILER-DAEMON". */
  readonly mailerName: string;
  /** $Z behind the slash of the version in greetings, "" when not set (confCF_VERSION). */
  readonly cfVersion: string;
  /** confFROM_HEADER, "" for the usual form. */
  readonly fromHeader: string;
  /** confMESSAGEID_HEADER, "" for the usual form. */
  readonly messageIdHeader: string;
  /** confRECEIVED_HEADER, "" for the usual form. */
  readonly receivedHeader: string;
}

export interface Warning {
  readonly place: Place | null;
  readonly message: string;
}

export interface Configuration {
  readonly format: "postern-configuration";
  readonly version: 1;
  /** Files that went in, with SHA-256 in hex, so that a stale compiled form is noticed. */
  readonly sources: readonly { readonly path: string; readonly sha256: string }[];
  readonly options: Options;
  readonly features: Features;
  /** DOMAIN_NAME ($j) when it was defined, else "" and the host name is used. */
  readonly domainName: string;
  /** Fixed class members by class name: "w", "R", "M", "N", "E", "G", "VirtHost", "L", "P", "t", "TrustAuthMech", "Canonify". */
  readonly classes: Readonly<Record<string, readonly string[]>>;
  readonly classFiles: readonly ClassFile[];
  /** MASQUERADE_AS ($M), "" when not set. */
  readonly masqueradeAs: string;
  readonly smartHost: RelayTarget | null;
  /** SMART_HOST was written with a mailer. Without one, address literals go there by the mailer for remote names, all else by relay. */
  readonly smartHostNamesMailer?: boolean;
  readonly mailHub: RelayTarget | null;
  readonly localRelay: RelayTarget | null;
  readonly luserRelay: RelayTarget | null;
  readonly fallbackMx: string;
  readonly mailers: readonly MailerSpec[];
  /** Names the rules use: LOCAL_MAILER, SMTP_MAILER, RELAY_MAILER. */
  readonly localMailer: string;
  readonly smtpMailer: string;
  readonly relayMailer: string;
  readonly daemons: readonly DaemonSpec[];
  /** CLIENT_OPTIONS; the first one when both families have one. */
  readonly client: DaemonSpec | null;
  /** CLIENT_OPTIONS of every family. */
  readonly clients: readonly DaemonSpec[];
  /** confREJECT_MSG, confRELAY_MSG, confRCPTREJ_MSG as `code text`. */
  readonly rejectMessage: string;
  readonly relayMessage: string;
  readonly recipientRejectMessage: string;
  readonly queueGroups: readonly { readonly name: string; readonly equates: string }[];
  readonly versionId: string;
  readonly texts: Texts;
  /** Other $ macros that LOCAL_CONFIG defines (Dx, D{name}). */
  readonly macros: Readonly<Record<string, string>>;
  readonly warnings: readonly Warning[];
}
