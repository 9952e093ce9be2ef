/** Bundling what names its packages as Deno does. */

import type { Plugin } from "npm:esbuild@0.28.2";

/** What package managers and bundlers write alike: `npm:name@version/path` is `name/path`. */
export const npmSpecifiers: Plugin = {
  name: "npm specifiers",
  setup(build) {
    build.onResolve({ filter: /^npm:/ }, ({ path, kind, resolveDir }) => {
      const bare = path.replace(/^npm:\/?(@?[^@]+)@[^/]+/, "$1");
      return build.resolve(bare, { kind, resolveDir });
    });
  },
};
