/** TensorFlow.js on its plain JavaScript backend. */

import * as tf from "@tensorflow/tfjs";

/** Makes that backend the active one, without the banner it greets Node users with. */
export async function useCpu(): Promise<void> {
  const backend = tf.findBackend("cpu") as unknown as { firstUse: boolean };
  backend.firstUse = false;
  await tf.setBackend("cpu");
}
