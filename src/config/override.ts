// -O and -o of the command line on a finished configuration: options by name or letter, and the listeners that
// DaemonPortOptions and ClientPortOptions stand for. Texts of errors are Sendmail's; the exit status is the caller's.

import { err, ok, type Result } from "../base/result.ts";
import type { Configuration } from "./configuration.ts";
import { setOption } from "./options.ts";
import { parseSocketOptions } from "./sockets.ts";

/** `-O Name=value` (also without "=": an empty value). */
export function overrideOption(configuration: Configuration, text: string): Result<Configuration> {
  const at = text.indexOf("=");
  const name = (at < 0 ? text : text.slice(0, at)).trim();
  return override(configuration, name, at < 0 ? "" : text.slice(at + 1).trim());
}

/** `-oXvalue`. */
export function overrideLetter(configuration: Configuration, text: string): Result<Configuration> {
  return override(configuration, text.slice(0, 1), text.slice(1));
}

function override(configuration: Configuration, name: string, value: string): Result<Configuration> {
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
