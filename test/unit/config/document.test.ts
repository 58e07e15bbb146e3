// The reference page holds every name of the tables, once, and its tables are well formed.
// What the page says about each is the table's own line.

import assert from "node:assert/strict";
import { test } from "node:test";
import { renderReference } from "../../../src/config/document.ts";
import { FEATURES } from "../../../src/config/features.ts";
import { OPTION_ROWS } from "../../../src/config/optiontable.ts";

const page = renderReference();

test("every option, feature and conf name is on the reference page", () => {
  for (const { name, conf, doc } of OPTION_ROWS) {
    assert.ok(page.includes(`| ${name} |`), name);
    assert.ok(conf === "" || page.includes(`\`${conf}\``), conf);
    assert.ok(doc.length > 10, name);
  }
  for (const name of FEATURES.keys()) assert.ok(page.includes(`| \`${name}\` |`), name);
});

test("every row of a table has as many cells as its head", () => {
  let width = 0;
  for (const line of page.split("\n")) {
    if (!line.startsWith("|")) {
      width = 0;
      continue;
    }
    const cells = line.replaceAll("\\|", "").split("|").length;
    if (width === 0) width = cells;
    assert.equal(cells, width, line);
  }
});

// Issue text and semantics sections 1 to 3: names that must be known.
test("all the features of the reference are known", () => {
  const names =
    "access_db accept_unqualified_senders accept_unresolvable_domains allmasquerade always_add_domain authinfo badmx bestmx_is_local blacklist_recipients blocklist_recipients block_bad_helo compat_check conncontrol delay_checks dnsbl enhdnsbl domaintable generics_entire_domain genericstable greet_pause limited_masquerade local_lmtp local_no_masquerade local_procmail lookupdotdomain loose_relay_check mailertable masquerade_entire_domain masquerade_envelope msp mtamark no_default_msa nocanonify nodns nopercenthack nouucp nullclient preserve_local_plus_detail preserve_luser_host promiscuous_relay queuegroup ratecontrol redirect relay_based_on_MX relay_entire_domain relay_hosts_only relay_local_from relay_mail_from require_rdns smrsh stickyhost tls_session_features use_client_ptr use_ct_file use_cw_file virtuser_entire_domain virtusertable";
  for (const name of names.split(" ")) assert.ok(FEATURES.has(name), name);
});
