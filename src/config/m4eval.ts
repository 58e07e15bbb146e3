// m4's integer arithmetic: eval() with C's operators and precedence on 32-bit numbers, by precedence climbing over tokens.
// Bounded by the length of its text and a nesting limit; a bad expression is an error with its reason.

import { M4_NESTING_MAX } from "../base/limits.ts";
import { err, ok, type Result } from "../base/result.ts";

const TOKEN =
  /\s*(\*\*|<<|>>|<=|>=|==|!=|&&|\|\||0[xX][0-9a-fA-F]+|0[rR]\d+:[0-9a-zA-Z]+|\d+|[-+*/%~!<>&^|()])/y;

const PRECEDENCE: ReadonlyMap<string, number> = new Map([
  ["||", 1],
  ["&&", 2],
  ["|", 3],
  ["^", 4],
  ["&", 5],
  ["==", 6],
  ["!=", 6],
  ["<", 7],
  ["<=", 7],
  [">", 7],
  [">=", 7],
  ["<<", 8],
  [">>", 8],
  ["+", 9],
  ["-", 9],
  ["*", 10],
  ["/", 10],
  ["%", 10],
  ["**", 12],
]);

class EvalParser {
  #tokens: string[];
  #at = 0;
  error = "";

  constructor(tokens: string[]) {
    this.#tokens = tokens;
  }

  peek(): string {
    return this.#tokens[this.#at] ?? "";
  }

  fail(reason: string): number {
    if (this.error === "") this.error = reason;
    this.#at = this.#tokens.length;
    return 0;
  }

  binary(least: number, depth: number): number {
    if (depth > M4_NESTING_MAX) return this.fail("nested too deep");
    let left = this.unary(depth);
    for (;;) {
      const operator = this.peek();
      const precedence = PRECEDENCE.get(operator);
      if (precedence === undefined || precedence < least) return left;
      this.#at += 1;
      // ** binds to the right, all others to the left.
      const right = this.binary(operator === "**" ? precedence : precedence + 1, depth + 1);
      left = this.apply(operator, left, right);
    }
  }

  unary(depth: number): number {
    if (depth > M4_NESTING_MAX) return this.fail("nested too deep");
    const token = this.peek();
    this.#at += 1;
    if (token === "(") {
      const value = this.binary(1, depth + 1);
      if (this.peek() !== ")") return this.fail("a ) is missing");
      this.#at += 1;
      return value;
    }
    if (token === "-") return -this.unary(depth + 1) | 0;
    if (token === "+") return this.unary(depth + 1);
    if (token === "~") return ~this.unary(depth + 1);
    if (token === "!") return this.unary(depth + 1) === 0 ? 1 : 0;
    if (/^0[rR]/.test(token)) {
      const [, radix = "10", digits = ""] = /^0[rR](\d+):(.*)$/.exec(token) ?? [];
      const base = Number(radix);
      return base >= 2 && base <= 36 ? Number.parseInt(digits, base) | 0 : this.fail("bad radix");
    }
    if (/^0[xX]/.test(token)) return Number.parseInt(token, 16) | 0;
    if (/^0\d/.test(token)) return Number.parseInt(token, 8) | 0;
    if (/^\d/.test(token)) return Number(token) | 0;
    return this.fail(token === "" ? "a value is missing" : `${token} is not a value`);
  }

  apply(operator: string, a: number, b: number): number {
    switch (operator) {
      case "||":
        return a !== 0 || b !== 0 ? 1 : 0;
      case "&&":
        return a !== 0 && b !== 0 ? 1 : 0;
      case "|":
        return a | b;
      case "^":
        return a ^ b;
      case "&":
        return a & b;
      case "==":
        return a === b ? 1 : 0;
      case "!=":
        return a !== b ? 1 : 0;
      case "<":
        return a < b ? 1 : 0;
      case "<=":
        return a <= b ? 1 : 0;
      case ">":
        return a > b ? 1 : 0;
      case ">=":
        return a >= b ? 1 : 0;
      case "<<":
        return a << b;
      case ">>":
        return a >> b;
      case "+":
        return (a + b) | 0;
      case "-":
        return (a - b) | 0;
      case "*":
        return Math.imul(a, b);
      case "**":
        return b < 0 ? this.fail("negative exponent") : Math.trunc(a ** b) | 0;
      default:
        if (b === 0) return this.fail(operator === "/" ? "divide by zero" : "modulo by zero");
        return (operator === "/" ? Math.trunc(a / b) : a % b) | 0;
    }
  }

  finished(): boolean {
    return this.#at >= this.#tokens.length;
  }
}

/** The value of an expression. */
export function evaluateExpression(text: string): Result<number> {
  const tokens: string[] = [];
  const trimmed = text.trimEnd();
  for (let at = 0; at < trimmed.length; at = TOKEN.lastIndex) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(trimmed);
    if (match === null) return err(`bad expression: ${trimmed}`);
    tokens.push(match[1] ?? "");
  }
  if (tokens.length === 0) return ok(0);
  const parser = new EvalParser(tokens);
  const value = parser.binary(1, 0);
  if (parser.error !== "") return err(`bad expression: ${trimmed} (${parser.error})`);
  return parser.finished() ? ok(value) : err(`bad expression: ${trimmed}`);
}
