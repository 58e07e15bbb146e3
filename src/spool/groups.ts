// Which deliveries of a message are tried together: those for the same mailer, the same machines and with the same sender, so that one
// connection serves them (Sendmail's coattails within one envelope).

import { ATTEMPT_RECIPIENTS_MAX } from "../base/limits.ts";
import type { Group } from "./dispatch.ts";
import type { Delivery, Entry } from "./entry.ts";

/** Deliveries of one message by mailer, host and sender, none too large. */
export function groupsOf(
  entry: Entry,
  deliveries: readonly Delivery[],
  common: Pick<Group, "dead" | "interactive" | "signal" | "load">,
): Group[] {
  const byKey = new Map<string, Delivery[]>();
  for (const delivery of deliveries) {
    const where = delivery.signature ?? delivery.host.toLowerCase();
    const key = `${delivery.mailer}\0${where}\0${delivery.sender}`;
    const list = byKey.get(key);
    if (list === undefined) byKey.set(key, [delivery]);
    else list.push(delivery);
  }
  const groups: Group[] = [];
  for (const list of byKey.values()) {
    for (let at = 0; at < list.length; at += ATTEMPT_RECIPIENTS_MAX) {
      const some = list.slice(at, at + ATTEMPT_RECIPIENTS_MAX);
      const [first] = some;
      if (first === undefined) continue;
      const { mailer, host, sender } = first;
      groups.push({ entry, mailer, host, sender, deliveries: some, ...common });
    }
  }
  return groups;
}
