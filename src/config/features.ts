// The registry of FEATUREs, by name. The entries stand in tablefeatures.ts, policyfeatures.ts and routefeatures.ts, one line each.
// A name that is not here is an error with the nearest one that is.

import type { FeatureEntry } from "./feature.ts";
import { POLICY_FEATURES } from "./policyfeatures.ts";
import { ROUTE_FEATURES } from "./routefeatures.ts";
import { TABLE_FEATURES } from "./tablefeatures.ts";

/** All features, sorted by name without case. */
export const FEATURES: ReadonlyMap<string, FeatureEntry> = new Map(
  [...TABLE_FEATURES, ...POLICY_FEATURES, ...ROUTE_FEATURES]
    .sort((a, b) => (a.name.toLowerCase() < b.name.toLowerCase() ? -1 : 1))
    .map((entry) => [entry.name, entry]),
);
