/** The whole page. */

/// <reference lib="dom" />
import { Inside } from "./inside.tsx";
import { TakeHome } from "./home.tsx";
import { type Language, language, LANGUAGES, texts } from "./language.ts";
import { Mistakes } from "./mistakes.tsx";
import { NetworkCard } from "./network.tsx";
import { OwnPictures } from "./own.tsx";
import { tab, tourStop } from "./state.ts";
import { Tour } from "./tour.tsx";
import { DataCard, TrainingCard } from "./training.tsx";
import { CopyButton } from "./widgets.tsx";

const PANELS = { inside: Inside, mistakes: Mistakes, own: OwnPictures, home: TakeHome };

/** See the file. */
export function App() {
  const t = texts.value;
  return (
    <>
      <header class="top">
        <div>
          <h1>{t.title}</h1>
          <p class="soft">{t.lead} {t.privacy}</p>
        </div>
        <div class="row">
          <CopyButton label={t.link} text={() => location.href} />
          <button type="button" id="tour" onClick={() => tourStop.value = tourStop.value ?? 0}>
            {t.tour}
          </button>
          <select
            id="language"
            aria-label={t.language}
            value={language.value}
            onChange={({ currentTarget }) => language.value = currentTarget.value as Language}
          >
            {Object.entries(LANGUAGES).map(([code, name]) => (
              <option key={code} value={code} lang={code}>{name}</option>
            ))}
          </select>
        </div>
      </header>
      <main>
        <div class="column">
          <DataCard />
          <NetworkCard />
        </div>
        <div class="column">
          <TrainingCard />
        </div>
        <Results />
      </main>
      <Tour />
    </>
  );
}

function Results() {
  const t = texts.value;
  const Panel = PANELS[tab.value];
  const names = Object.keys(PANELS) as (keyof typeof PANELS)[];
  const move = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    const next = names[(names.indexOf(tab.value) + step + names.length) % names.length];
    tab.value = next;
    document.getElementById(`tab-${next}`)?.focus();
  };
  return (
    <section class="card results" id="results" aria-label={t[tab.value]}>
      <div class="row tabs" role="tablist" aria-label={t.title} onKeyDown={move}>
        {names.map((name) => (
          <button
            key={name}
            type="button"
            role="tab"
            id={`tab-${name}`}
            aria-selected={tab.value === name}
            aria-controls="panel"
            tabIndex={tab.value === name ? 0 : -1}
            onClick={() => tab.value = name}
          >
            {t[name]}
          </button>
        ))}
      </div>
      <div role="tabpanel" id="panel" aria-labelledby={`tab-${tab.value}`}>
        <Panel />
      </div>
    </section>
  );
}
