/** The lab's page. */

/// <reference lib="dom" />
import { render } from "preact";
import { App } from "./app.tsx";
import { begin } from "./state.ts";

render(<App />, document.getElementById("lab")!);
void begin();
