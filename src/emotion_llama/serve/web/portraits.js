// The face at the peak frame: with its mesh out of the server's report, or plain out of the video in this browser.

import { el, svg } from "./dom.js";
import { indexAt } from "./curves.js";

const SHAPES = new Set(["svg", "g", "path", "line", "circle", "text", "title", "tspan"]);
const PLAIN = new Set(["viewBox", "class", "transform", "d", "x", "y", "x1", "y1", "x2", "y2", "cx", "cy", "r", "font-size", "text-anchor", "aria-hidden"]);

/** Shapes only, with geometry and classes only, whatever the source holds. */
function copied(node) {
  if (node.nodeType === Node.TEXT_NODE) return node.data;
  if (node.nodeType !== Node.ELEMENT_NODE || !SHAPES.has(node.localName)) return null;
  const attributes = Object.fromEntries([...node.attributes].filter((a) => PLAIN.has(a.name)).map((a) => [a.name, a.value]));
  return svg(node.localName, attributes, ...[...node.childNodes].map(copied));
}

/** One portrait of a report as text. Only it is parsed: the page as a whole has styles that our policy forbids. */
function portraitMarkup(html, personId, segment) {
  const mark = html.indexOf(`id="show-mesh-${personId}-${segment}"`);
  const start = mark < 0 ? -1 : html.indexOf('<div class="portrait"', mark);
  const end = start < 0 ? -1 : html.indexOf("</div>", start);
  return end < 0 ? null : html.slice(start, end);
}

/** Reader of the portraits in a report: (person_id, index of the segment, description) -> element or null. */
export function portraitsOf(html) {
  if (!html) return () => null;
  return (personId, segment, alt) => {
    const markup = portraitMarkup(html, personId, segment);
    if (markup === null) return null;
    const box = new DOMParser().parseFromString(markup, "text/html").body;
    const picture = box.querySelector("img");
    const source = picture?.getAttribute("src") ?? "";
    if (!source.startsWith("data:image/")) return null;
    const image = el("img", { src: source, alt, width: picture.getAttribute("width"), height: picture.getAttribute("height") });
    const overlay = box.querySelector("svg");
    return el("div", { class: "portrait" }, image, overlay ? copied(overlay) : null);
  };
}

/** The face at a time, cut out of the clip by this browser; null where it cannot. */
export async function faceFromVideo(url, face, seconds, margin = 0.35) {
  const box = face?.curves?.boxes_xyxy[indexAt(face.curves.pts_seconds, seconds)];
  if (!box) return null;
  const video = el("video", { muted: true, playsinline: true, preload: "auto" });
  try {
    await new Promise((resolve, reject) => {
      video.addEventListener("seeked", resolve, { once: true });
      video.addEventListener("error", reject, { once: true });
      setTimeout(reject, 4000);
      video.addEventListener("loadedmetadata", () => (video.currentTime = seconds), { once: true });
      video.src = url;
    });
  } catch {
    video.removeAttribute("src"); // or a busy browser decodes on for nobody
    video.load();
    return null;
  }
  const scale = video.videoWidth / face.frame_size[0];
  const [x1, y1, x2, y2] = box.map((v) => v * scale);
  const side = Math.max(x2 - x1, y2 - y1) * (1 + 2 * margin);
  const canvas = el("canvas", { width: 320, height: 320 });
  canvas.getContext("2d").drawImage(video, (x1 + x2 - side) / 2, (y1 + y2 - side) / 2, side, side, 0, 0, 320, 320);
  video.removeAttribute("src");
  video.load();
  return canvas;
}
