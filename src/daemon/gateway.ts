// The composition root: a configuration and a machine become a gateway. Gives the spool its mailers and its router, the SMTP server
// its policy, routes, TLS and AUTH. Everything that a reload replaces hangs on one Generation; the spool and the listeners stay.

import { AssertionError } from "../base/assert.ts";
import { err, ok, type Result } from "../base/result.ts";
import type { Configuration } from "../config/configuration.ts";
import type { LoginAlarm, Refusals } from "../deliver/refusals.ts";
import { type Mailers, makeMailers } from "../deliver/registry.ts";
import { makePolicy, makeRates } from "../policy/gate.ts";
import { LoadLimits } from "../policy/load.ts";
import type { Rates } from "../policy/rates.ts";
import { returnedOriginal } from "../route/rewrite.ts";
import type { Site } from "../route/site.ts";
import type { Service } from "../smtpd/service.ts";
import type { Intake } from "../spool/intake.ts";
import type { Mailer } from "../spool/mailer.ts";
import { settingsFrom } from "../spool/settings.ts";
import { makeRelay, makeSpool, type Spool, type SpoolDeps } from "../spool/spool.ts";
import type { Clock } from "../sys/clock.ts";
import { systemDisk } from "../sys/disk.ts";
import type { Entropy } from "../sys/entropy.ts";
import { loadAverage } from "../sys/load.ts";
import type { Log } from "../sys/log.ts";
import type { ClientTls, ServerTls } from "../tls/context.ts";
import type { KnownFiles } from "../tls/material.ts";
import { CLIENT_SIDES, SERVER_SIDES } from "../tls/registry.ts";
import { makeServerAuth } from "./auth.ts";
import { watchCertificates } from "./certificates.ts";
import { countedIntake, countedPolicy } from "./counting.ts";
import type { Folders } from "./folders.ts";
import type { Ready } from "./load.ts";
import { makeMailerNeeds } from "./mailerneeds.ts";
import { makeRouter, makeRoutes } from "./router.ts";
import { type Machine, type OpenedSite, openSiteHere, resolverFor } from "./site.ts";
import { Statistics } from "./statistics.ts";
import type { Ending } from "./validity.ts";
import { CLOCK_FLOOR_MS, GATEWAY_VERSION } from "./version.ts";

/** What a gateway is made with; all of it stays over reloads. */
export interface Surroundings {
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
  readonly machine: Machine;
  readonly folders: Folders;
  /** The daemon's user, who may own keys besides root. */
  readonly uid: number;
  /** Certificate files that were read, kept for reloads: root may have been given up by then. */
  readonly certificateFiles: KnownFiles;
  /** Whoever started the program saw it end by itself. */
  readonly crashed?: boolean;
}

/** How long an interactive client waits for the next hop before its message is made durable. */
const INTERACTIVE_DEADLINE_MS = 30_000;

/** One configuration at work. */
export interface Generation {
  readonly ready: Ready;
  readonly opened: OpenedSite;
  readonly mailers: Mailers;
  /** Next hops that refuse our credentials. */
  readonly refusals: Refusals | null;
  readonly serverTls: ServerTls | null;
  readonly clientTls: ClientTls | null;
  readonly load: LoadLimits;
}

export class Gateway {
  readonly around: Surroundings;
  readonly #byName = new Map<string, Mailer>();
  readonly #alarm: LoginAlarm;
  #rates: Rates;
  #generation: Generation;
  #spool: Spool | null = null;
  /** In place of a spool that cannot be used. */
  #relay: Spool | null = null;
  readonly statistics: Statistics;

  private constructor(around: Surroundings, alarm: LoginAlarm, generation: Generation) {
    this.around = around;
    this.#alarm = alarm;
    this.statistics = new Statistics(around.clock);
    this.#generation = generation;
    this.#rates = makeRates(generation.opened.site, around.clock);
    this.#take(generation);
  }

  /** Opens tables and certificates (what only root may read is read here); nothing listens, nothing is delivered yet. */
  static make(ready: Ready, around: Surroundings): Result<Gateway> {
    const holder: { gateway: Gateway | null } = { gateway: null };
    const alarm: LoginAlarm = {
      tell: async (subject, lines) => (await holder.gateway?.spool?.announce(subject, lines)) ?? false,
      mended: () => void holder.gateway?.spool?.flush(),
    };
    const generation = openGeneration(ready, around, alarm, () => holder.gateway?.site ?? null);
    if (!generation.ok) return generation;
    holder.gateway = new Gateway(around, alarm, generation.value);
    return ok(holder.gateway);
  }

  #take(generation: Generation): void {
    this.#generation = generation;
    this.#byName.clear();
    for (const [name, mailer] of generation.mailers.byName) this.#byName.set(name, mailer);
  }

  get site(): Site {
    return this.#generation.opened.site;
  }

  get generation(): Generation {
    return this.#generation;
  }

  /** The clock of this machine has been set since boot. */
  readonly clockTrusted = (): boolean => this.around.clock.wallMs() >= CLOCK_FLOOR_MS;

  /** The sides of TLS of the current configuration, whose certificates end one day. */
  readonly endings = (): readonly Ending[] => {
    const { serverTls, clientTls } = this.#generation;
    const sides = [
      ["server", serverTls],
      ["client", clientTls],
    ] as const;
    return sides.flatMap(([side, tls]) =>
      tls === null ? [] : [{ side, refresh: tls.refresh, warnings: tls.warnings }],
    );
  };

  get configuration(): Configuration {
    return this.#generation.ready.configuration;
  }

  get spool(): Spool | null {
    return this.#spool;
  }

  /** What the queue takes from the configuration, at start and at each reload. */
  #queueSettings(): Pick<SpoolDeps, "settings" | "names" | "expensive"> {
    const { configuration } = this;
    return {
      settings: settingsFrom(configuration.options, INTERACTIVE_DEADLINE_MS),
      names: {
        hostName: this.site.j,
        version: GATEWAY_VERSION,
        returned: (sender, header) => returnedOriginal(this.site, sender, header),
        mailerDaemon: `MAILER-DAEMON@${this.site.masquerade === "" ? this.site.j : this.site.masquerade}`,
      },
      expensive: new Set(
        configuration.options.HoldExpensive
          ? configuration.mailers.filter((m) => m.flags.includes("e")).map((m) => m.name)
          : [],
      ),
    };
  }

  #spoolDeps(): SpoolDeps {
    const { around } = this;
    return {
      disk: systemDisk,
      clock: around.clock,
      entropy: around.entropy,
      log: around.log,
      folder: around.folders.queue,
      ...this.#queueSettings(),
      router: makeRouter(() => this.site),
      mailers: this.#byName,
      clockFloorMs: CLOCK_FLOOR_MS,
      crashed: around.crashed === true,
      onOutcome: (event) => this.statistics.note(event),
      tooLoaded: (priority, name) => {
        const daemon = this.configuration.daemons.find((d) => d.name === name);
        return this.#generation.load.queues(priority, daemon?.queueLA);
      },
    };
  }

  /** Recovers the queue. Nothing is delivered before spool.start(). */
  async openSpool(): Promise<Result<Spool>> {
    const opened = await makeSpool(this.#spoolDeps());
    if (!opened.ok) return err(`${opened.error.operation}: ${opened.error.code}`);
    this.#spool = opened.value;
    return opened;
  }

  /** Without a queue: when the configuration relays without flash (interactive delivery), that goes on; false when it does not. */
  relayOnly(reason: string): boolean {
    const deps = this.#spoolDeps();
    if (deps.settings.mode !== "interactive" || deps.settings.durableFirst) return false;
    this.#relay = makeRelay(deps, { code: "EROFS", operation: reason });
    this.#relay.start(0);
    return true;
  }

  /** Where mail goes in: the queue, or what relays without one; null when there is neither. */
  get intake(): Intake | null {
    return this.#spool ?? this.#relay;
  }

  /** The SMTP server's view of this configuration; `instead` takes the spool's place when there is none. */
  service(instead?: Intake): Service {
    const { around, site, spool } = this;
    const { serverTls, load } = this.#generation;
    const intake = instead ?? this.intake;
    if (intake === null) throw new AssertionError("service() without a spool");
    return {
      config: this.configuration,
      hostName: site.j,
      version: GATEWAY_VERSION,
      policy: countedPolicy(
        watchCertificates(makePolicy(site, this.#rates), serverTls),
        this.statistics,
        site,
      ),
      intake: countedIntake(intake, this.statistics, () => this.site),
      routes: makeRoutes(() => this.site),
      resolver: site.resolver,
      clock: around.clock,
      log: around.log,
      // Files that cannot be trusted take STARTTLS out of EHLO; mended ones bring it back.
      get tls() {
        return serverTls !== null && (serverTls.reason() === "" || serverTls.refresh()) ? serverTls : null;
      },
      load,
      auth: makeServerAuth(this.#generation.ready, site, around),
      etrn: (host) => {
        if (host.startsWith("#") || spool === null) return false;
        // As Sendmail: `ETRN host` means addresses at the host, `ETRN @host` those of its sub-domains too.
        const text = host.startsWith("@") ? host.slice(1) : `@${host}`;
        void spool.flush([{ kind: "recipient", text, negate: false }]);
        return true;
      },
    };
  }

  /** Puts another configuration to work; the old one's tables are closed after its sessions had time to end. Error: nothing changed. */
  reload(ready: Ready): Result<true> {
    const generation = openGeneration(ready, this.around, this.#alarm, () => this.site);
    if (!generation.ok) return generation;
    const old = this.#generation;
    generation.value.mailers.status.restore(old.mailers.status.snapshot());
    this.#take(generation.value);
    this.#spool?.reconfigure(this.#queueSettings());
    this.#relay?.reconfigure(this.#queueSettings());
    for (const mailer of old.mailers.byName.values()) void mailer.close();
    // The credentials may be what was mended.
    if (old.refusals?.any === true) this.#alarm.mended();
    this.around.clock.after(OLD_GENERATION_MS, () => old.opened.close());
    return ok(true);
  }

  async close(graceMs: number): Promise<void> {
    await this.#spool?.close(graceMs);
    await this.#relay?.close(graceMs);
    for (const mailer of this.#byName.values()) await mailer.close();
    this.#generation.opened.close();
  }
}

/** Sessions of a replaced configuration may still look things up in its tables. */
const OLD_GENERATION_MS = 3_600_000;

function openGeneration(
  ready: Ready,
  around: Surroundings,
  alarm: LoginAlarm,
  current: () => Site | null,
): Result<Generation> {
  const { configuration } = ready;
  const opened = openSiteHere(
    configuration,
    ready.found,
    around.machine,
    resolverFor(configuration, around.machine, around.clock),
  );
  if (!opened.ok) return opened;
  const tls = {
    log: around.log,
    clockTrusted: () => around.clock.wallMs() >= CLOCK_FLOOR_MS,
    owners: [around.uid],
    nowMs: () => around.clock.wallMs(),
    known: around.certificateFiles,
  };
  const clientTls = CLIENT_SIDES[0]?.(configuration.options, tls) ?? null;
  const needs = makeMailerNeeds({
    site: () => current() ?? opened.value.site,
    clock: around.clock,
    entropy: around.entropy,
    log: around.log,
    tls: clientTls,
    alarm,
    jail: around.folders.jail,
    smrshDirectories: smrshDirectories(configuration),
  });
  return ok({
    ready,
    opened: opened.value,
    mailers: makeMailers(configuration.mailers, needs),
    refusals: needs.auth?.refusals ?? null,
    serverTls: SERVER_SIDES[0]?.(configuration.options, tls) ?? null,
    clientTls,
    load: new LoadLimits(configuration.options, loadAverage),
  });
}

/** Where programs of aliases may be: what FEATURE(smrsh) names (a program: its folder's companions), then the contract's places. */
export function smrshDirectories(configuration: Configuration): readonly string[] {
  const named = configuration.features.smrsh;
  const own = named === null || /\/smrsh$/.test(named) ? [] : [named];
  return [...own, "/etc/mail/smrsh", "/config/mail/smrsh", "/usr/libexec/smrsh", "/usr/adm/sm.bin"];
}
