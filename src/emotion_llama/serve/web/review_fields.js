// Fields of a sample: as they are, and as they are fixed.

import { el } from "./dom.js";

const LANGUAGES = { en: "English", zh: "Chinese" };
const CLUES = { supporting: "speaks for the label", misleading: "does not" };

/** What a review's fix says of a field, else what the build says. */
const current = (field, fixes) => (field.column in fixes ? fixes[field.column] : field.value);

function title(field) {
  const language = LANGUAGES[field.language];
  return el("h3", {}, field.title, language && el("small", {}, language));
}

const made = (field, isFixed) => el("p", { class: "maker" }, isFixed ? "fixed by you; was by " : "by ", field.maker);

function text(lines) {
  return lines.length > 1 ? el("ul", {}, lines.map((line) => el("li", {}, line))) : el("p", {}, lines[0]);
}

function clueLines(clues) {
  return Object.entries(CLUES).map(([side, words]) =>
    clues[side].length ? [el("p", { class: "side" }, words), text(clues[side])] : null,
  );
}

function reading(field, value, isFixed) {
  if (value === null) return el("p", { class: "missing" }, isFixed ? "taken away by you" : (field.why_missing ?? "there is none"));
  if (field.kind === "clues") return el("div", {}, clueLines(value));
  if (field.kind === null) return el("div", { class: "lines" }, field.lines.map((line) => el("p", {}, line)));
  return text(Array.isArray(value) ? value : [value]);
}

/** A field to read. */
export function showField(field, fixes = {}) {
  const isFixed = field.column in fixes;
  const value = field.kind === null ? (field.lines.length ? field.lines : null) : current(field, fixes);
  return el(
    "section",
    { class: `field ${field.column}${isFixed ? " fixed" : ""}`, lang: field.language === "zh" ? "zh" : null },
    title(field),
    reading(field, value, isFixed),
    made(field, isFixed),
  );
}

/** How sure, how strong, and what the rules would have said, of the lines of a label. */
function labelDetails(field) {
  const told = Object.fromEntries(field.lines.map((line) => line.split(": ", 2)));
  return [told.strength, told.confidence && `confidence ${told.confidence}`, told["by rules"] && `rules say ${told["by rules"]}`].filter(Boolean);
}

/** The big word of the label, and where it comes from. */
export function showLabel(field, fixes = {}) {
  const isFixed = "label" in fixes;
  const details = labelDetails(field);
  return el(
    "div",
    { class: `verdict${isFixed ? " fixed" : ""}` },
    el("p", { class: "kicker" }, "Label"),
    el("p", { class: "word" }, current(field, fixes) ?? "none", isFixed && el("small", {}, ` was ${field.value ?? "none"}`)),
    el("p", { class: "maker" }, [...details, field.why_missing, `by ${field.maker}`].filter(Boolean).join(" · ")),
  );
}

const rows = (value) => Math.min(14, Math.max(2, Math.ceil(value.length / 80), value.split("\n").length + 1));

function area(value, name, words) {
  const node = el("textarea", { rows: rows(value), "data-part": name, "aria-label": words, spellcheck: "true" });
  node.value = value;
  node.addEventListener("input", () => (node.rows = rows(node.value)));
  return node;
}

function input(field, value, labels) {
  if (field.kind === "label") {
    const choices = labels.map((label) => el("option", { value: label, selected: label === value }, label));
    return [
      el("select", { "data-part": "label", "aria-label": "label" }, value === null && el("option", { value: "", selected: true }, ""), choices),
      el("p", { class: "side" }, "With another label, clues and descriptions that do not come to it are left out of exports, unless you fix them too."),
    ];
  }
  if (field.kind === "clues") {
    return Object.entries(CLUES).map(([side, words]) => [
      el("p", { class: "side" }, `${words}, one a line`),
      area((value?.[side] ?? []).join("\n"), side, `${field.title}, ${words}`),
    ]);
  }
  const lines = Array.isArray(value) ? value.join("\n") : (value ?? "");
  return [field.kind === "phrases" && el("p", { class: "side" }, "one phrase a line"), area(lines, "text", field.title)];
}

/** A field to fix. */
export function editField(field, fixes, labels) {
  return el(
    "section",
    { class: `field editing ${field.column}`, "data-column": field.column, lang: field.language === "zh" ? "zh" : null },
    title(field),
    input(field, current(field, fixes), labels),
    made(field, false),
  );
}

const split = (value) => value.split("\n").map((line) => line.trim()).filter(Boolean);

function valueOf(field, node) {
  const part = (name) => node.querySelector(`[data-part="${name}"]`).value;
  if (field.kind === "label") return part("label") || null;
  if (field.kind === "clues") return { supporting: split(part("supporting")), misleading: split(part("misleading")) };
  if (field.kind === "phrases") return split(part("text"));
  return part("text").trim() || null;
}

const isEmpty = (value) => value === null || (Array.isArray(value) && !value.length) || (value.supporting && !value.supporting.length && !value.misleading.length);
const same = (one, other) => (isEmpty(one) && isEmpty(other)) || JSON.stringify(one) === JSON.stringify(other);

/** Fields whose inputs differ from what the build says: column -> value, null for what was emptied. */
export function readFixes(root, fields) {
  const fixes = {};
  for (const field of fields) {
    const node = root.querySelector(`[data-column="${field.column}"]`);
    if (!node) continue;
    const value = valueOf(field, node);
    if (!same(value, field.value)) fixes[field.column] = isEmpty(value) ? null : value;
  }
  return fixes;
}
