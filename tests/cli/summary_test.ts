import { assertEquals, assertStringIncludes } from "../assert.ts";
import { canRunCommands, linesOf, runTask } from "./command.ts";

const ignore = !canRunCommands();

Deno.test({
  name: "summary: the table of LeNet ends with the lesson's totals",
  ignore,
  async fn() {
    const { code, stdout, stderr } = await runTask("summary", []);
    assertEquals([code, stderr], [0, ""]);
    const rows = linesOf(stdout).slice(3, 17);
    assertStringIncludes(rows[1], "conv1  conv2d     5x5, padding 2  6x28x28      156  117,600");
    assertEquals(rows[13].split(/\s+/), ["total", "61,706", "416,520", "1,131,960"]);
    assertEquals(linesOf(stdout).filter((line) => line.length > 80), []);
    assertStringIncludes(stdout, "(2.264 MFLOP)");
  },
});

Deno.test({
  name: "summary: --json is one object, --model another model, and mistakes end with 2",
  ignore,
  async fn() {
    const [json, wrong] = await Promise.all([
      runTask("summary", ["--model", "mlp", "--json"]),
      runTask("summary", ["--model", "mpl"]),
    ]);
    assertEquals([json.code, json.stderr], [0, ""]);
    const { name, layers, total } = JSON.parse(json.stdout);
    assertEquals([name, layers.length, total.parameters], ["mlp", 4, 203_530]);
    assertEquals(wrong, {
      code: 2,
      stdout: "",
      stderr: 'error: Invalid --model "mpl": expected one of lenet, lenet-d2l, lenet-relu, mlp, ' +
        "softmax; did you mean mlp?\n",
    });
  },
});
