// From what the directives recorded to the finished Configuration: option values, classes, relays, listeners, mailers,
// and the checks that need the whole (semantics sections 1 to 4, contract section 8).

import type { Configuration, DaemonSpec, Place, RelayTarget } from "./configuration.ts";
import { KNOWN_CONF_NAMES, LOST_OPTIONS, OBSOLETE_NAMES } from "./confnames.ts";
import { builtInMailers, MAILER_SETTING } from "./mailers.ts";
import type { McState } from "./mcstate.ts";
import { suggestion } from "./nearest.ts";
import {
  defaultOptions,
  type Options,
  optionNamed,
  parseOptionValue,
  setOption,
  withOption,
} from "./options.ts";
import { OPTION_ROWS } from "./optiontable.ts";
import { listeners, outgoing } from "./sockets.ts";
import { addStandardFiles } from "./tablefeatures.ts";

/** AUTH mechanisms that this gateway can have. */
const MECHANISMS = ["EXTERNAL", "PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"];

/** Macros that Sendmail's cf.m4 defines before a .mc is read. */
export const PRESET: readonly (readonly [string, string])[] = [
  ["MAIL_SETTINGS_DIR", "/etc/mail/"],
  ["DATABASE_MAP_TYPE", "hash"],
  ["ALIAS_FILE", "MAIL_SETTINGS_DIR`'aliases"],
  ["HELP_FILE", "MAIL_SETTINGS_DIR`'helpfile"],
  ["confMAILER_NAME", "`MAILER-DAEMON'"],
  ["confPRIVACY_FLAGS", "authwarnings"],
  ["confSMTP_LOGIN_MSG", "$j Sendmail $v/$Z; $b"],
  ["confFROM_LINE", "From $g $d"],
  ["confCW_FILE", "MAIL_SETTINGS_DIR`'local-host-names"],
  ["confCR_FILE", "-o MAIL_SETTINGS_DIR`'relay-domains"],
  ["confFORWARD_PATH", "$z/.forward.$w:$z/.forward"],
];

const PRESET_NAMES = new Set(PRESET.map(([name]) => name));

function placeOf(state: McState, name: string, otherwise: Place): Place {
  return state.m4.macro(name)?.place ?? otherwise;
}

function readOptions(state: McState, start: Place): Options {
  let options = defaultOptions();
  for (const row of OPTION_ROWS) {
    if (row.conf === "") continue;
    const macro = state.m4.macro(row.conf);
    if (macro === undefined) {
      // undefine(`ALIAS_FILE') means that there are no aliases; other options fall back to their defaults.
      if (row.name === "AliasFile") options = withOption(options, row, []);
      continue;
    }
    const parsed = parseOptionValue(row, state.value(row.conf));
    if (!parsed.ok) {
      state.error(macro.place, `${row.conf}: ${parsed.error}`);
      continue;
    }
    options = withOption(options, row, parsed.value);
    const lost = LOST_OPTIONS.get(row.name) ?? "";
    if (lost !== "" && parsed.value !== row.default)
      state.warn(macro.place, `${row.conf} has no effect: ${lost}`);
  }
  options = applyOptionLines(state, options);
  return checkOptions(state, options, start);
}

/** Options that Sendmail's m4 files always write, whether or not they are defined. */
const ALWAYS_WRITTEN = new Set([
  "AliasFile",
  "AliasWait",
  "BlankSub",
  "CheckAliases",
  "ConnectionCacheSize",
  "ConnectionCacheTimeout",
  "DeliveryMode",
  "ForwardPath",
  "HelpFile",
  "HoldExpensive",
  "LogLevel",
  "MinFreeBlocks",
  "OldStyleHeaders",
  "OperatorChars",
  "QueueDirectory",
  "SendMimeErrors",
  "SevenBitInput",
  "SmtpGreetingMessage",
  "SuperSafe",
  "TempFileMode",
  "Timeout.queuereturn",
  "Timeout.queuewarn",
  "UnixFromLine",
  "UseErrorsTo",
]);

/** Words that add up when there are two lines of them. */
const CUMULATIVE = new Set(["PrivacyOptions", "DontBlameSendmail"]);

/** O lines of LOCAL_CONFIG. Sendmail writes them before its own, and the later line wins. */
function applyOptionLines(state: McState, given: Options): Options {
  let options = given;
  for (const { name, value, place } of state.optionLines) {
    const row = optionNamed(name);
    const written =
      row !== undefined && (ALWAYS_WRITTEN.has(row.name) || state.m4.macro(row.conf) !== undefined);
    if (row !== undefined && written && !CUMULATIVE.has(row.name)) {
      const instead = row.conf === "" ? "" : `; say define(\`${row.conf}', \`${value}')`;
      state.warn(
        place,
        `O ${row.name} has no effect in LOCAL_CONFIG, the value that m4 writes comes later${instead}`,
      );
      continue;
    }
    const changed = setOption(options, name, value);
    if (changed.ok) options = changed.value;
    else state.error(place, changed.error);
  }
  return options;
}

function usableMechanisms(
  state: McState,
  mechanisms: readonly string[],
  what: string,
  place: Place,
): string[] {
  const usable: string[] = [];
  // The default list loses what the build has not without a word: nobody asked for it.
  const asked = what === "TRUST_AUTH_MECH" || state.m4.macro(what) !== undefined;
  for (const word of mechanisms) {
    const mechanism = word.toUpperCase();
    if (!MECHANISMS.includes(mechanism)) {
      if (asked) state.warn(place, `${what}: ${word} is not in this build and is left out`);
    } else if (asked && !state.build.available(`SASL_${mechanism.replaceAll("-", "_")}`))
      state.warn(place, `${state.build.missing(`${what}: ${mechanism}`)} and is left out`);
    else if (!usable.includes(mechanism)) usable.push(mechanism);
  }
  return usable;
}

function checkOptions(state: McState, given: Options, start: Place): Options {
  const at = (name: string): Place => placeOf(state, name, start);
  let options = given;
  options = {
    ...options,
    AuthMechanisms: usableMechanisms(
      state,
      options.AuthMechanisms,
      "confAUTH_MECHANISMS",
      at("confAUTH_MECHANISMS"),
    ),
  };
  if (options.SafeFileEnvironment !== "" && !/^\/[^\s/]/.test(options.SafeFileEnvironment)) {
    state.warn(
      at("confSAFE_FILE_ENV"),
      `confSAFE_FILE_ENV: "${options.SafeFileEnvironment}" is no jail; the usual one is taken`,
    );
    options = { ...options, SafeFileEnvironment: "" };
  }
  if (!/^\d+(\/\d+)?$/.test(options.MaxMimeHeaderLength))
    state.error(
      at("confMAX_MIME_HEADER_LENGTH"),
      `confMAX_MIME_HEADER_LENGTH: "${options.MaxMimeHeaderLength}" is not of the form N/M`,
    );
  if (!/^[\w-]+([:.][\w-]+)?$/.test(options.DefaultUser))
    state.error(at("confDEF_USER_ID"), `confDEF_USER_ID: "${options.DefaultUser}" is not user:group`);
  else if (/^(0+|root)([:.]|$)/.test(options.DefaultUser))
    state.error(at("confDEF_USER_ID"), "confDEF_USER_ID: the daemon must not stay root");
  if (options.DeliveryMode === "deferred")
    state.warn(at("confDELIVERY_MODE"), "Antispam rules not available in deferred delivery mode");
  if (options.InputMailFilters.length > 0)
    state.error(at("confINPUT_MAIL_FILTERS"), "confINPUT_MAIL_FILTERS: milters are not in this build");
  for (const [cert, key, side] of [
    ["confSERVER_CERT", "confSERVER_KEY", "STARTTLS is not offered to clients"],
    ["confCLIENT_CERT", "confCLIENT_KEY", "no certificate is shown to servers"],
  ] as const) {
    if ((state.value(cert) === "") === (state.value(key) === "")) continue;
    const [there, missing] = state.value(cert) === "" ? [key, cert] : [cert, key];
    state.warn(at(there), `${there} without ${missing}: ${side}`);
  }
  for (const [conf, symbol] of [
    ["confSERVER_CERT", "TLS_SERVER"],
    ["confCLIENT_CERT", "TLS_CLIENT"],
  ] as const)
    if (state.value(conf) !== "" && !state.build.available(symbol))
      state.error(at(conf), state.build.missing(conf));
  if (state.m4.macro("confUNSAFE_GROUP_WRITES") !== undefined)
    state.warn(
      at("confUNSAFE_GROUP_WRITES"),
      "confUNSAFE_GROUP_WRITES is deprecated; use confDONT_BLAME_SENDMAIL",
    );
  return options;
}

function checkNames(state: McState): void {
  for (const name of state.m4.names()) {
    const macro = state.m4.macro(name);
    if (macro === undefined || PRESET_NAMES.has(name)) continue;
    const meant = /^\W+([A-Za-z_]\w*)\W*$|^([A-Za-z_]\w*)\W+$/.exec(name);
    if (meant !== null) {
      const plain = meant[1] ?? meant[2];
      state.warn(
        macro.place,
        `"${name}" is never read; names are quoted like this: define(\`${plain}', ...)`,
      );
    }
    if (!/^conf[A-Z]/.test(name) || meant !== null) continue;
    const obsolete = OBSOLETE_NAMES.get(name);
    if (obsolete !== undefined) state.warn(macro.place, obsolete);
    else if (!KNOWN_CONF_NAMES.has(name) && !state.isFull)
      state.warn(macro.place, `${name} is unknown and has no effect${suggestion(name, KNOWN_CONF_NAMES)}`);
  }
}

/** Settings of mailers that came after the MAILER() that would have read them. */
function checkLateSettings(state: McState): void {
  const began = state.mailersBegan;
  if (began === null) return;
  for (const name of state.m4.names()) {
    const place = state.m4.macro(name)?.place;
    if (place === undefined || !MAILER_SETTING.test(name) || place.file !== began.file) continue;
    const group = name.startsWith("LOCAL") ? "local" : name.startsWith("PROCMAIL") ? "procmail" : "smtp";
    const used = state.mailerGroups.get(group);
    if (used !== undefined && place.line > used.line)
      state.warn(place, `${name} has no effect after MAILER(${group}): move it up`);
  }
}

/** Reads `[mailer:]host`. A mailer is one word; host names have dots or brackets. */
function target(state: McState, name: string, fallback: string, start: Place): RelayTarget | null {
  const text = state.value(name).trim();
  if (text === "") return null;
  const place = placeOf(state, name, start);
  const match = /^([A-Za-z][\w-]*):(.*)$/s.exec(text);
  const mailer = match?.[1] ?? fallback;
  const host = (match === null ? text : (match[2] ?? "")).trim();
  if (/[\s,'"`@<>]/.test(host) && mailer !== "error" && mailer !== "local")
    state.error(place, `${name}: "${host}" is not a host`);
  else if (host === "") state.error(place, `${name}: "${text}" names no host`);
  else if (/^\[[^\]]*$/.test(host)) state.error(place, `${name}: a ] is missing in "${host}"`);
  if (mailer !== "error" && mailer !== "local" && !state.mailers.has(mailer)) {
    const known = [...state.mailers.keys()];
    state.error(
      place,
      `${name} names the mailer "${mailer}", which no MAILER() declares${suggestion(mailer, known)}`,
    );
  }
  return { mailer, host };
}

function mailerName(state: McState, conf: string, fallback: string, start: Place): string {
  const name = state.value(conf).trim() || fallback;
  if (state.m4.macro(conf) !== undefined && !state.mailers.has(name))
    state.error(placeOf(state, conf, start), `${conf}: no MAILER() declares "${name}"`);
  return name;
}

function domainName(state: McState, start: Place): string {
  const name = state.value("confDOMAIN_NAME").trim();
  if (/[\s,'"`@<>]/.test(name))
    state.error(
      placeOf(state, "confDOMAIN_NAME", start),
      `confDOMAIN_NAME: "${name}" is not the name of a host`,
    );
  return name;
}

/** Listeners that cannot do what they are asked for. */
function checkListeners(
  state: McState,
  daemons: readonly DaemonSpec[],
  options: Options,
  start: Place,
): void {
  for (const [index, { name, modifiers }] of daemons.entries()) {
    const at = state.daemons[index]?.place ?? start;
    if (modifiers.includes("s") && (options.ServerCertFile === "" || options.ServerKeyFile === ""))
      state.warn(
        at,
        `listener ${name} (M=s) begins with TLS and there is no confSERVER_CERT with confSERVER_KEY`,
      );
    if (modifiers.includes("a") && options.AuthMechanisms.length === 0)
      state.warn(at, `listener ${name} (M=a) demands AUTH and there is no mechanism in confAUTH_MECHANISMS`);
  }
}

/** `"550 text"` without the quotes of the rules. */
function refusalText(state: McState, conf: string, fallback: string, start: Place): string {
  if (state.m4.macro(conf) === undefined) return fallback;
  const text = state.value(conf).trim().replaceAll('"', "");
  if (!/^[45]\d\d /.test(text))
    state.error(placeOf(state, conf, start), `${conf}: "${text}" does not begin with a code like 550`);
  return text;
}

function checkWhole(state: McState, start: Place): void {
  const { features } = state;
  const mailersAt = state.mailersBegan ?? start;
  // A file that defines __OSTYPE__ itself says that it needs none (Sendmail's own submit.mc).
  if (state.ostype === null && state.m4.macro("__OSTYPE__") === undefined)
    state.error(mailersAt, "No system type defined (use OSTYPE macro)");
  if (state.mailersBegan === null) state.error(start, "no MAILER() is declared: no mail could be delivered");
  else if (!state.mailers.has(state.value("confSMTP_MAILER").trim() || "esmtp"))
    state.warn(mailersAt, "there is no MAILER(smtp): mail for other hosts cannot be sent");
  const delayed = state.used.get("delay_checks");
  if (features.delayChecks !== "off" && features.delayChecks !== "plain" && features.accessDb === null)
    state.error(delayed ?? start, "FEATURE(`delay_checks', `argument') requires FEATURE(`access_db')");
  for (const name of ["UUCP_RELAY", "BITNET_RELAY", "DECNET_RELAY"]) {
    const macro = state.m4.macro(name);
    if (macro !== undefined)
      state.error(macro.place, `${state.build.missing(name)}; use mailertable for such addresses`);
  }
  if (
    features.limitedMasquerade &&
    !state.classes.has("M") &&
    !state.classFiles.some((file) => file.class === "M")
  )
    state.warn(
      state.used.get("limited_masquerade") ?? start,
      "FEATURE(`limited_masquerade') without MASQUERADE_DOMAIN masquerades bare names only",
    );
  const masquerading = state.used.get("masquerade_envelope") ?? state.used.get("allmasquerade");
  if (masquerading !== undefined && state.value("MASQUERADE_NAME") === "" && features.genericsTable === null)
    state.warn(masquerading, "masquerading is switched on, and there is no MASQUERADE_AS");
}

function classes(state: McState, start: Place): Record<string, readonly string[]> {
  state.addMembers("P", ".");
  if (state.features.redirect) state.addMembers("P", "REDIRECT");
  state.addMembers("t", state.features.noUucp === "off" ? "root daemon uucp" : "root daemon");
  const trusted = state.classes.get("TrustAuthMech");
  if (trusted !== undefined) {
    const place = state.used.get("TRUST_AUTH_MECH") ?? start;
    state.classes.set(
      "TrustAuthMech",
      new Set(usableMechanisms(state, [...trusted], "TRUST_AUTH_MECH", place)),
    );
  }
  const sorted = [...state.classes].sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(sorted.map(([name, members]) => [name, [...members]]));
}

/** Builds the configuration. Errors and warnings go into `state`; with errors the result is not to be used. */
export function assemble(state: McState, sources: Configuration["sources"], start: Place): Configuration {
  const builtIn = builtInMailers(state);
  checkNames(state);
  checkLateSettings(state);
  checkWhole(state, start);
  addStandardFiles({ state, place: start });
  const options = readOptions(state, start);
  const relayMailer = mailerName(state, "confRELAY_MAILER", "relay", start);
  const clients = outgoing(state);
  const daemons = listeners(state);
  checkListeners(state, daemons, options, start);
  return {
    format: "postern-configuration",
    version: 1,
    sources,
    options,
    features: state.features,
    domainName: domainName(state, start),
    classes: classes(state, start),
    classFiles: state.classFiles,
    masqueradeAs: state.value("MASQUERADE_NAME").trim(),
    smartHost: target(state, "SMART_HOST", relayMailer, start),
    smartHostNamesMailer: /^[A-Za-z][\w-]*:/.test(state.value("SMART_HOST").trim()),
    mailHub: target(state, "MAIL_HUB", relayMailer, start),
    localRelay: target(state, "LOCAL_RELAY", relayMailer, start),
    luserRelay: target(state, "LUSER_RELAY", relayMailer, start),
    fallbackMx: options.FallbackMXhost,
    mailers: [...state.mailers.values(), ...builtIn],
    localMailer: mailerName(state, "confLOCAL_MAILER", "local", start),
    smtpMailer: mailerName(state, "confSMTP_MAILER", "esmtp", start),
    relayMailer,
    daemons,
    client: clients[0] ?? null,
    clients,
    rejectMessage: refusalText(state, "confREJECT_MSG", "550 Access denied", start),
    relayMessage: refusalText(state, "confRELAY_MSG", "550 Relaying denied", start),
    recipientRejectMessage: refusalText(
      state,
      "confRCPTREJ_MSG",
      "550 Mailbox disabled for this recipient",
      start,
    ),
    queueGroups: state.queueGroups,
    versionId: state.versionId,
    texts: {
      mailerName: state.value("confMAILER_NAME").trim() || "MAILER-DAEMON",
      cfVersion: state.value("confCF_VERSION").trim(),
      fromHeader: state.value("confFROM_HEADER"),
      messageIdHeader: state.value("confMESSAGEID_HEADER"),
      receivedHeader: state.value("confRECEIVED_HEADER"),
    },
    macros: Object.fromEntries([...state.macroLines].map(([name, { text }]) => [name, text])),
    warnings: state.warnings,
  };
}
