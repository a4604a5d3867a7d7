// Small helpers to build and to change the page's elements.

/** Make an element: `h("p", {class: "hint", onclick: f}, "text", child)`. Text is never read as markup. */
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** A line drawing of 24 by 24 from path data. */
export function icon(path, name = "icon") {
  const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  fill(line, { d: path }, []);
  return fill(drawing, { viewBox: "0 0 24 24", class: name, "aria-hidden": "true" }, [line]);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Change an element's text only when it differs, so that a screen reader does not read it again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
