// Numbers in words: the same sentences and thresholds as the HTML report and the terminal. Pure functions.

import { t, tOr } from "./i18n.js";

const NBSP = "\u00a0";
// Distance between the two largest probabilities -> words; the report's own table.
const LEADS = [[0.3, "lead.clear"], [0.1, "lead.moderate"], [0, "lead.close"]];

/** 0.714 -> "71 %"; a small share is not rounded to nothing: 0.004 -> "<1 %". */
export function percent(share) {
  if (share > 0 && share < 0.005) return `<1${NBSP}%`;
  if (share >= 0.995 && share < 1) return `>99${NBSP}%`;
  return `${Math.floor(100 * share + 0.5)}${NBSP}%`;
}

const two = (number) => String(number).padStart(2, "0");

/** A point in time: "4.25 s" within the first minute, then "2:05.3" and "1:02:05". */
export function clock(seconds) {
  if (seconds < 59.995) return `${seconds.toFixed(2)}${NBSP}s`;
  if (seconds < 3599.95) {
    const tenths = Math.floor(seconds * 10 + 0.5);
    return `${Math.floor(tenths / 600)}:${two(Math.floor(tenths / 10) % 60)}.${tenths % 10}`;
  }
  const whole = Math.floor(seconds + 0.5);
  return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

/** A stretch of time: "1.20 – 4.25 s". */
export function span(start, end) {
  const [from, to] = [clock(start), clock(end)];
  const unit = `${NBSP}s`;
  return `${to.endsWith(unit) && from.endsWith(unit) ? from.slice(0, -unit.length) : from} – ${to}`;
}

/** A length for people: "10 min", "45 s", "4 h". */
export function length(seconds) {
  if (seconds >= 3600) return `${Number((seconds / 3600).toFixed(1))}${NBSP}h`;
  if (seconds >= 60) return `${Number((seconds / 60).toFixed(1))}${NBSP}min`;
  return `${Number(seconds.toFixed(1))}${NBSP}s`;
}

export function bytes(count) {
  if (count >= 2 ** 20) return `${(count / 2 ** 20).toFixed(count >= 10 * 2 ** 20 ? 0 : 1)}${NBSP}MiB`;
  return `${Math.max(1, Math.round(count / 1024))}${NBSP}KiB`;
}

/** A measured number with a true minus sign. */
export const figure = (value, decimals = 1) => value.toFixed(decimals).replace(/^-(0\.?0*)$/, "$1").replace("-", "−");

export const signed = (value) => (value >= 0 ? "+" : "−") + Math.abs(value).toFixed(1);

export const sentence = (text) => {
  const bare = text.trim();
  if (!bare) return "";
  return bare[0].toUpperCase() + bare.slice(1) + (/[.!?…]$/.test(bare) ? "" : ".");
};

export const labelName = (label) => tOr(`label.${label}`, label);

/** [label, probability] by falling probability; equal ones keep their order. */
export const ranked = (probabilities) => Object.entries(probabilities ?? {}).sort((a, b) => b[1] - a[1]);

export function lead(ranking) {
  if (ranking.length < 2) return null;
  const distance = ranking[0][1] - ranking[1][1];
  return LEADS.find(([least]) => distance >= least)[1];
}

/** Mean of the segments' probabilities, weighted by length, of those with a label where there are any; null without. */
export function meanProbabilities(segments) {
  const withShares = segments.filter((s) => s.prediction.probabilities !== null);
  const labelled = withShares.filter((s) => s.prediction.label !== null);
  const answered = labelled.length ? labelled : withShares;
  const total = answered.reduce((sum, s) => sum + s.end_seconds - s.start_seconds, 0);
  if (!answered.length || total <= 0) return null;
  const mean = {};
  for (const segment of answered) {
    const share = (segment.end_seconds - segment.start_seconds) / total;
    for (const [label, value] of Object.entries(segment.prediction.probabilities)) mean[label] = (mean[label] ?? 0) + share * value;
  }
  return mean;
}

function ahead(label, ranking) {
  const others = ranking.filter(([name]) => name !== label);
  if (!others.length) return t("result.only");
  const [name, share] = others[0];
  const values = { label: labelName(name), percent: percent(share) };
  if (ranking[0][0] !== label) return t("result.not-first", values);
  return t("result.next", { ...values, lead: t(lead(ranking)) });
}

/** "Likeliest are happy 31 %, sad 20 %, surprise 12 %": the three most probable labels. */
const likeliest = (probabilities) =>
  t("result.likeliest", { list: ranked(probabilities).slice(0, 3).map(([label, share]) => `${labelName(label)} ${percent(share)}`).join(t("result.comma")) });

/** What of the clip is unlike all that the model learned from. */
const unfamiliar = (parts) => t("result.unfamiliar", { list: parts.map((part) => tOr(`part.${part.what}`, part.what)).join(t("result.comma")) });

/** {title, detail, label, probabilities} of one segment's answer. A guess about what is out of domain has no percentage. */
export function headline(prediction) {
  const { label, probabilities } = prediction;
  if (prediction.is_uncertain) return { title: t("result.uncertain"), detail: `${likeliest(probabilities)} ${t("result.ambiguous")}`, label, probabilities };
  if (label !== null && prediction.out_of_domain?.length)
    return { title: t("result.guess", { label: labelName(label) }), detail: unfamiliar(prediction.out_of_domain), label, probabilities };
  if (label === null) return { title: t("result.no-answer"), detail: sentence(prediction.problem ?? ""), label, probabilities: null };
  const name = labelName(label);
  const share = probabilities?.[label];
  if (share === undefined) return { title: t("result.reads", { label: name }), detail: t("result.no-probability"), label, probabilities: null };
  return { title: t("result.reads-percent", { label: name, percent: percent(share) }), detail: ahead(label, ranked(probabilities)), label, probabilities };
}

/** The same about a person: the segment's own, or the mean over several. */
export function personHeadline(person) {
  const { segments } = person;
  const nothing = (detail) => ({ title: t("result.no-answer"), detail, label: null, probabilities: null });
  if (!segments.length) return nothing(t("result.no-segments"));
  if (segments.length === 1) return headline(segments[0].prediction);
  const uncertain = segments.filter((s) => s.prediction.is_uncertain).length;
  const unanswered = segments.filter((s) => s.prediction.label === null).length - uncertain;
  const probabilities = meanProbabilities(segments);
  if (probabilities === null) {
    const problem = segments.find((s) => s.prediction.problem)?.prediction.problem;
    return nothing(problem ? sentence(problem) : t("result.no-probabilities"));
  }
  const ranking = ranked(probabilities);
  const [label, share] = ranking[0];
  const rest = [];
  if (uncertain) rest.push(t("result.some-uncertain", { uncertain, count: segments.length }));
  if (unanswered) rest.push(t("result.unanswered", { unanswered, count: segments.length }));
  if (uncertain + unanswered === segments.length)
    return { title: t("result.uncertain"), detail: [likeliest(probabilities), ...rest].join(" "), label: null, probabilities };
  const strange = segments.find((s) => s.prediction.out_of_domain?.length)?.prediction.out_of_domain;
  if (strange) return { title: t("result.guess", { label: labelName(label) }), detail: [unfamiliar(strange), ...rest].join(" "), label, probabilities };
  const labelled = segments.length - unanswered - uncertain;
  const parts = [t(labelled === 1 ? "result.one" : "result.mean", { count: labelled }), ahead(label, ranking), ...rest];
  return { title: t("result.mostly", { label: labelName(label), percent: percent(share) }), detail: parts.join(" "), label, probabilities };
}

export const caveat = (model, isRules) =>
  isRules ? t("caveat.rules") : model === "nano" ? t("caveat.nano") : t("caveat.model", { model });

/** What the person is called: "Person 1", or what there is of somebody unseen. */
export function personName(person) {
  const evidence = person.segments.map((segment) => segment.evidence);
  if (person.face !== null || evidence.some((e) => e.action_units !== null)) return t("person.name", { id: person.person_id });
  return evidence.some((e) => e.prosody !== null || e.transcript !== null) ? t("person.voice") : t("person.nobody");
}

/** Index of the most telling segment: with a face before those without, then by probability. */
export function leadSegment(segments) {
  const worth = ({ prediction, evidence }) => (evidence.peak_frame ? 2 : 0) + (prediction.probabilities?.[prediction.label] ?? 0);
  let best = 0;
  segments.forEach((segment, index) => {
    if (worth(segment) > worth(segments[best])) best = index;
  });
  return best;
}

/** Index of the segment at a time: the last that has begun. */
export function segmentAt(segments, seconds) {
  let found = 0;
  segments.forEach((segment, index) => {
    if (segment.start_seconds <= seconds + 1e-6) found = index;
  });
  return found;
}

/** "happy +1.9, sad −0.9" by falling size; those that round to zero are left out. */
export const weightsInWords = (weights) =>
  Object.entries(weights)
    .filter(([, value]) => Math.abs(value) >= 0.05)
    .sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]))
    .map(([label, value]) => `${labelName(label)}${NBSP}${signed(value)}`)
    .join(", ");
