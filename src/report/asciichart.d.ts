/** Declarations of the part of `asciichart` that the live chart uses: it ships none. */
declare const asciichart: {
  plot(
    series: readonly (readonly number[])[],
    options: {
      readonly height: number;
      readonly colors?: readonly string[];
      readonly format?: (value: number) => string;
      readonly min?: number;
      readonly max?: number;
    },
  ): string;
};
export default asciichart;
