// The page's own words in two languages. What the server writes (reasons, cues) stays in the server's language.

let strings = {};
let english = {};

export const language = () => document.documentElement.lang;

async function load(code) {
  const answer = await fetch(`page/strings.${code}.json`);
  if (!answer.ok) throw new Error(`strings.${code}.json: ${answer.status}`);
  return answer.json();
}

/** Load and apply a language; "language" is sent to the window when everything is in place. */
export async function useLanguage(code) {
  [strings, english] = await Promise.all([load(code), code === "en" ? null : load("en")]);
  english ??= strings;
  document.documentElement.lang = code;
  try {
    localStorage.setItem("language", code);
  } catch {
    // The choice then lasts as long as the page.
  }
  translate(document);
  window.dispatchEvent(new Event("language"));
}

/** The words for `key`, with {name} replaced. A key that no language has is a mistake, and is told. */
export function t(key, values = {}) {
  const words = strings[key] ?? english[key];
  if (words === undefined) {
    console.error(`no words for ${key}`);
    return key;
  }
  if (typeof words !== "string") return words;
  return words.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** The words for `key` if there are any, else `otherwise`: names that may come from outside. */
export const tOr = (key, otherwise) => strings[key] ?? english[key] ?? otherwise;

/** Every element with data-i18n under `root`. */
export function translate(root) {
  for (const node of root.querySelectorAll("[data-i18n]")) node.textContent = t(node.dataset.i18n);
}
