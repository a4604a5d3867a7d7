// Small helpers to build and to change the page's elements.

/** Make an element: `h("p", {class: "hint", onclick: f}, "text", child)`. Text is never read as markup. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  assign(element, properties);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** The same for a drawing. */
export function svg(tag, properties = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  assign(element, properties);
  element.append(...children);
  return element;
}

function assign(element, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
}

/** Change an element's text only when it differs, so that a screen reader does not read it again. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** `79100000001` as `+7 910 000-00-01`; other lengths as they are. */
export function spaced(msisdn) {
  const found = /^(\d)(\d{3})(\d{3})(\d{2})(\d{2})$/.exec(msisdn);
  return found ? `+${found[1]} ${found[2]} ${found[3]}-${found[4]}-${found[5]}` : `+${msisdn}`;
}
