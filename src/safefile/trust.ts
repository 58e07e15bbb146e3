// Which files may be trusted, by purpose: Sendmail's file-safety rules and the DontBlameSendmail words that relax them
// (sendmail-semantics sections 10, 22, 23). One table; check.ts applies it. A relaxed rule lets a file be read, but what
// is in it may not name programs and files unless the ...Safe word says so too.

/** What a file is read or written for. */
export type Purpose =
  | "alias"
  | "authinfo"
  | "certificate"
  | "class"
  | "delivery"
  | "errorheader"
  | "forward"
  | "help"
  | "include"
  | "key"
  | "map"
  | "mapsource"
  | "program"
  | "sasl"
  | "statistics"
  | "writemap";

/** The DontBlameSendmail words that lift one prohibition; an empty list: nothing lifts it. */
export interface Prohibition {
  readonly unless: readonly string[];
  /** With one of these as well, the file counts as safe although the prohibition was lifted. */
  readonly safeWith?: readonly string[];
}

export interface Rules {
  /** Group- or world-writable directories anywhere in the path. Undefined: directories are not looked at. */
  readonly directories?: Prohibition;
  /** Further words that lift it for group-writable directories only. */
  readonly groupDirectories?: readonly string[];
  readonly groupWritable?: Prohibition;
  readonly worldWritable?: Prohibition;
  readonly groupReadable?: Prohibition;
  readonly worldReadable?: Prohibition;
  readonly executable?: Prohibition;
  readonly symbolicLink?: Prohibition;
  readonly hardLink?: Prohibition;
  /** Links whose directory others may write. */
  readonly linkInWritableDirectory?: Prohibition;
  /** The file must be the user's own or root's. */
  readonly ownedByUser?: boolean;
}

const NEVER: Prohibition = { unless: [] };

function unless(...words: string[]): Prohibition {
  return { unless: words };
}

/** Words are compared in lower case, as Sendmail does. */
export const RULES: ReadonlyMap<Purpose, Rules> = new Map<Purpose, Rules>([
  [
    "alias",
    {
      groupWritable: unless("groupwritablealiasfile"),
      worldWritable: unless("worldwritablealiasfile"),
      linkInWritableDirectory: unless("linkedaliasfileinwritabledir"),
    },
  ],
  ["authinfo", { groupReadable: NEVER, worldReadable: NEVER, groupWritable: NEVER, worldWritable: NEVER }],
  ["certificate", { groupWritable: NEVER, worldWritable: NEVER }],
  [
    "class",
    {
      directories: unless("classfileinunsafedirpath"),
      linkInWritableDirectory: unless("linkedclassfileinwritabledir"),
    },
  ],
  [
    "delivery",
    {
      executable: NEVER,
      symbolicLink: unless("filedeliverytosymlink"),
      hardLink: unless("filedeliverytohardlink"),
    },
  ],
  ["errorheader", { directories: unless("errorheaderinunsafedirpath") }],
  [
    "forward",
    {
      directories: { unless: ["forwardfileinunsafedirpath"], safeWith: ["forwardfileinunsafedirpathsafe"] },
      groupDirectories: ["forwardfileingroupwritabledirpath"],
      groupWritable: { unless: ["groupwritableforwardfile"], safeWith: ["groupwritableforwardfilesafe"] },
      worldWritable: { unless: ["worldwritableforwardfile"], safeWith: ["worldwritableforwardfilesafe"] },
      symbolicLink: NEVER,
      hardLink: NEVER,
      ownedByUser: true,
    },
  ],
  ["help", { directories: unless("helpfileinunsafedirpath") }],
  [
    "include",
    {
      directories: { unless: ["includefileinunsafedirpath"], safeWith: ["includefileinunsafedirpathsafe"] },
      groupDirectories: ["includefileingroupwritabledirpath"],
      groupWritable: { unless: ["groupwritableincludefile"], safeWith: ["groupwritableincludefilesafe"] },
      worldWritable: { unless: ["worldwritableincludefile"], safeWith: ["worldwritableincludefilesafe"] },
      linkInWritableDirectory: unless("linkedincludefileinwritabledir"),
    },
  ],
  [
    "key",
    {
      groupReadable: unless("groupreadablekeyfile"),
      worldReadable: NEVER,
      groupWritable: NEVER,
      worldWritable: NEVER,
    },
  ],
  [
    "map",
    {
      directories: unless("mapinunsafedirpath"),
      linkInWritableDirectory: unless("linkedmapinwritabledir"),
    },
  ],
  ["mapsource", {}],
  [
    "program",
    {
      directories: unless("runprograminunsafedirpath"),
      groupWritable: unless("runwritableprogram"),
      worldWritable: unless("runwritableprogram"),
    },
  ],
  [
    "sasl",
    {
      groupReadable: unless("groupreadablesasldbfile"),
      worldReadable: NEVER,
      groupWritable: unless("groupwritablesasldbfile"),
      worldWritable: NEVER,
    },
  ],
  ["statistics", { symbolicLink: unless("writestatstosymlink"), hardLink: unless("writestatstohardlink") }],
  [
    "writemap",
    {
      directories: unless("mapinunsafedirpath"),
      symbolicLink: unless("writemaptosymlink"),
      hardLink: unless("writemaptohardlink"),
    },
  ],
]);
