/** What a model's page adds to the style of all pages. */

/** CSS for {@linkcode htmlPage}. */
export const MODEL_PAGE_STYLE = `
body { max-width: 54rem; }
main { display: grid; gap: 1.5rem 2.5rem; grid-template-columns: minmax(0, 1fr); margin-top: 1rem; }
@media (min-width: 46rem) { main { grid-template-columns: minmax(0, 24rem) minmax(0, 1fr); } }
h2 { margin: 0 0 .5rem; font-size: 1rem; color: var(--soft); font-weight: 600; }
[hidden] { display: none !important; }
.board { position: relative; border-radius: 12px; overflow: hidden; border: 1px solid var(--line); }
.board canvas { display: block; width: 100%; height: auto; touch-action: none; cursor: crosshair;
  user-select: none; -webkit-user-select: none; -webkit-touch-callout: none; }
.board:has(canvas:focus-visible) { outline: 3px solid var(--accent); outline-offset: 2px; }
.board canvas:focus { outline: none; }
#cursor { position: absolute; width: 18px; height: 18px; margin: -9px; border-radius: 50%;
  border: 3px solid #4aa8dd; pointer-events: none; } #cursor.down { background: #4aa8dd; }
.dropping .board { outline: 3px dashed var(--accent); outline-offset: 2px; }
.controls { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; margin: .75rem 0 .5rem; }
button, select, .button { font: inherit; color: var(--ink); background: var(--card); cursor: pointer;
  border: 1px solid var(--edge); border-radius: 8px; padding: .5rem .8rem; min-height: 2.75rem;
  display: inline-flex; align-items: center; }
button:hover, select:hover, .button:hover { border-color: var(--accent); }
button:focus-visible, select:focus-visible, .button:focus-within {
  outline: 3px solid var(--accent); outline-offset: 2px; }
.button { position: relative; } .button input { position: absolute; inset: 0; opacity: 0; width: 100%;
  cursor: pointer; font-size: 0; }
.aside, .hidden-text { font-size: .875rem; }
.hidden-text { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap; }
.result { display: flex; gap: 1rem; align-items: center; margin-bottom: 1rem; }
#seen { width: 84px; height: 84px; object-fit: contain; background: #000; border-radius: 6px; flex: none;
  image-rendering: pixelated; border: 1px solid var(--line); }
#answer { font-size: 2rem; line-height: 1.15; font-weight: 700; margin: 0; overflow-wrap: anywhere; }
.bars { list-style: none; margin: 0; padding: 0; }
.bars li { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 0 1rem; padding: .25rem 0; }
.bars bdi { overflow-wrap: anywhere; } .bars data { font-variant-numeric: tabular-nums; }
.bars.empty bdi { color: var(--soft); }
.track { grid-column: 1 / -1; height: 8px; border-radius: 4px; background: var(--card);
  box-shadow: inset 0 0 0 1px var(--line); overflow: hidden; }
.bar { height: 100%; background: var(--accent); border-radius: 4px; }
.bars li:first-child bdi, .bars li:first-child data { font-weight: 600; }
.bars.empty li:first-child bdi { font-weight: 400; }
#engine-note { display: block; }
footer { margin-top: 2rem; padding-top: 1rem; border-top: 1px solid var(--line); }
:root { --edge: #7a838d; } @media (prefers-color-scheme: dark) { :root { --edge: #7d8792; } }
@media (pointer: coarse) { #board-help { display: none; } }
@media (max-width: 30rem) { h1 { font-size: 1.25rem; } main { margin-top: .5rem; gap: 1rem; }
  #board-title { position: absolute; clip-path: inset(50%); } .controls { margin-bottom: 0; }
  button, select, .button { padding: .5rem .65rem; } footer .facts { grid-template-columns: 1fr; gap: 0; }
  footer .facts dd { margin-bottom: .5rem; } }
@media (forced-colors: active) { .bar { background: CanvasText; } }
`;
