// The plan of a run: its steps with the time that each should take, what is left as it goes, and an end by which it stops asking.
// Guesses are corrected by the steps of the same kind that are done; the first guess is printed before anything starts.

export interface Step {
  /** What is said when it begins. */
  readonly what: string;
  /** Steps of one kind take about the same time. */
  readonly kind: string;
  /** A guess of its seconds. */
  readonly seconds: number;
  run(): Promise<void>;
}

function clock(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  return s < 90 ? `${s} s` : `${Math.round(s / 60)} min`;
}

export class Plan {
  readonly #steps: readonly Step[];
  readonly #say: (text: string) => void;
  readonly #failed: (what: string, error: unknown) => void;
  readonly #taken = new Map<string, { count: number; seconds: number }>();

  /** `failed` hears of a step that threw; the others are done all the same. */
  constructor(
    steps: readonly Step[],
    say: (text: string) => void,
    failed: (what: string, error: unknown) => void,
  ) {
    this.#steps = steps;
    this.#say = say;
    this.#failed = failed;
  }

  /** Seconds of the steps from `at` on. */
  #left(at: number): number {
    let guessed = 0;
    let measured = 0;
    for (const step of this.#steps.slice(0, at)) {
      const t = this.#taken.get(step.kind);
      guessed += step.seconds;
      measured += t === undefined ? step.seconds : t.seconds / t.count;
    }
    const factor = at < 5 || guessed === 0 ? 1 : measured / guessed;
    return this.#steps.slice(at).reduce((sum, step) => {
      const t = this.#taken.get(step.kind);
      return sum + (t === undefined ? step.seconds * factor : t.seconds / t.count);
    }, 0);
  }

  /** Runs all steps, or those that begin within `minutes`; gives what was left out. */
  async run(minutes: number): Promise<string[]> {
    this.#say(
      `${this.#steps.length} steps, about ${clock(this.#left(0))}; no step begins after ${minutes} minutes`,
    );
    const begun = performance.now();
    const out: string[] = [];
    for (const [i, step] of this.#steps.entries()) {
      if (performance.now() - begun > minutes * 60_000) {
        out.push(step.what);
        continue;
      }
      const done = Math.floor((i * 100) / this.#steps.length);
      this.#say(`[${String(done).padStart(2)} %, ${clock(this.#left(i))} left] ${step.what}`);
      const start = performance.now();
      try {
        await step.run();
      } catch (e) {
        this.#failed(step.what, e);
      }
      const t = this.#taken.get(step.kind) ?? { count: 0, seconds: 0 };
      t.count++;
      t.seconds += (performance.now() - start) / 1000;
      this.#taken.set(step.kind, t);
    }
    return out;
  }
}
