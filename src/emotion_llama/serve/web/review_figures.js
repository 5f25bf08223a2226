// Progress and agreement: what the reviews come to, each reviewer, each two of them.

import { el } from "./dom.js";

const OUTCOMES = {
  accepted: "accepted",
  fixed: "fixed",
  rejected: "rejected",
  disputed: "left out: as many reject as keep",
  "disputed label": "left out: disagreement on the label",
  none: "not yet reviewed",
};

const percent = (share) => (share === null ? "–" : `${Math.round(100 * share)} %`);
const number = (value, digits) => (value === null ? "–" : value.toFixed(digits).replace("-", "−"));

function table(caption, header, rows) {
  const head = el("thead", {}, el("tr", {}, header.map((name) => el("th", { scope: "col" }, name))));
  const body = rows.map(([first, ...rest]) => el("tr", {}, el("th", { scope: "row" }, first), rest.map((cell) => el("td", {}, String(cell)))));
  return el("div", { class: "scrolls" }, el("table", {}, el("caption", {}, caption), head, el("tbody", {}, body)));
}

/** The dialog's content. */
export function showFigures(root, figures) {
  const outcomes = Object.entries(OUTCOMES).filter(([name]) => figures.outcomes[name]);
  const fixed = Object.entries(figures.fixed_fields).map(([name, count]) => `${name} ${count}`).join(", ");
  root.replaceChildren(
    el("h2", {}, `${figures.reviewed} of ${figures.samples} samples reviewed`),
    el("ul", { class: "outcomes" }, outcomes.map(([name, words]) => el("li", {}, el("b", {}, String(figures.outcomes[name])), ` ${words}`))),
    el("p", { class: "soft" }, [
      fixed && `Fixed fields: ${fixed}. `,
      figures.disputed_texts > 0 && `Texts fixed in different ways: ${figures.disputed_texts}; the newest is used. `,
      figures.out_of_date > 0 && `Reviews of an earlier state of their sample, not used: ${figures.out_of_date}. `,
      "An export keeps a sample when more reviewers keep it than reject it, with the label that most of these stand for.",
    ]),
    table(
      "Reviewers",
      ["Name", "Reviewed", "Accepted", "Fixed", "Rejected", "Stars"],
      figures.reviewers.map((r) => [r.reviewer, r.reviewed, r.accepted, r.fixed, r.rejected, number(r.mean_stars, 1)]),
    ),
    figures.pairs.length
      ? table(
          "Two reviewers on the same samples",
          ["Names", "Both", "Same decision", "Kappa", "Both keep", "Same label", "Kappa"],
          figures.pairs.map((p) => [
            `${p.first}, ${p.second}`, p.decisions.compared, percent(p.decisions.equal), number(p.decisions.kappa, 2),
            p.labels.compared, percent(p.labels.equal), number(p.labels.kappa, 2),
          ]),
        )
      : el("p", { class: "soft" }, "Agreement is shown once two reviewers have seen the same sample."),
    el("p", { class: "soft" }, "Kappa (Cohen) is 0 for what chance alone gives and 1 for full agreement; – where it cannot be told."),
  );
}
