// The conf names that are not options: what they are for, which are obsolete, and which are known and do nothing here.
// Unknown ones are warned of with the nearest known name (a mistyped confMAX_HOP_COUNT has no effect in Sendmail, silently).

import { OPTION_ROWS } from "./optiontable.ts";

/** Names that the compiler reads itself. */
export const TEXT_NAMES: readonly (readonly [name: string, doc: string])[] = [
  ["confCF_VERSION", "Version of the configuration, behind the slash in $v/$Z."],
  ["confCR_FILE", "File of relay domains (class R)."],
  ["confCT_FILE", "File of trusted users (class t), for use_ct_file."],
  ["confCW_FILE", "File of our names (class w), for use_cw_file."],
  ["confDOMAIN_NAME", "Our full name ($j); empty: the host's name."],
  ["confEBINDIR", "Folder of smrsh and mail.local."],
  ["confFROM_HEADER", "Form of the From field that is added."],
  ["confLOCAL_MAILER", "The mailer for local mail."],
  ["confMAILER_NAME", "Sender of bounces ($n)."],
  ["confMESSAGEID_HEADER", "Form of the Message-Id that is added."],
  ["confRCPTREJ_MSG", "Refusal of a recipient that access rejects."],
  ["confRECEIVED_HEADER", "Form of the Received field."],
  ["confREJECT_MSG", "Refusal of a client or sender that access rejects."],
  ["confRELAY_MAILER", "The mailer for SMART_HOST and MAIL_HUB without one."],
  ["confRELAY_MSG", "Refusal to relay."],
  ["confSMTP_MAILER", "The mailer for remote mail."],
];

/** Known names without effect here. */
const IDLE_NAMES = [
  "confBITNET_MAILER",
  "confDECNET_MAILER",
  "confLDAP_CLUSTER",
  "confLOCAL_USER_DB",
  "confMILTER_LOG_LEVEL",
  "confMILTER_MACROS_CONNECT",
  "confMILTER_MACROS_DATA",
  "confMILTER_MACROS_ENVFROM",
  "confMILTER_MACROS_ENVRCPT",
  "confMILTER_MACROS_EOH",
  "confMILTER_MACROS_EOM",
  "confMILTER_MACROS_HELO",
  "confRELAY_MAILER_FLAGS",
  "confSHARED_MEMORY_KEY_FILE",
  "confSSL_ENGINE",
  "confSSL_ENGINE_PATH",
  "confUUCP_MAILER",
];

/** Obsolete names, with what Sendmail says instead. */
export const OBSOLETE_NAMES: ReadonlyMap<string, string> = new Map([
  ["confAUTO_REBUILD", "confAUTO_REBUILD is no longer valid; run newaliases"],
  ["confDAEMON_OPTIONS", "confDAEMON_OPTIONS is no longer valid; use DAEMON_OPTIONS()"],
  ["confCLIENT_OPTIONS", "confCLIENT_OPTIONS is no longer valid; use CLIENT_OPTIONS()"],
  ["confDEF_GROUP_ID", "confDEF_GROUP_ID is obsolete; use confDEF_USER_ID with a colon in the value"],
  ["confREAD_TIMEOUT", "confREAD_TIMEOUT is obsolete; use the individual confTO_ parameters"],
]);

/** Every conf name that is known. */
export const KNOWN_CONF_NAMES: ReadonlySet<string> = new Set([
  ...OPTION_ROWS.map((row) => row.conf).filter((conf) => conf !== ""),
  ...TEXT_NAMES.map(([name]) => name),
  ...IDLE_NAMES,
  ...OBSOLETE_NAMES.keys(),
]);

/** Options that do nothing here and whose absence would be missed: a reason for the warning. */
export const LOST_OPTIONS: ReadonlyMap<string, string> = new Map([
  ["DANE", "DANE is not in this build; use TLS_Srv: keys in access"],
  ["HostStatusDirectory", ""],
  ["LDAPDefaultSpec", "LDAP is not in this build"],
  ["MatchGECOS", "full names are not matched; use aliases"],
  ["UserDatabaseSpec", "the user database is not in this build; use aliases and genericstable"],
]);
