// Plots in Markdown: Mermaid's xychart, which forges and editors draw and which reads as plain figures where they do not.
// One series a chart, since it has no legend.

export interface Chart {
  readonly title: string;
  readonly xTitle: string;
  readonly yTitle: string;
  readonly places: readonly string[];
  readonly values: readonly number[];
  readonly kind: "bar" | "line";
}

const DRESS = `%%{init: {"themeVariables": {"xyChart": {"plotColorPalette": "#128a52"}}}}%%`;

const quoted = (text: string): string => `"${text.replaceAll('"', "'")}"`;

function rounded(value: number): string {
  return String(Number(value.toPrecision(3)));
}

/** A fenced block; "" when there is nothing to draw. */
export function chart(c: Chart): string {
  const most = Math.max(...c.values);
  if (c.values.length < 2 || !Number.isFinite(most) || most <= 0) return "";
  const top = rounded(most * 1.1);
  return `\`\`\`mermaid
${DRESS}
xychart-beta
  title ${quoted(c.title)}
  x-axis ${quoted(c.xTitle)} [${c.places.map(quoted).join(", ")}]
  y-axis ${quoted(c.yTitle)} 0 --> ${top}
  ${c.kind} [${c.values.map(rounded).join(", ")}]
\`\`\`
`;
}
