/** The C of the layers' arithmetic, by name; a file holds those that its model calls. */

import { linesOf } from "./text.ts";

/** A function of the generated file. */
export interface Kernel {
  /** For a model of floats; left out where none calls it. */
  readonly float?: string;
  /** For one of whole numbers. */
  readonly int8?: string;
  /** Whether the float one takes a function or a constant of math.h. */
  readonly usesMath?: boolean;
}

/** Size and place of all windows of a layer. */
export const SHAPE =
  `/* [channels, height, width] of input and output, and how windows lie on the input. */
typedef struct {
    int32_t in[3], out[3], kernel[2], stride[2], padding[2], groups;
} shape;
`;

/** Whole numbers by factors that are none: a multiplication and a shift, no floating point. */
export const RESCALE = `/* A factor as multiplier / 2^shift. */
typedef struct {
    int32_t multiplier;
    uint8_t shift;
} factor;

/* value / 2^shift, rounded to the nearest whole number, halves upward, and cut off to 8 bits. */
static int8_t rescale(int64_t value, uint8_t shift, int32_t zero)
{
    value += (int64_t)1 << (shift - 1);
    value = (value < 0 ? ~(~value >> shift) : value >> shift) + zero;
    return (int8_t)(value < -128 ? -128 : value > 127 ? 127 : value);
}
`;

/** A kernel's text from its parameters, divided by commas, and its statements. */
function define(name: string, comment: string, parameters: string, body: string): string {
  const start = `static void ${name}(`;
  const lines = linesOf(`${parameters})`.split(/(?<=,) /), " ".repeat(start.length));
  return `/* ${comment} */\n${start}${lines.join("\n").trim()}\n{\n${indented(body, 4)}\n}\n`;
}

function indented(lines: string, columns: number): string {
  return lines.trim().replaceAll(/^(?=.)/gm, " ".repeat(columns));
}

/** Gives every output pixel of every channel, in order. */
const overOutputs = (body: string) => `
for (int32_t o = 0; o < s->out[0]; o++) {
    for (int32_t y = 0; y < s->out[1]; y++) {
        for (int32_t x = 0; x < s->out[2]; x++) {
${indented(body, 12)}
        }
    }
}`;

/** Visits the pixels under a window that lie in the image: `body` sees `row`, `col`, `i` and `j`. */
const underWindow = (body: string) => `
for (int32_t i = 0; i < s->kernel[0]; i++) {
    const int32_t row = y * s->stride[0] + i - s->padding[0];
    if (row < 0 || row >= s->in[1]) continue;
    for (int32_t j = 0; j < s->kernel[1]; j++) {
        const int32_t col = x * s->stride[1] + j - s->padding[1];
        if (col < 0 || col >= s->in[2]) continue;
        ${body}
    }
}`;

/** How weights times inputs are summed, and what becomes of a sum. */
interface Sums {
  readonly type: string;
  readonly sum: string;
  readonly out: string;
  /** Of an input. */
  readonly value: (input: string) => string;
  readonly stored: string;
  /** Parameters behind the bias, and at the end. */
  readonly factors: string;
  readonly zeros: string;
}

const FLOATS: Sums = {
  ...{ type: "float", sum: "float", out: "float", value: (input) => input, stored: "sum" },
  ...{ factors: "", zeros: "" },
};

const BYTES: Sums = {
  ...{ type: "int8_t", sum: "int32_t", out: "int8_t", value: (input) => `(${input} - in_zero)` },
  stored: "rescale((int64_t)sum * factors[o].multiplier, factors[o].shift, out_zero)",
  ...{ factors: ", const factor *factors", zeros: ", int32_t in_zero, int32_t out_zero" },
};

function sumsOf({ type, sum, out, factors }: Sums): string {
  return `const ${type} *in, ${out} *out, const ${type} *weight, const ${sum} *bias${factors}`;
}

function conv2d(sums: Sums): string {
  const { type, sum, value, stored, zeros } = sums;
  const product = `${value("plane[row * s->in[2] + col]")} * kernel[i * s->kernel[1] + j]`;
  return define(
    "conv2d",
    "Cross-correlation; weight [out, in / groups, kernel height, kernel width].",
    `${sumsOf(sums)}, const shape *s${zeros}`,
    `const int32_t group_in = s->in[0] / s->groups;
const int32_t group_out = s->out[0] / s->groups;${
      overOutputs(`const int32_t first = o / group_out * group_in;
${sum} sum = bias[o];
for (int32_t c = 0; c < group_in; c++) {
    const ${type} *const plane = in + (first + c) * s->in[1] * s->in[2];
    const ${type} *const kernel =
        weight + (o * group_in + c) * s->kernel[0] * s->kernel[1];
${indented(underWindow(`sum += ${product};`), 4)}
}
*out++ = ${stored};`)
    }`,
  );
}

function linear(name: string, comment: string, sums: Sums): string {
  const { sum, value, stored, zeros } = sums;
  return define(
    name,
    comment,
    `${sumsOf(sums)}, int32_t inputs, int32_t outputs${zeros}`,
    `for (int32_t o = 0; o < outputs; o++) {
    ${sum} sum = bias[o];
    for (int32_t n = 0; n < inputs; n++) sum += ${value("in[n]")} * *weight++;
    out[o] = ${stored};
}`,
  );
}

const WEIGHTS = "weight [outputs, inputs] times a vector, plus bias.";

function pooling(type: string, [begin, step, stored]: readonly string[]): string {
  return overOutputs(`const ${type} *const plane = in + o * s->in[1] * s->in[2];
${begin}${underWindow(step)}
*out++ = ${stored};`);
}

function maxPool2d(type: string, least: string): string {
  const pixel = "plane[row * s->in[2] + col]";
  const steps = [`${type} most = ${least};`, `if (${pixel} > most) most = ${pixel};`, "most"];
  const parameters = `const ${type} *in, ${type} *out, const shape *s`;
  return define("max_pool2d", "The largest under each window.", parameters, pooling(type, steps));
}

const COUNTED = "for (int32_t n = 0; n < count; n++)";

function inPlace(name: string, comment: string, expression: string, more = ""): string {
  const parameters = `float *values, int32_t count${more}`;
  return define(name, comment, parameters, `${COUNTED} values[n] = ${expression};`);
}

function copy(type: string): string {
  const parameters = `const ${type} *in, ${type} *out, int32_t count`;
  return define("copy", "From one place to another.", parameters, `${COUNTED} out[n] = in[n];`);
}

/** All kernels. */
export const KERNELS = {
  standardize: {
    float: define(
      "standardize",
      "Bytes as the model takes them: byte * scale + offset, by channel.",
      "const uint8_t *pixels, float *out, const float (*transform)[2], int32_t channels, int32_t area",
      `for (int32_t c = 0; c < channels; c++) {
    for (int32_t n = 0; n < area; n++) *out++ = *pixels++ * transform[c][0] + transform[c][1];
}`,
    ),
    int8: define(
      "standardize",
      "Bytes as the model takes them: one table for all channels, or one for each.",
      "const uint8_t *pixels, int8_t *out, const int8_t *table, int32_t step, int32_t channels, " +
        "int32_t area",
      `for (int32_t c = 0; c < channels; c++, table += step) {
    for (int32_t n = 0; n < area; n++) *out++ = table[*pixels++];
}`,
    ),
  },
  conv2d: { float: conv2d(FLOATS), int8: conv2d(BYTES) },
  linear: { float: linear("linear", WEIGHTS, FLOATS), int8: linear("linear", WEIGHTS, BYTES) },
  linear_logits: {
    int8: linear("linear_logits", "The last layer: the sums as numbers.", {
      ...{ ...BYTES, out: "float", stored: "(float)sum * scales[o]" },
      ...{ factors: ", const float *scales", zeros: ", int32_t in_zero" },
    }),
  },
  max_pool2d: {
    usesMath: true,
    float: maxPool2d("float", "-INFINITY"),
    int8: maxPool2d("int8_t", "INT8_MIN"),
  },
  avg_pool2d: {
    float: define(
      "avg_pool2d",
      "The mean under each window; zeros of the padding count.",
      "const float *in, float *out, const shape *s",
      "const float area = (float)(s->kernel[0] * s->kernel[1]);" +
        pooling("float", ["float sum = 0;", "sum += plane[row * s->in[2] + col];", "sum / area"]),
    ),
    int8: define(
      "avg_pool2d",
      "The mean under each window, which is in the factor; zeros of the padding count.",
      "const int8_t *in, int8_t *out, factor f, const shape *s, int32_t in_zero, int32_t out_zero",
      pooling("int8_t", [
        ...["int32_t sum = 0;", "sum += plane[row * s->in[2] + col] - in_zero;"],
        "rescale((int64_t)sum * f.multiplier, f.shift, out_zero)",
      ]),
    ),
  },
  add: {
    float: define(
      "add",
      "The sum at a residual block's end.",
      "const float *a, const float *b, float *out, int32_t count",
      `${COUNTED} out[n] = a[n] + b[n];`,
    ),
    int8: define(
      "add",
      "The sum at a residual block's end; both multipliers have the shift of a's.",
      "const int8_t *a, const int8_t *b, int8_t *out, int32_t count, factor of_a, int32_t of_b, " +
        "int32_t a_zero, int32_t b_zero, int32_t out_zero",
      `${COUNTED} {
    const int64_t sum =
        (int64_t)(a[n] - a_zero) * of_a.multiplier + (int64_t)(b[n] - b_zero) * of_b;
    out[n] = rescale(sum, of_a.shift, out_zero);
}`,
    ),
  },
  relu: {
    float: inPlace("relu", "What is below 0 becomes 0.", "values[n] > 0 ? values[n] : 0"),
  },
  leaky_relu: {
    float: inPlace(
      "leaky_relu",
      "What is below 0 is multiplied by a slope.",
      "values[n] > 0 ? values[n] : values[n] * slope",
      ", float slope",
    ),
  },
  sigmoid: {
    usesMath: true,
    float: inPlace("sigmoid", "1 / (1 + e^-x).", "1.0f / (1.0f + expf(-values[n]))"),
  },
  hyperbolic_tangent: {
    usesMath: true,
    float: inPlace("hyperbolic_tangent", "tanh x.", "tanhf(values[n])"),
  },
  look_up: {
    int8: define(
      "look_up",
      "An elementwise function as a table of its 256 values.",
      "int8_t *values, int32_t count, const int8_t *table",
      `${COUNTED} values[n] = table[values[n] + 128];`,
    ),
  },
  copy: { float: copy("float"), int8: copy("int8_t") },
  dequantize: {
    int8: define(
      "dequantize",
      "The numbers that bytes stand for.",
      "const int8_t *in, float *out, int32_t count, float scale, int32_t zero",
      `${COUNTED} out[n] = (float)(in[n] - zero) * scale;`,
    ),
  },
} as const satisfies Readonly<Record<string, Kernel>>;

/** Name of a kernel. */
export type KernelName = keyof typeof KERNELS;
