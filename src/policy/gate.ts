// makePolicy: the checks in Sendmail's order, one per file, behind the Policy interface that smtpd/ asks. With delay_checks everything
// but the immediate controls waits until RCPT. Checks never throw for what clients, tables or DNS do.

import { prefixed, recipientRefusal, rememberedSender, senderRefusal } from "../route/resolve.ts";
import type { Site } from "../route/site.ts";
import type { Clock } from "../sys/clock.ts";
import { clientAddress, clientName } from "./client.ts";
import { checkImmediately, checkRelay, greetPause } from "./connect.ts";
import { type Decision, PASS, shortened, verdictOf } from "./decision.ts";
import { checkHelo } from "./helo.ts";
import { type Client, OK, type Policy, type Verdict } from "./policy.ts";
import type { Rates } from "./rates.ts";
import { checkRecipient, wantsChecks } from "./recipient.ts";
import { RATE_CONTROLS } from "./registry.ts";
import { checkMail } from "./sender.ts";
import { checkTlsClient, serverFeatures } from "./tlsrules.ts";

/** Where no limit on rates is built in, nothing is counted. */
const UNCOUNTED: Rates = {
  begin: () => undefined,
  end: () => undefined,
  rate: () => 0,
  connections: () => 0,
};

/** Counts of connections outlive a reload: the same object goes into the next policy. */
export function makeRates(site: Site, clock: Clock): Rates {
  return RATE_CONTROLS[0]?.make(clock, site.config.options.ConnectionRateWindowSize) ?? UNCOUNTED;
}

class Gate implements Policy {
  readonly #site: Site;
  readonly #rates: Rates;

  constructor(site: Site, rates: Rates) {
    this.#site = site;
    this.#rates = rates;
  }

  get #delayed(): boolean {
    return this.#site.config.features.delayChecks !== "off";
  }

  greetPauseMs(client: Client): number {
    return greetPause(this.#site, client);
  }

  async connect(client: Client): Promise<Verdict> {
    this.#rates.begin(clientAddress(client));
    const decision = this.#delayed
      ? checkImmediately(this.#site, this.#rates, client)
      : await checkRelay(this.#site, this.#rates, client);
    return verdictOf(decision, "");
  }

  closed(client: Client): void {
    this.#rates.end(clientAddress(client));
  }

  async helo(): Promise<Verdict> {
    return OK;
  }

  async mail(client: Client, sender: string, typed: string): Promise<Verdict> {
    if (sender !== "") {
      const problem = await senderRefusal(this.#site, typed);
      if (problem !== null)
        return { kind: "reject", reply: prefixed(problem, shortened(typed)), close: false };
    }
    if (this.#delayed) return OK;
    const tls = this.#tls(client);
    return verdictOf(tls.kind === "pass" ? await checkMail(this.#site, client, sender, typed) : tls, typed);
  }

  async rcpt(client: Client, sender: string, recipient: string, typed: string): Promise<Verdict> {
    // The null address is check_rcpt's own refusal.
    const problem =
      recipient === "" ? null : await recipientRefusal(this.#site, typed, { modifiers: client.modifiers });
    if (problem !== null) return { kind: "reject", reply: prefixed(problem, shortened(typed)), close: false };
    const answer = await checkRecipient(this.#site, client, sender, recipient, typed);
    if (!this.#delayed) return answer.kind === "stop" ? OK : verdictOf(answer, typed);
    if (answer.kind === "stop") return verdictOf(this.#tls(client), typed);
    if (answer.kind !== "pass" && answer.kind !== "accept") return verdictOf(answer, typed);
    return verdictOf(await this.#delayedChecks(client, sender, typed), typed);
  }

  async #delayedChecks(client: Client, sender: string, typed: string): Promise<Decision> {
    const tls = this.#tls(client);
    if (tls.kind !== "pass" || !(await wantsChecks(this.#site, typed))) return tls;
    const remembered = sender === "" ? "" : await rememberedSender(this.#site, `<${sender}>`);
    const mail = await checkMail(this.#site, client, sender, `<${remembered}>`);
    if (mail.kind !== "pass") return mail;
    const relay = await checkRelay(this.#site, this.#rates, client);
    if (relay.kind !== "pass" && relay.kind !== "accept") return relay;
    return checkHelo(this.#site, client);
  }

  async data(): Promise<Verdict> {
    return OK;
  }

  #tls(client: Client): Decision {
    const { tls } = client;
    if (tls === undefined && this.#site.tables.access === null) return PASS;
    return checkTlsClient(this.#site, clientName(client), clientAddress(client), {
      verify: tls?.verify ?? "",
      bits: tls?.bits ?? 0,
      cnSubject: tls?.cnSubject ?? "",
      certSubject: tls?.certSubject ?? "",
      certIssuer: tls?.certIssuer ?? "",
    });
  }

  tlsClient(client: Client): Verdict {
    return verdictOf(this.#tls(client), "");
  }

  serverFeatures(client: Client): string {
    return serverFeatures(this.#site, clientName(client), clientAddress(client));
  }

  async etrn(): Promise<Verdict> {
    return OK;
  }
}

/** The policy of a site. `rates` from makeRates(), kept over reloads. */
export function makePolicy(site: Site, rates: Rates): Policy {
  return new Gate(site, rates);
}
