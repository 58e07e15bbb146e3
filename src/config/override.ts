// -O and -o of the command line on a finished configuration: options by name or letter, and the listeners that
// DaemonPortOptions and ClientPortOptions stand for. Texts of errors are Sendmail's; the exit status is the caller's.

import { err, ok, type Result } from "../base/result.ts";
import type { Configuration } from "./configuration.ts";
import { setOption } from "./options.ts";
import { parseSocketOptions } from "./sockets.ts";

/** -O and -o: `nameOrLetter` as setOption takes it. DaemonPortOptions replaces all listeners. */
export function overrideOption(
  configuration: Configuration,
  name: string,
  value: string,
): Result<Configuration> {
  const daemon = name === "O" || /^DaemonPortOptions$/i.test(name);
  if (daemon || /^ClientPortOptions$/i.test(name)) {
    const option = daemon ? "DaemonPortOptions" : "ClientPortOptions";
    const parsed = parseSocketOptions(value, option, daemon ? "Daemon0" : "");
    if (!parsed.ok) return err(`readcf: ${parsed.error.join("; ")}`);
    return ok(
      daemon
        ? { ...configuration, daemons: [parsed.value] }
        : { ...configuration, client: parsed.value, clients: [parsed.value] },
    );
  }
  const options = setOption(configuration.options, name, value);
  if (!options.ok) return options;
  const fallbackMx = options.value.FallbackMXhost;
  return ok({ ...configuration, options: options.value, fallbackMx });
}
