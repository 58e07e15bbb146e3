// FEATUREs that name tables and files: access_db and the lookups, use_cw_file, use_ct_file, authinfo, queuegroup, badmx.
// access_db's map always fails temporarily (-T<TMPF>): a broken access table must not read as "no entry".

import {
  type FeatureEntry,
  type FeatureUse,
  feature,
  mapArgument,
  mapFeature,
  needsAccessDb,
  settingsFolder,
} from "./feature.ts";

/** Default pattern of FEATURE(badmx): addresses that no MX may have. */
const BAD_MX_PATTERN = "^(127\\.|10\\.|0\\.0\\.0\\.0)";

function accessDb(use: FeatureUse): void {
  const { state, place } = use;
  const given = use.argument(0).trim();
  const map = mapArgument(use, "access");
  if (map === null) return;
  if (given !== "" && !map.tempfail)
    state.warn(place, `missing -T<TMPF> in argument of FEATURE(\`access_db', ${given}); it is added`);
  if (state.used.has("greet_pause"))
    state.warn(
      place,
      "FEATURE(`greet_pause') before FEATURE(`access_db'): greet_pause will not use access_db!",
    );
  const flags = new Set<string>();
  for (let i = 1; i < use.count; i += 1) {
    const flag = use.argument(i).trim().toLowerCase();
    if (["skip", "lookupdotdomain", "relaytofulladdress"].includes(flag)) flags.add(flag);
    else if (flag !== "")
      state.error(place, `unknown argument "${use.argument(i).trim()}" for FEATURE(\`access_db')`);
  }
  state.features.accessDb = {
    map: { ...map, tempfail: true },
    skip: flags.has("skip"),
    lookupDotDomain: flags.has("lookupdotdomain"),
    relayToFullAddress: flags.has("relaytofulladdress"),
  };
  if (flags.has("lookupdotdomain")) state.features.lookupDotDomain = true;
}

function useCwFile(use: FeatureUse): void {
  use.state.features.useCwFile = true;
}

function useCtFile(use: FeatureUse): void {
  use.state.features.useCtFile = true;
}

/** The class files of use_cw_file, use_ct_file and relay-domains, once confCW_FILE and its like are known. */
export function addStandardFiles(use: Pick<FeatureUse, "state" | "place">): void {
  const { state, place } = use;
  const folder = settingsFolder(state);
  const at = (name: string) => state.m4.macro(name)?.place ?? place;
  if (state.features.useCwFile)
    state.addClassFile("w", state.value("confCW_FILE") || `${folder}local-host-names`, at("confCW_FILE"));
  if (state.features.useCtFile)
    state.addClassFile("t", state.value("confCT_FILE") || `${folder}trusted-users`, at("confCT_FILE"));
  // Sendmail reads relay-domains whether or not it is asked to, when it is there.
  if (state.m4.macro("confCR_FILE") !== undefined)
    state.addClassFile("R", state.value("confCR_FILE") || `-o ${folder}relay-domains`, at("confCR_FILE"));
}

function queueGroup(use: FeatureUse): void {
  if (needsAccessDb(use)) use.state.features.queueGroup = { group: use.argument(0).trim() };
}

function badMx(use: FeatureUse): void {
  const pattern = use.argument(0).trim() || BAD_MX_PATTERN;
  use.state.features.badMx = { map: null, message: "", pattern };
}

function blocklist(use: FeatureUse): void {
  if (needsAccessDb({ ...use, name: "blocklist_recipients" }, false))
    use.state.features.blocklistRecipients = true;
}

function blacklist(use: FeatureUse): void {
  use.state.warn(use.place, "FEATURE(blacklist_recipients) is deprecated; use FEATURE(blocklist_recipients)");
  blocklist(use);
}

function lookupDotDomain(use: FeatureUse): void {
  if (!needsAccessDb(use)) return;
  use.state.features.lookupDotDomain = true;
  if (use.state.features.relayHostsOnly)
    use.state.warn(
      use.place,
      "FEATURE(`lookupdotdomain') does not work well with FEATURE(`relay_hosts_only')",
    );
}

// biome-ignore format: one feature a line.
export const TABLE_FEATURES: readonly FeatureEntry[] = [
  feature("access_db", "map, skip, lookupdotdomain, relaytofulladdress", 4, "Decisions about clients, senders and recipients from the access table.", accessDb),
  feature("authinfo", "map", 1, "Credentials for servers from a table of their own.", (use) => { const map = mapArgument(use, "authinfo"); if (map !== null) use.state.features.authInfo = map; }),
  feature("badmx", "pattern", 1, "Refuse senders whose MX records cannot be true.", badMx),
  feature("blacklist_recipients", "", 0, "Old name of blocklist_recipients.", blacklist),
  feature("blocklist_recipients", "", 0, "Check recipients against the access table too.", blocklist),
  mapFeature("domaintable", "domainTable", "domaintable", "Old domain names and their new ones."),
  mapFeature("genericstable", "genericsTable", "genericstable", "Senders and their generic addresses."),
  feature("lookupdotdomain", "", 0, "Access keys with a leading dot match sub-domains only.", lookupDotDomain),
  mapFeature("mailertable", "mailerTable", "mailertable", "Routes by recipient domain."),
  feature("queuegroup", "group", 1, "Queue groups by recipient from the access table.", queueGroup),
  feature("use_ct_file", "", 0, "Users who may set the sender address, from a file.", useCtFile),
  feature("use_cw_file", "", 0, "Our host names from local-host-names.", useCwFile),
  mapFeature("virtusertable", "virtUserTable", "virtusertable", "Addresses of virtual domains."),
];
