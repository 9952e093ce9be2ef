import type { TensorInfo } from "npm:@tensorflow/tfjs-core@4.22.0";
import type { WorkspaceKernel } from "./workspace.ts";

const TO_CHANNELS_LAST = [0, 2, 3, 1];
const TO_CHANNELS_FIRST = [0, 3, 1, 2];

/** Attributes of a kernel that may be called with channels first. */
interface Layout {
  dataFormat?: string;
  pad?: unknown;
  inputShape?: number[];
}

/** Makes a kernel for NHWC one for NCHW too, through transposed images; the filter is HWIO in both.
 *
 * @param images The names of the inputs that are images, or of an image's gradient.
 * @param yieldsImages Whether the output is images too.
 */
export function eitherLayout<InputNames extends string, Attrs extends object>(
  kernel: WorkspaceKernel<InputNames, Attrs>,
  images: readonly InputNames[],
  yieldsImages = true,
): WorkspaceKernel<InputNames, Attrs & Layout> {
  return (workspace, inputs, attrs) => {
    if (attrs.dataFormat !== "NCHW") return kernel(workspace, inputs, attrs);
    const channelsLast: Record<InputNames, TensorInfo> = { ...inputs };
    for (const name of images) {
      channelsLast[name] = workspace.transpose(inputs[name], TO_CHANNELS_LAST);
    }
    // What broadcasts over an output [batch, channels, height, width].
    for (const name of ["bias", "preluActivationWeights"] as InputNames[]) {
      const operand = inputs[name];
      if (operand && operand.shape.length > 1) {
        const shape = [...Array(4 - operand.shape.length).fill(1), ...operand.shape];
        channelsLast[name] = workspace.transpose(
          workspace.reshape(operand, shape),
          TO_CHANNELS_LAST,
        );
      }
    }
    const lastOf = <T>(byAxis: T[]) => TO_CHANNELS_LAST.map((axis) => byAxis[axis]);
    const { pad, inputShape } = attrs;
    const output = kernel(workspace, channelsLast, {
      ...attrs,
      dataFormat: "NHWC",
      ...(Array.isArray(pad) && { pad: lastOf(pad) }),
      ...(inputShape && { inputShape: lastOf(inputShape) }),
    }) as TensorInfo;
    return yieldsImages ? workspace.transpose(output, TO_CHANNELS_FIRST) : output;
  };
}
