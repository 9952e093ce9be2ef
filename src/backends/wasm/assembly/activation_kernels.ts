/** output = #name(input) for `rows` rows of rowBytes each; may work in place. Row strides leave borders
 * untouched.
 */
export function #nameForward(
  input: usize, inputStride: usize, output: usize, outputStride: usize, rows: i32, rowBytes: usize,
  slope: f32,
): void {
  for (; rows > 0; rows--) {
    let i: usize = 0;
    if (#sideBySide) for (; i + 64 <= rowBytes; i += 64) sigmoid16(input + i, output + i);
    for (; i < rowBytes; i += VECTOR_BYTES) {
      v128.store(output + i, #name(v128.load(input + i), slope));
    }
    input += inputStride;
    output += outputStride;
  }
}

/** Turns the gradient of an output into that of the input, knowing the output. */
export function #nameBackward(
  output: usize, outputStride: usize, gradient: usize, gradientStride: usize, rows: i32,
  rowBytes: usize, slope: f32,
): void {
  for (; rows > 0; rows--) {
    for (let i: usize = 0; i < rowBytes; i += VECTOR_BYTES) {
      const y = v128.load(output + i), g = v128.load(gradient + i);
      v128.store(gradient + i, #nameGradient(y, g, slope));
    }
    output += outputStride;
    gradient += gradientStride;
  }
}
