// Elements by hand: text is always text, never markup.

const SVG = "http://www.w3.org/2000/svg";

export const $ = (selector, root = document) => root.querySelector(selector);

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** An HTML element; attributes that begin with "on" are listeners, null ones are left out. */
export const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);

/** An SVG element. */
export const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** Show `message` in an element kept for it, or hide it where there is none. */
export function say(node, message) {
  node.hidden = !message;
  node.textContent = message ?? "";
}

/** Lengths go through the style object: the content policy forbids style attributes. */
export function sized(node, property, value) {
  node.style.setProperty(property, value);
  return node;
}

/** Whether keys typed here are text. */
export const isTyping = (node) => Boolean(node.closest?.("input:not([type=range]):not([type=checkbox]), textarea, select, [contenteditable]"));
