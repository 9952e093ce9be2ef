/** Updates of parameters by their gradients, as PyTorch defines them. */

import { multiplyAdd } from "./simd";

/** parameter -= learningRate * gradient, for `count` numbers. */
export function sgdUpdate(
  parameters: usize, gradients: usize, count: i32, learningRate: f32,
): void {
  const rate = f32x4.splat(-learningRate);
  for (; count >= 4; count -= 4) {
    v128.store(
      parameters,
      multiplyAdd(rate, v128.load(gradients), v128.load(parameters)),
    );
    parameters += 16;
    gradients += 16;
  }
  for (; count > 0; count--) {
    store<f32>(parameters, load<f32>(parameters) - learningRate * load<f32>(gradients));
    parameters += 4;
    gradients += 4;
  }
}

/** velocity = momentum * velocity + gradient; parameter -= learningRate * velocity. */
export function momentumUpdate(
  parameters: usize, gradients: usize, velocities: usize, count: i32, learningRate: f32,
  momentum: f32,
): void {
  const rate = f32x4.splat(-learningRate), factor = f32x4.splat(momentum);
  for (; count >= 4; count -= 4) {
    const velocity = multiplyAdd(factor, v128.load(velocities), v128.load(gradients));
    v128.store(velocities, velocity);
    v128.store(parameters, multiplyAdd(rate, velocity, v128.load(parameters)));
    parameters += 16;
    gradients += 16;
    velocities += 16;
  }
  for (; count > 0; count--) {
    const velocity = momentum * load<f32>(velocities) + load<f32>(gradients);
    store<f32>(velocities, velocity);
    store<f32>(parameters, load<f32>(parameters) - learningRate * velocity);
    parameters += 4;
    gradients += 4;
    velocities += 4;
  }
}

/** Adam: mean and variance are running averages of the gradient and of its square; parameter -=
 * stepSize * mean / (sqrt(variance) * varianceScale + epsilon), where stepSize is the learning rate /
 * (1 - beta1^step) and varianceScale 1 / sqrt(1 - beta2^step).
 *
 * rest1 and rest2 are 1 - beta1 and 1 - beta2, rounded once: computed here, 1 - 0.999 would be off by
 * 2e-5.
 */
export function adamUpdate(
  parameters: usize, gradients: usize, means: usize, variances: usize, count: i32, stepSize: f32,
  beta1: f32, rest1: f32, beta2: f32, rest2: f32, varianceScale: f32, epsilon: f32,
): void {
  const keep1 = f32x4.splat(beta1), take1 = f32x4.splat(rest1);
  const keep2 = f32x4.splat(beta2), take2 = f32x4.splat(rest2);
  for (; count >= 4; count -= 4) {
    const gradient = v128.load(gradients);
    const mean = f32x4.add(f32x4.mul(keep1, v128.load(means)), f32x4.mul(take1, gradient));
    const variance = f32x4.add(
      f32x4.mul(keep2, v128.load(variances)),
      f32x4.mul(take2, f32x4.mul(gradient, gradient)),
    );
    v128.store(means, mean);
    v128.store(variances, variance);
    const deviation = f32x4.add(
      f32x4.mul(f32x4.sqrt(variance), f32x4.splat(varianceScale)),
      f32x4.splat(epsilon),
    );
    const change = f32x4.div(f32x4.mul(f32x4.splat(stepSize), mean), deviation);
    v128.store(parameters, f32x4.sub(v128.load(parameters), change));
    parameters += 16;
    gradients += 16;
    means += 16;
    variances += 16;
  }
  for (; count > 0; count--) {
    const gradient = load<f32>(gradients);
    const mean = beta1 * load<f32>(means) + rest1 * gradient;
    const variance = beta2 * load<f32>(variances) + rest2 * (gradient * gradient);
    store<f32>(means, mean);
    store<f32>(variances, variance);
    const deviation = Mathf.sqrt(variance) * varianceScale + epsilon;
    store<f32>(parameters, load<f32>(parameters) - stepSize * mean / deviation);
    parameters += 4;
    gradients += 4;
    means += 4;
    variances += 4;
  }
}

/** Writes zeros. */
export function fillZeros(address: usize, byteLength: usize): void {
  memory.fill(address, 0, byteLength);
}
