// The answer about a person, how sure it is, and what that may not be taken for; one model, or two side by side.

import { el, sized } from "./dom.js";
import { t } from "./i18n.js";
import { caveat, labelName, percent, personHeadline, personName, ranked } from "./wording.js";

/** A bar for each label, by falling probability; the dashed line is an even guess. */
export function bars(probabilities, chosen) {
  const ranking = ranked(probabilities);
  const even = `${100 / ranking.length}%`;
  return el(
    "figure",
    { class: "bars" },
    el("figcaption", { class: "label" }, ranking.length > 1 ? t("bars.title") : t("bars.alone")),
    sized(
      el("table", {}, el("tbody", {}, ranking.map(([label, share]) =>
        el("tr", { class: label === chosen ? "chosen" : null },
          el("th", { scope: "row" }, el("i", { class: `dot e-${label}`, "aria-hidden": "true" }), labelName(label)),
          el("td", { class: "track", "aria-hidden": "true" }, sized(el("span", { class: "bar" }), "width", `${100 * share}%`)),
          el("td", { class: "share" }, percent(share)))))),
      "--even", even),
  );
}

function answer(run, person, isFirst, isAlone) {
  if (run.error) return el("div", { class: "answer-column failed" }, isAlone ? null : el("p", { class: "kicker model-name" }, run.model), el("p", { class: "error" }, run.error));
  const about = personHeadline(person);
  return el(
    "div",
    { class: "answer-column" },
    isAlone ? null : el("p", { class: "kicker model-name" }, run.model),
    el(isFirst ? "h1" : "p", { class: about.label === null ? "verdict none" : "verdict" }, about.title),
    el("p", { class: "detail", lang: about.label === null && !about.probabilities ? "en" : null }, about.detail),
    about.probabilities === null ? null : el("p", { class: "caveat" }, caveat(run.model, run.isRules)),
    about.probabilities ? bars(about.probabilities, about.label) : null,
  );
}

function comparison(runs, people) {
  const labels = runs.map((run, i) => {
    if (run.error || !people[i]) return null;
    const { label, probabilities } = personHeadline(people[i]);
    return label ?? (probabilities ? "uncertain" : null);
  });
  const [first, second] = labels;
  if (first === null && second === null) return t("compare.none");
  if (first === null || second === null) return t("compare.one-answer");
  const values = { label: labelName(first), first: labelName(first), second: labelName(second), model: runs[0].model, other: runs[1].model };
  return t(first === second ? "compare.agree" : "compare.differ", values);
}

/** The panel beside the video. `people[i]` is the person in the document of `runs[i]`. */
export function verdict(runs, people) {
  const person = people.find(Boolean);
  const role = person.is_main ? t("person.main") : t("person.also");
  return el(
    "div",
    { class: runs.length > 1 ? "verdict-panel compared" : "verdict-panel" },
    el("p", { class: "kicker" }, `${personName(person)} · ${role}`),
    runs.length > 1 ? el("p", { class: "comparison" }, comparison(runs, people)) : null,
    el("div", { class: "answers" }, runs.map((run, i) => answer(run, people[i], i === 0, runs.length === 1))),
  );
}

/** One line for the strip at the top, which stays in view. */
export function strip(runs, people) {
  return runs.flatMap((run, i) => {
    if (run.error || !people[i]) return [];
    const about = personHeadline(people[i]);
    return [
      el("span", { class: "strip-item" },
        runs.length > 1 ? el("span", { class: "kicker" }, run.model) : null,
        about.label === null ? null : el("i", { class: `dot e-${about.label}` }),
        el("b", {}, about.title),
        about.label === null ? null : el("span", { class: "soft" }, t(run.isRules ? "strip.rules" : "strip.model"))),
    ];
  });
}
