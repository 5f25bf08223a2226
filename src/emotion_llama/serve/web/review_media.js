// The clip: player, strip of action units with the peak, pictures of the peak.

import { el, sized, svg } from "./dom.js";
import { fileAddress } from "./review_api.js";

const WIDTH = 600;
const ROW = 26;
const HIGHEST = 5; // intensities are 0..5

let addresses = [];

async function address(kind, values) {
  const found = await fileAddress(kind, values);
  addresses.push(found);
  return found;
}

/** Files that were fetched for the last sample are let go. */
export function releaseMedia() {
  for (const one of addresses) if (one.startsWith("blob:")) URL.revokeObjectURL(one);
  addresses = [];
}

/** The player of a sample; gives the element that plays, or null. */
export async function showPlayer(root, sample) {
  const values = { clip_id: sample.clip_id };
  if (!sample.media && !sample.has_sound) {
    root.replaceChildren(el("p", { class: "unplayable" }, "The clip's media file is not there any more."));
    return null;
  }
  const kind = sample.media ?? "sound";
  const source = await address(sample.media ? "media" : "sound", values);
  const player = el(kind === "video" ? "video" : "audio", { src: source, controls: true, playsinline: true, preload: "auto" });
  const note = el("p", { class: "unplayable", hidden: true });
  player.addEventListener("error", async () => {
    // AVI, some MOV and Matroska: the sound that the build took out, and the pictures below, are still there.
    player.hidden = true;
    note.hidden = false;
    note.textContent = "This browser cannot play the clip. Its pictures are below.";
    if (sample.has_sound) note.append(el("audio", { controls: true, src: await address("sound", values) }));
  });
  root.replaceChildren(player, note);
  return player;
}

/** Curves of the strongest action units over the clip; a click goes there. */
export function showStrip(root, curves, sample, player) {
  root.replaceChildren();
  if (!curves.units.length) return;
  const end = sample.clip.duration_seconds || curves.pts_seconds.at(-1) || 1;
  const height = curves.units.length * ROW;
  const x = (seconds) => (seconds / end) * WIDTH;
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": "Action units over the clip" });
  curves.units.forEach((unit, row) => {
    const base = (row + 1) * ROW - 2;
    drawing.append(
      svg("line", { class: "base", x1: 0, x2: WIDTH, y1: base, y2: base }),
      ...stretches(unit, curves.pts_seconds).map((points) => area(points, x, base)),
    );
  });
  if (sample.peak) drawing.append(svg("line", { class: "peak-line", x1: x(sample.peak.pts_seconds), x2: x(sample.peak.pts_seconds), y1: 0, y2: height }));
  const head = svg("line", { class: "playhead", x1: 0, x2: 0, y1: 0, y2: height });
  drawing.append(head);
  const names = el("ul", { class: "names" }, curves.units.map((unit) => el("li", { title: unit.words }, el("b", {}, unit.name), ` ${unit.words}`)));
  const frame = el("div", { class: "curves" }, drawing);
  root.append(el("div", { class: "strip" }, names, frame));
  if (!player) return;
  frame.addEventListener("click", (event) => {
    const box = frame.getBoundingClientRect();
    player.currentTime = ((event.clientX - box.left) / box.width) * end;
  });
  const follow = () => {
    head.setAttribute("x1", x(player.currentTime));
    head.setAttribute("x2", x(player.currentTime));
  };
  player.addEventListener("timeupdate", follow);
  player.addEventListener("seeking", follow);
}

/** Runs of frames in which the face was seen. */
function stretches(unit, times) {
  const found = [[]];
  unit.intensity.forEach((value, index) => {
    if (value === null) found.push([]);
    else found.at(-1).push([times[index], value]);
  });
  return found.filter((points) => points.length > 1);
}

function area(points, x, base) {
  const height = (value) => base - (value / HIGHEST) * (ROW - 4);
  const top = points.map(([time, value]) => `${x(time).toFixed(1)},${height(value).toFixed(1)}`).join(" L");
  return svg("path", { class: "curve", d: `M${x(points[0][0]).toFixed(1)},${base} L${top} L${x(points.at(-1)[0]).toFixed(1)},${base}Z` });
}

/** The peak: its pictures, when, and the units that are strong there. */
export async function showPeak(root, sample, goToPeak) {
  const { peak } = sample;
  if (!peak && !sample.pictures.length) {
    root.replaceChildren(el("p", { class: "unplayable" }, "No peak frame was found in this clip."));
    return;
  }
  const words = { peak_frame: "The peak frame", face_crop: "The face in it" };
  // Their room is there before they are, so that nothing jumps.
  const sizes = { peak_frame: { width: sample.clip.width, height: sample.clip.height }, face_crop: { width: 1, height: 1 } };
  const pictures = await Promise.all(
    sample.pictures.map(async (name) => el("img", { class: name, alt: words[name], ...sizes[name], src: await address("picture", { clip_id: sample.clip_id, name }) })),
  );
  const units = (peak?.units ?? []).slice(0, 6).map((unit) =>
    el("li", {}, el("span", {}, el("b", {}, unit.name), ` ${unit.words}`), el("span", { class: "number" }, unit.intensity.toFixed(1)), sized(el("i", { class: "level" }), "width", `${(100 * unit.intensity) / HIGHEST}%`)),
  );
  const when = peak && el("button", { type: "button", class: "link", onclick: goToPeak, title: "Go there (G)" }, `Peak at ${peak.pts_seconds.toFixed(2)} s, frame ${peak.frame_index}`);
  const title = el("p", { class: "peak-title" }, when, peak && el("small", {}, peak.why));
  root.replaceChildren(el("div", { class: "pictures" }, pictures), title, el("ul", { class: "levels" }, units));
}
