// Keys to touch: the pad for digits, and a keyboard for texts. Both only tell which key was touched.

import { h, icon } from "./dom.js";
import { language, word } from "./words.js";

const BACKSPACE = "M9 6h11v12H9l-6-6zM12.5 9.5l5 5m0-5l-5 5";
const ROWS = {
  ru: ["1234567890", "йцукенгшщзх", "фывапролджэ", "ячсмитьбюъё"],
  en: ["1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm"],
};

/** Ten digits, clear and erase; `press` gets a digit, "clear" or "erase". */
export function digitPad(press) {
  const key = (name, content, label) =>
    h("button", { type: "button", class: "key", "data-key": name, "aria-label": label, onclick: () => press(name) }, content);
  return h("div", { class: "pad", role: "group", "aria-label": word("pad") },
    [..."123456789"].map((digit) => key(digit, digit)),
    h("button", { type: "button", class: "key quiet", "data-key": "clear", onclick: () => press("clear") }, word("clear")),
    key("0", "0"),
    h("button", { type: "button", class: "key quiet", "data-key": "erase", "aria-label": word("erase"), onclick: () => press("erase") },
      icon(BACKSPACE)));
}

/** Letters of the page's language (and of the other one behind a key), digits, space; `press` as above. */
export function keyboard(press) {
  const board = h("div", { class: "keyboard", role: "group", "aria-label": word("keyboard") });
  let letters = language();

  function draw() {
    const rows = ROWS[letters].map((row) =>
      h("div", { class: "row" }, [...row].map((letter) =>
        h("button", { type: "button", class: "key", onclick: () => press(letter) }, letter))));
    const last = h("div", { class: "row" },
      h("button", { type: "button", class: "key quiet", onclick: other }, word("letters")),
      h("button", { type: "button", class: "key space", onclick: () => press(" ") }, word("space")),
      h("button", { type: "button", class: "key quiet", "aria-label": word("erase"), onclick: () => press("erase") }, icon(BACKSPACE)));
    board.replaceChildren(...rows, last);
  }

  function other() {
    letters = letters === "ru" ? "en" : "ru";
    draw();
  }

  draw();
  return board;
}
