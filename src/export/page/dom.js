// Elements, made and changed. Whatever comes from outside becomes a text node or an attribute's value, never markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element: properties by name, `on...` listeners, then children: nodes, texts, nothing, or lists of them. */
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** The same in a drawing. */
export function s(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(node, properties, children) {
  for (const [name, value] of Object.entries(properties)) set(node, name, value);
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Sets an attribute or a listener; nothing, or false, takes it away. */
export function set(node, name, value) {
  if (name.startsWith("on")) {
    node.addEventListener(name.slice(2), value);
  } else if (value === null || value === undefined || value === false) {
    node.removeAttribute(name);
  } else {
    const text = value === true ? "" : String(value);
    if (node.getAttribute(name) !== text) node.setAttribute(name, text);
  }
}

/** Changes a text only where it differs, so that what is read aloud, or selected, is not disturbed. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Makes these the children, leaving alone those that stand right. Focus stays on a child that stays. */
export function arrange(parent, children) {
  const wanted = new Set(children);
  for (const child of [...parent.childNodes]) if (!wanted.has(child)) child.remove();
  children.forEach((child, index) => {
    if (parent.childNodes[index] !== child) parent.insertBefore(child, parent.childNodes[index] ?? null);
  });
}

/** A name from the wire: whatever its script, it neither turns what stands beside it nor hides anything. */
export function name(text, properties = {}) {
  return h("bdi", properties, printable(text));
}

/** Control characters, and the invisible ones that reorder or hide text, written out. */
export function printable(text) {
  return String(text ?? "").replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Cn}]/gu, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);
}
