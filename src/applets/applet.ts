// The shape of a command: one file per applet,
// help text on top, no logic of its own.

/** Standard streams and surroundings of one call; tests give their own. */
export interface Io {
  readonly stdin: AsyncIterable<Buffer>;
  /** Whether standard input/output are terminals. */
  readonly stdinIsTerminal: boolean;
  readonly stdoutIsTerminal: boolean;
  out(text: string): void;
  /** Bytes as they are. */
  outBytes(bytes: Buffer): void;
  err(text: string): void;
  /** Reads one line from the terminal without echo, after `prompt`. null at end of input. */
  askSecret(prompt: string): Promise<string | null>;
  readonly environment: ReadonlyMap<string, string>;
  readonly cwd: string;
}

export interface Applet {
  /** The names it is called by; the first is the one in help. */
  readonly names: readonly string[];
  /** One line for the list of applets. */
  readonly summary: string;
  /** Whole text of --help, man-page like. */
  readonly help: string;
  /** `name`: the name it was called by. Returns the exit status (sysexits.h). */
  run(args: readonly string[], io: Io, name: string): Promise<number>;
}

/** sysexits.h, as Sendmail's commands use them. */
export const EX = {
  OK: 0,
  USAGE: 64,
  DATAERR: 65,
  NOINPUT: 66,
  NOUSER: 67,
  NOHOST: 68,
  UNAVAILABLE: 69,
  SOFTWARE: 70,
  OSERR: 71,
  OSFILE: 72,
  CANTCREAT: 73,
  IOERR: 74,
  TEMPFAIL: 75,
  PROTOCOL: 76,
  NOPERM: 77,
  CONFIG: 78,
} as const;
