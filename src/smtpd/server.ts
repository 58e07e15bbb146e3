// Listeners: one smtp-server SMTPServer per DaemonPortOptions line, subclassed so that its connections are ours and its built-in
// certificate is never loaded. Counts connections against MaxDaemonChildren and ConnectionRateThrottle, sweeps time-outs with one
// timer for all sessions, and stops without losing a message that is being received.

import { SMTPServer } from "smtp-server";
import { CONNECTIONS_MAX, LISTEN_BACKLOG, SHUTDOWN_GRACE_MS } from "../base/limits.ts";
import { err, ok, type Result } from "../base/result.ts";
import type { DaemonSpec } from "../config/configuration.ts";
import { LOAD_DELAY_MS } from "../policy/load.ts";
import type { Socket } from "../sys/net.ts";
import { Connection, type Origin } from "./connection.ts";
import { Guesses } from "./guesses.ts";
import { NO_DAEMON, type Service } from "./service.ts";
import { type Settings, settingsOf } from "./settings.ts";

const SWEEP_MS = 1000;

/** Counts for health, mailstats and the console. */
export interface SmtpdStats {
  connections: number;
  accepted: number;
  refused: number;
}

/** What an accepted socket becomes. */
type Acceptor = (server: Server, socket: Socket) => void;

/** smtp-server's listener with our connections. */
export class Server extends SMTPServer {
  readonly #accept: Acceptor;

  constructor(accept: Acceptor, log: (error: Error) => void) {
    super({
      // A client may end its side and still wants its replies.
      allowHalfOpen: true,
      noDelay: true,
      logger: false,
      authOptional: true,
      disableReverseLookup: true,
      hideSTARTTLS: true,
      disabledCommands: ["AUTH", "STARTTLS", "WIZ", "SHELL", "KILL"],
    });
    this.#accept = accept;
    this.on("error", log);
  }

  /** Never the library's built-in key: TLS is tls/'s. */
  override updateSecureContext(): void {
    this.secureContext = new Map();
  }

  /** Straight to connect(): no PROXY protocol, no session id from the random source. */
  override _handleProxy(
    _socket: Socket,
    callback: (error: Error | null, options?: { id: string }) => void,
  ): void {
    callback(null, { id: "-" });
  }

  override connect(socket: Socket): void {
    this.#accept(this, socket);
  }
}

/** What a listener is known by after listen(). */
export interface Listening {
  readonly address: string;
  readonly port: number;
}

export interface Smtpd {
  /** Opens a listener; the reason when it cannot be bound. Port 0 takes a free one. */
  listen(daemon: DaemonSpec): Promise<Result<Listening>>;
  /** Closes the listener at this address and port; its sessions go on. */
  unlisten(address: string, port: number): Promise<void>;
  /** New connections get this configuration; open sessions finish under theirs. `daemons` replace listeners' settings by address and port. */
  update(service: Service, daemons: readonly DaemonSpec[]): void;
  /** A session on any duplex stream, as if it had been accepted from `origin`; resolves when it is over. */
  serve(stream: object, origin: Origin, daemon?: DaemonSpec): Promise<void>;
  /** While suspended, connections are refused at once. */
  suspend(suspended: boolean): void;
  /** Stops listening and ends sessions: at once, or after the messages that are being received. */
  close(graceful: boolean): Promise<void>;
  readonly stats: SmtpdStats;
}

interface Listener {
  readonly server: Server;
  daemon: DaemonSpec;
  readonly address: string;
  readonly port: number;
  /** Connections accepted in the current second, for ConnectionRateThrottle. */
  second: number;
  inSecond: number;
}

class Daemon implements Smtpd {
  readonly stats: SmtpdStats = { connections: 0, accepted: 0, refused: 0 };
  #service: Service;
  #settings: Settings;
  #listeners: Listener[] = [];
  #connections = new Set<Connection>();
  #cancelSweep: (() => void) | null = null;
  #suspended = false;
  #full = false;
  #loaded = false;
  #closing: (() => void) | null = null;
  readonly #detached: Server;
  readonly #guesses: Guesses;
  /** Connections that wait for their second (ConnectionRateThrottle). */
  #waiting = 0;

  constructor(service: Service) {
    this.#service = service;
    this.#settings = settingsOf(service.config);
    this.#guesses = new Guesses(service.clock);
    this.#detached = new Server(
      () => {},
      () => {},
    );
  }

  listen(daemon: DaemonSpec): Promise<Result<Listening>> {
    return new Promise((resolve) => {
      let listener: Listener | null = null;
      const server = new Server(
        (from, socket) => {
          if (listener === null) socket.destroy();
          else this.#accepted(from, socket, listener);
        },
        (e) => {
          if (listener === null) resolve(err(e.message));
          else this.#service.log.line(1, `daemon ${daemon.name}: accept: ${e.message}`);
        },
      );
      const host = daemon.address !== "" ? daemon.address : daemon.family === "inet6" ? "::" : "0.0.0.0";
      const backlog = daemon.listen > 0 ? daemon.listen : LISTEN_BACKLOG;
      server.listen({ host, port: daemon.port, backlog, ipv6Only: daemon.family === "inet6" }, () => {
        const bound = server.server.address();
        const port = bound !== null && typeof bound === "object" ? bound.port : daemon.port;
        listener = { server, daemon, address: host, port, second: 0, inSecond: 0 };
        this.#listeners.push(listener);
        resolve(ok({ address: host, port }));
      });
    });
  }

  async unlisten(address: string, port: number): Promise<void> {
    const gone = this.#listeners.filter((l) => l.address === address && l.port === port);
    this.#listeners = this.#listeners.filter((l) => !gone.includes(l));
    for (const listener of gone) listener.server.server.close();
  }

  update(service: Service, daemons: readonly DaemonSpec[]): void {
    this.#service = service;
    this.#settings = settingsOf(service.config);
    for (const listener of this.#listeners) {
      const spec = daemons.find((d) => d.port === listener.port && sameAddress(d, listener.address));
      if (spec !== undefined) listener.daemon = spec;
    }
  }

  suspend(suspended: boolean): void {
    this.#suspended = suspended;
  }

  serve(stream: object, origin: Origin, daemon: DaemonSpec = NO_DAEMON): Promise<void> {
    return new Promise((resolve) => {
      // The library and Connection use the stream side of a socket only; a duplex has all of it.
      this.#start(this.#detached, stream as Socket, daemon, origin, resolve);
    });
  }

  #accepted(server: Server, socket: Socket, listener: Listener): void {
    if (this.#overloaded(listener.daemon) || !this.#roomFor(listener.daemon)) {
      this.stats.refused++;
      // Sendmail closes its listening socket; a reset says the same to the client and keeps the port ours.
      socket.on("error", () => socket.destroy());
      socket.resetAndDestroy();
      return;
    }
    const { load } = this.#service;
    const slow = load !== undefined && load.delays(listener.daemon.delayLA) !== null;
    const wait = this.#throttle(listener) + (slow ? LOAD_DELAY_MS : 0);
    if (wait === 0) this.#start(server, socket, listener.daemon, null, () => {});
    else {
      this.#waiting++;
      socket.on("error", () => socket.destroy());
      this.#service.clock.after(wait, () => {
        this.#waiting--;
        if (!socket.destroyed) this.#start(server, socket, listener.daemon, null, () => {});
      });
    }
  }

  /** RefuseLA; said once, until it is over. */
  #overloaded(daemon: DaemonSpec): boolean {
    const load = this.#service.load?.refuses(daemon.refuseLA) ?? null;
    if (load !== null && !this.#loaded)
      this.#service.log.line(1, `rejecting connections on daemon ${daemon.name}: load average: ${load}`);
    this.#loaded = load !== null;
    return load !== null;
  }

  #roomFor(daemon: DaemonSpec): boolean {
    const configured = this.#service.config.options.MaxDaemonChildren;
    const all = configured > 0 ? Math.min(configured, CONNECTIONS_MAX) : CONNECTIONS_MAX;
    const own = daemon.children > 0 ? daemon.children : all;
    let mine = this.#connections.size;
    if (own < all) {
      mine = 0;
      for (const connection of this.#connections)
        if (connection.conversation.daemon.name === daemon.name) mine++;
    }
    const room = !this.#suspended && this.#connections.size + this.#waiting < all && mine < own;
    if (!room && !this.#full && !this.#suspended)
      this.#service.log.line(
        1,
        `rejecting connections on daemon ${daemon.name}: ${this.#connections.size} children, max ${all}`,
      );
    this.#full = !room;
    return room;
  }

  /** ConnectionRateThrottle: milliseconds until this connection's second has come. */
  #throttle(listener: Listener): number {
    const rate = this.#service.config.options.ConnectionRateThrottle;
    if (rate <= 0) return 0;
    const now = this.#service.clock.monotonicMs();
    const second = Math.floor(now / 1000);
    if (second > listener.second) {
      // What was promised to later seconds has not been used up yet.
      listener.inSecond = Math.max(0, listener.inSecond - rate * (second - listener.second));
      listener.second = second;
    }
    const turn = Math.floor(listener.inSecond++ / rate);
    return turn === 0 ? 0 : (second + turn) * 1000 - now;
  }

  #start(server: Server, socket: Socket, daemon: DaemonSpec, origin: Origin | null, done: () => void): void {
    const connection = new Connection(
      server,
      socket,
      this.#service,
      this.#settings,
      daemon,
      origin,
      this.#guesses,
      () => {
        this.#connections.delete(connection);
        this.stats.connections = this.#connections.size;
        done();
        if (this.#connections.size === 0) this.#closing?.();
      },
    );
    this.#connections.add(connection);
    this.stats.connections = this.#connections.size;
    this.stats.accepted++;
    server.connections.add(connection);
    if (this.#cancelSweep === null) this.#sweepLater();
    connection.init();
  }

  #sweepLater(): void {
    this.#cancelSweep = this.#service.clock.after(SWEEP_MS, () => {
      this.#cancelSweep = null;
      const now = this.#service.clock.monotonicMs();
      for (const connection of this.#connections) connection.conversation.tick(now);
      if (this.#connections.size > 0) this.#sweepLater();
    });
  }

  async close(graceful: boolean): Promise<void> {
    for (const listener of this.#listeners) listener.server.server.close();
    this.#listeners = [];
    if (this.#connections.size > 0) {
      const over = new Promise<void>((resolve) => {
        this.#closing = resolve;
      });
      for (const connection of this.#connections)
        if (graceful) connection.conversation.stop();
        else connection.destroy();
      const cancel = this.#service.clock.after(SHUTDOWN_GRACE_MS, () => {
        for (const connection of this.#connections) connection.destroy();
      });
      await over;
      cancel();
    }
    this.#cancelSweep?.();
    this.#cancelSweep = null;
  }
}

function sameAddress(daemon: DaemonSpec, address: string): boolean {
  const any = daemon.family === "inet6" ? "::" : "0.0.0.0";
  return (daemon.address === "" ? any : daemon.address) === address;
}

/** The SMTP server of one process. Nothing listens before listen(). */
export function makeSmtpd(service: Service): Smtpd {
  return new Daemon(service);
}
