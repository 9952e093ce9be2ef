/** Samples of several rates, taken in turns, so that a noisy minute hurts all alike. */

/** A rate that can be measured again and again. */
export interface Contender {
  readonly name: string;
  /** Does some work and returns units a second. */
  measure(): number | Promise<number>;
}

/** Median and quartiles of a rate. */
export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
  readonly samples: number;
}

/** Measures all contenders `rounds` times in turns, after one round to warm up. */
export async function sampleInTurns(
  contenders: readonly Contender[],
  rounds: number,
): Promise<Map<string, Spread>> {
  const samples = new Map(contenders.map(({ name }) => [name, [] as number[]]));
  for (let round = 0; round <= rounds; round++) {
    for (const contender of contenders) {
      const rate = await contender.measure();
      if (round > 0) samples.get(contender.name)!.push(rate);
    }
  }
  return new Map([...samples].map(([name, rates]) => [name, spreadOf(rates)]));
}

/** Median and quartiles. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))];
  return { median: at(0.5), low: at(0.25), high: at(0.75), samples: values.length };
}
