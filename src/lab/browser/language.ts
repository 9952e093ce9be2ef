/** The language of the page: the reader's, as far as there is a text for it. */

/// <reference lib="dom" />
import { computed, effect, signal } from "@preact/signals";
import { EN, type Texts } from "../texts/en.ts";
import { ZH } from "../texts/zh.ts";

/** Languages, by what they call themselves. */
export const LANGUAGES = { en: "English", zh: "中文" } as const;

/** One of them. */
export type Language = keyof typeof LANGUAGES;

const TEXTS: Readonly<Record<Language, Texts>> = { en: EN, zh: ZH };

/** Which one is read. */
export const language = signal<Language>(navigator.language.startsWith("zh") ? "zh" : "en");

/** The texts of the page. */
export const texts = computed(() => TEXTS[language.value]);

effect(() => {
  document.documentElement.lang = language.value;
  document.title = texts.value.title;
});
