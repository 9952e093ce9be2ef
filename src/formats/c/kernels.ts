/** The C of the layers' arithmetic, by name; a file holds those that its model calls. */

/** A function of the generated file. */
export interface Kernel {
  readonly float: string;
  readonly int8: string;
  /** Whether the float one takes a function or a constant of math.h. */
  readonly usesMath?: boolean;
}

/** Visits the pixels under a window that lie in the image: `body` sees `row`, `col`, `i` and `j`. */
const underWindow = (body: string, indent: string) =>
  `for (int32_t i = 0; i < s->kernel[0]; i++) {
    const int32_t row = y * s->stride[0] + i - s->padding[0];
    if (row < 0 || row >= s->in[1]) continue;
    for (int32_t j = 0; j < s->kernel[1]; j++) {
        const int32_t col = x * s->stride[1] + j - s->padding[1];
        if (col < 0 || col >= s->in[2]) continue;
        ${body}
    }
}`.replaceAll("\n", `\n${indent}`);

/** Gives every output pixel of every channel, in order. */
const overOutputs = (body: string) =>
  `for (int32_t o = 0; o < s->out[0]; o++) {
        for (int32_t y = 0; y < s->out[1]; y++) {
            for (int32_t x = 0; x < s->out[2]; x++) {
                ${body}
            }
        }
    }`;

const convolution = (sum: string, product: string, store: string) =>
  `    const int32_t group_in = s->in[0] / s->groups;
    const int32_t group_out = s->out[0] / s->groups;
    ` + overOutputs(`const int32_t first = o / group_out * group_in;
                ${sum} = bias[o];
                for (int32_t c = 0; c < group_in; c++) {
                    const ${
    sum.startsWith("float") ? "float" : "int8_t"
  } *const plane = in + (first + c) * s->in[1] * s->in[2];
                    const ${sum.startsWith("float") ? "float" : "int8_t"} *const kernel =
                        weight + (o * group_in + c) * s->kernel[0] * s->kernel[1];
                    ${underWindow(product, " ".repeat(20))}
                }
                *out++ = ${store};`);

const pooling = (type: string, begin: string, step: string, store: string) =>
  "    " + overOutputs(`const ${type} *const plane = in + o * s->in[1] * s->in[2];
                ${begin}
                ${underWindow(step, " ".repeat(16))}
                *out++ = ${store};`);

const inPlace = (name: string, comment: string, expression: string, more = "") =>
  `/* ${comment} */
static void ${name}(float *values, int32_t count${more})
{
    for (int32_t n = 0; n < count; n++) values[n] = ${expression};
}
`;

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

/** All kernels. */
export const KERNELS = {
  standardize: {
    float: `/* Bytes as the model takes them: byte * scale + offset, by channel. */
static void standardize(const uint8_t *pixels, float *out, const float (*transform)[2],
                        int32_t channels, int32_t area)
{
    for (int32_t c = 0; c < channels; c++) {
        for (int32_t n = 0; n < area; n++) *out++ = *pixels++ * transform[c][0] + transform[c][1];
    }
}
`,
    int8: `/* Bytes as the model takes them: one table for all channels, or one for each. */
static void standardize(const uint8_t *pixels, int8_t *out, const int8_t *table, int32_t step,
                        int32_t channels, int32_t area)
{
    for (int32_t c = 0; c < channels; c++, table += step) {
        for (int32_t n = 0; n < area; n++) *out++ = table[*pixels++];
    }
}
`,
  },
  conv2d: {
    float: `/* Cross-correlation; weight [out, in / groups, kernel height, kernel width]. */
static void conv2d(const float *in, float *out, const float *weight, const float *bias,
                   const shape *s)
{
${
      convolution(
        "float sum",
        "sum += plane[row * s->in[2] + col] * kernel[i * s->kernel[1] + j];",
        "sum",
      )
    }
}
`,
    int8: `/* Cross-correlation; weight [out, in / groups, kernel height, kernel width]. */
static void conv2d(const int8_t *in, int8_t *out, const int8_t *weight, const int32_t *bias,
                   const factor *factors, const shape *s, int32_t in_zero, int32_t out_zero)
{
${
      convolution(
        "int32_t sum",
        "sum += (plane[row * s->in[2] + col] - in_zero) * kernel[i * s->kernel[1] + j];",
        "rescale((int64_t)sum * factors[o].multiplier, factors[o].shift, out_zero)",
      )
    }
}
`,
  },
  linear: {
    float: `/* weight [outputs, inputs] times a vector, plus bias. */
static void linear(const float *in, float *out, const float *weight, const float *bias,
                   int32_t inputs, int32_t outputs)
{
    for (int32_t o = 0; o < outputs; o++) {
        float sum = bias[o];
        for (int32_t n = 0; n < inputs; n++) sum += in[n] * *weight++;
        out[o] = sum;
    }
}
`,
    int8: `/* weight [outputs, inputs] times a vector, plus bias. */
static void linear(const int8_t *in, int8_t *out, const int8_t *weight, const int32_t *bias,
                   const factor *factors, int32_t inputs, int32_t outputs, int32_t in_zero,
                   int32_t out_zero)
{
    for (int32_t o = 0; o < outputs; o++) {
        int32_t sum = bias[o];
        for (int32_t n = 0; n < inputs; n++) sum += (in[n] - in_zero) * *weight++;
        out[o] = rescale((int64_t)sum * factors[o].multiplier, factors[o].shift, out_zero);
    }
}
`,
  },
  linear_logits: {
    float: "",
    int8: `/* The last layer: the sums as numbers. */
static void linear_logits(const int8_t *in, float *out, const int8_t *weight, const int32_t *bias,
                          const float *scales, int32_t inputs, int32_t outputs, int32_t in_zero)
{
    for (int32_t o = 0; o < outputs; o++) {
        int32_t sum = bias[o];
        for (int32_t n = 0; n < inputs; n++) sum += (in[n] - in_zero) * *weight++;
        out[o] = (float)sum * scales[o];
    }
}
`,
  },
  max_pool2d: {
    usesMath: true,
    float: `/* The largest under each window. */
static void max_pool2d(const float *in, float *out, const shape *s)
{
${
      pooling(
        "float",
        "float most = -INFINITY;",
        "if (plane[row * s->in[2] + col] > most) most = plane[row * s->in[2] + col];",
        "most",
      )
    }
}
`,
    int8: `/* The largest under each window. */
static void max_pool2d(const int8_t *in, int8_t *out, const shape *s)
{
${
      pooling(
        "int8_t",
        "int8_t most = INT8_MIN;",
        "if (plane[row * s->in[2] + col] > most) most = plane[row * s->in[2] + col];",
        "most",
      )
    }
}
`,
  },
  avg_pool2d: {
    float: `/* The mean under each window; zeros of the padding count. */
static void avg_pool2d(const float *in, float *out, const shape *s)
{
    const float area = (float)(s->kernel[0] * s->kernel[1]);
${pooling("float", "float sum = 0;", "sum += plane[row * s->in[2] + col];", "sum / area")}
}
`,
    int8: `/* The mean under each window, which is in the factor; zeros of the padding count. */
static void avg_pool2d(const int8_t *in, int8_t *out, factor f, const shape *s, int32_t in_zero,
                       int32_t out_zero)
{
${
      pooling(
        "int8_t",
        "int32_t sum = 0;",
        "sum += plane[row * s->in[2] + col] - in_zero;",
        "rescale((int64_t)sum * f.multiplier, f.shift, out_zero)",
      )
    }
}
`,
  },
  add: {
    float: `/* The sum at a residual block's end. */
static void add(const float *a, const float *b, float *out, int32_t count)
{
    for (int32_t n = 0; n < count; n++) out[n] = a[n] + b[n];
}
`,
    int8: `/* The sum at a residual block's end; both multipliers have the shift of a's. */
static void add(const int8_t *a, const int8_t *b, int8_t *out, int32_t count, factor of_a,
                int32_t of_b, int32_t a_zero, int32_t b_zero, int32_t out_zero)
{
    for (int32_t n = 0; n < count; n++) {
        const int64_t sum =
            (int64_t)(a[n] - a_zero) * of_a.multiplier + (int64_t)(b[n] - b_zero) * of_b;
        out[n] = rescale(sum, of_a.shift, out_zero);
    }
}
`,
  },
  relu: {
    float: inPlace("relu", "What is below 0 becomes 0.", "values[n] > 0 ? values[n] : 0"),
    int8: "",
  },
  leaky_relu: {
    float: inPlace(
      "leaky_relu",
      "What is below 0 is multiplied by a slope.",
      "values[n] > 0 ? values[n] : values[n] * slope",
      ", float slope",
    ),
    int8: "",
  },
  sigmoid: {
    usesMath: true,
    float: inPlace("sigmoid", "1 / (1 + e^-x).", "1.0f / (1.0f + expf(-values[n]))"),
    int8: "",
  },
  hyperbolic_tangent: {
    usesMath: true,
    float: inPlace("hyperbolic_tangent", "tanh x.", "tanhf(values[n])"),
    int8: "",
  },
  look_up: {
    float: "",
    int8: `/* An elementwise function as a table of its 256 values. */
static void look_up(int8_t *values, int32_t count, const int8_t *table)
{
    for (int32_t n = 0; n < count; n++) values[n] = table[values[n] + 128];
}
`,
  },
  copy: {
    float: `/* From one place to another. */
static void copy(const float *in, float *out, int32_t count)
{
    for (int32_t n = 0; n < count; n++) out[n] = in[n];
}
`,
    int8: `/* From one place to another. */
static void copy(const int8_t *in, int8_t *out, int32_t count)
{
    for (int32_t n = 0; n < count; n++) out[n] = in[n];
}
`,
  },
  dequantize: {
    float: "",
    int8: `/* The numbers that bytes stand for. */
static void dequantize(const int8_t *in, float *out, int32_t count, float scale, int32_t zero)
{
    for (int32_t n = 0; n < count; n++) out[n] = (float)(in[n] - zero) * scale;
}
`,
  },
} as const satisfies Readonly<Record<string, Kernel>>;

/** Name of a kernel. */
export type KernelName = keyof typeof KERNELS;
