// What is being worked on, stage by stage, a list for each model.

import { el } from "./dom.js";
import { t, tOr } from "./i18n.js";

/** A list that grows as stages are heard of; the ones before the current stage are done. */
export function createStages(root, models) {
  const lists = models.map((model) => {
    const list = el("ul", { class: "stage-list" });
    root.append(el("li", {}, models.length > 1 ? el("p", { class: "kicker" }, model) : null, list));
    return { list, rows: new Map() };
  });

  function row(lane, stage) {
    const known = lane.rows.get(stage);
    if (known) return known;
    const bar = el("progress", { max: "1", "aria-label": tOr(`work.stage.${stage}`, stage) });
    const made = { item: el("li", {}, el("span", {}, tOr(`work.stage.${stage}`, stage)), bar), bar };
    lane.rows.set(stage, made);
    lane.list.append(made.item);
    return made;
  }

  return {
    /** `share` is 0..1; a stage that tells none runs without an end in sight. */
    progress(index, { stage, share }) {
      const lane = lists[index];
      const current = row(lane, stage);
      for (const { item, bar } of lane.rows.values()) {
        const isCurrent = item === current.item;
        item.classList.toggle("current", isCurrent);
        item.classList.toggle("done", !isCurrent);
        if (!isCurrent) bar.value = 1;
      }
      if (share > 0) current.bar.value = share;
      else current.bar.removeAttribute("value");
    },
    done(index) {
      for (const { item, bar } of lists[index].rows.values()) {
        item.classList.remove("current");
        item.classList.add("done");
        bar.value = 1;
      }
    },
    failed(index, message) {
      lists[index].list.append(el("li", { class: "error" }, message || t("error.title")));
    },
  };
}
