/** Self-contained HTML pages in which nothing from outside can become markup. */

/** Markup that is known to be safe; any other value is escaped. */
export class Html {
  /** The markup itself. */
  readonly markup: string;

  /** Vouches for markup; use {@linkcode html} to make it from values. */
  constructor(markup: string) {
    this.markup = markup;
  }
}

/** What a template can hold: text and numbers are escaped, lists are joined, `undefined` is nothing. */
export type Fragment = Html | string | number | undefined | readonly Fragment[];

/** A template for markup, whose values are escaped unless they are markup themselves.
 *
 * Attribute values must stand in double quotes.
 *
 * @example
 * ```ts
 * import { html } from "./html.ts";
 *
 * console.log(html`<b title="${'"'}">${"<i>"}</b>`.markup); // <b title="&quot;">&lt;i&gt;</b>
 * ```
 */
export function html(strings: TemplateStringsArray, ...values: readonly Fragment[]): Html {
  return new Html(
    strings.map((text, index) => index === 0 ? text : render(values[index - 1]) + text).join(""),
  );
}

/** Text as it must stand in HTML, between tags or in a quoted attribute. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character]);
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function render(value: Fragment): string {
  if (value === undefined) return "";
  if (value instanceof Html) return value.markup;
  if (Array.isArray(value)) return value.map(render).join("");
  return escapeHtml(String(value));
}

/** A table; the first cell of a row is its name, and a cell of many words may take several lines.
 *
 * @param label Says to a screen reader what it shows.
 * @param numbers Column from which cells are numbers; default 1.
 */
export function htmlTable(
  label: string,
  { header, rows, numbers = 1 }: {
    readonly header: readonly string[];
    readonly rows: readonly (readonly string[])[];
    readonly numbers?: number;
  },
): Html {
  const kind = (cell: string, n: number) => n < numbers ? "" : cell.length > 24 ? "text" : "n";
  const head = header.map((text, n) =>
    html`<th scope="col" class="${n < numbers ? "" : "n"}">${text}</th>`
  );
  const body = rows.map(([name, ...cells]) =>
    html`<tr><th scope="row">${name}</th>${
      cells.map((cell, n) => html`<td class="${kind(cell, n + 1)}">${cell}</td>`)
    }</tr>`
  );
  return html`
    <div class="scroll" tabindex="0" role="region" aria-label="${label}">
      <table>
        <thead>
          <tr>${head}</tr>
        </thead>
        <tbody>${body}</tbody>
      </table>
    </div>
  `;
}

/** A part of a page, with its title. */
export function htmlSection(title: string, ...content: readonly Fragment[]): Html {
  return html`<section><h2>${title}</h2>${content}</section>`;
}

/** A paragraph that explains, in a soft colour. */
export function htmlNote(text: string): Html {
  return html`<p class="soft">${text}</p>`;
}

/** What something is called, and what it is; nothing is shown of one that is undefined. */
export type Fact = readonly [name: string, value: string | undefined];

function known(facts: readonly Fact[]): readonly Fact[] {
  return facts.filter(([, value]) => value !== undefined);
}

/** Facts in two columns.
 *
 * @param more Pairs of `dt` and `dd` behind them.
 */
export function htmlFacts(facts: readonly Fact[], more?: Html): Html {
  const items = known(facts).map(([name, value]) =>
    html`
      <dt>${name}</dt>
      <dd>${value}</dd>
    `
  );
  return html`<dl class="facts">${items}${more}</dl>`;
}

/** The few numbers that say most, large, each with its name below. */
export function htmlTiles(facts: readonly Fact[]): Html {
  const tiles = known(facts).map(([name, value]) =>
    html`<div class="tile"><b>${value}</b>${name}</div>`
  );
  return html`<div class="tiles">${tiles}</div>`;
}

/** A whole page, light or dark as the reader's system is, that loads nothing and by default runs nothing.
 *
 * @param style CSS after that of all pages.
 * @param scriptPolicy What may run, as a Content Security Policy names it.
 */
export function htmlPage(
  title: string,
  body: Html,
  { style = "", scriptPolicy = "'none'" }: {
    readonly style?: string;
    readonly scriptPolicy?: string;
  } = {},
): string {
  return html`
    <!DOCTYPE html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <meta http-equiv="Content-Security-Policy" content="${POLICY}; script-src ${scriptPolicy}">
        <title>${title}</title>
        <style>${new Html(STYLE + style)}</style>
      </head>
      <body>
    ${body}
      </body>
    </html>
  `.markup.trimStart();
}

/** A second line of defence: even markup that slipped in could neither run nor reach anything. */
const POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; " +
  "base-uri 'none'; form-action 'none'";

/** The chart library writes colours as attributes, over which these rules take precedence. */
const STYLE = `
:root { --ink: #1b1f24; --soft: #59636e; --line: #d9dee3; --paper: #ffffff; --card: #f5f7f9;
  --accent: #0072b2; --warn: #fff4d6; --warn-line: #b7791f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --soft: #a3abb5; --line: #3a414a;
  --paper: #15181c; --card: #1e2228; --accent: #4aa8dd; --warn: #3a2f14; --warn-line: #d9a441; }
  .chart [stroke="#0072B2"] { stroke: #4aa8dd; } .chart [fill="#0072B2"] { fill: #4aa8dd; }
  .chart [stroke="#D55E00"] { stroke: #f0883e; } .chart [fill="#D55E00"] { fill: #f0883e; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 62rem; color: var(--ink); background: var(--paper);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.2; margin: .5rem 0 .25rem; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .4rem; }
h3 { font-size: 1rem; margin: 1.1rem 0 .3rem; font-weight: 600; }
h1, h2, h3, p, dd, figcaption { overflow-wrap: anywhere; }
p { margin: .3rem 0 .7rem; } .soft { color: var(--soft); }
.notice { background: var(--warn); border-left: 4px solid var(--warn-line); padding: .6rem .8rem;
  border-radius: 4px; }
.tiles { margin-top: .9rem; } .tiles, .gallery, .charts { display: flex; flex-wrap: wrap; gap: .75rem; }
.tile { background: var(--card); border-radius: 8px; padding: .6rem .9rem; min-width: 8.5rem;
  flex: 1 1 8.5rem; }
.tile b { display: block; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
.chart { flex: 1 1 20rem; min-width: 0; max-width: 30rem; }
.chart svg { display: block; width: 100%; height: auto; }
.chart text { fill: var(--ink); font-family: inherit; }
.chart .role-axis-grid line { stroke: var(--line); }
.chart .role-axis line { stroke: var(--line); }
.chart .role-frame > g > path.background { stroke: var(--line); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .25rem .55rem; text-align: left; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th { font-weight: 600; } tbody th { font-weight: 400; }
td.n, th.n { text-align: right; } td.text { white-space: normal; min-width: 16rem; }
.matrix td { text-align: center; padding: .25rem .35rem; min-width: 2.4rem;
  background: color-mix(in srgb, var(--accent) calc(var(--share) * 55%), transparent); }
.matrix td.right { font-weight: 600; } .matrix thead th { text-align: center; }
figure { margin: 0; } figcaption { font-size: .8rem; line-height: 1.3; margin-top: .25rem; }
img { display: block; image-rendering: pixelated; border: 1px solid var(--line); }
.wrong figure { width: 6.6rem; } .wrong img { width: 100%; height: auto; }
.maps { gap: .35rem; }
.facts { display: grid; grid-template-columns: minmax(7rem, max-content) 1fr; gap: .2rem 1rem;
  margin: 0; font-size: .9rem; }
.facts dt { color: var(--soft); } .facts dd { margin: 0; }
`;
