// What each state looks like. A view is made anew for every state; it keeps only what is being typed.
//
// A view is {element, keys}: `keys(event)` is told the keys of a keyboard and says whether it took one.

import { h, icon, setText } from "./dom.js";
import { digitPad, keyboard } from "./pad.js";
import { bothLanguages, day, moment, money, price, spaced, word } from "./words.js";

const ICONS = {
  key: "M14.5 3a6.5 6.5 0 1 0 .1 0zM10 14l-7 7m2-2l3 3m0-6l2 2",
  sms: "M4 5h16v11H9l-5 4z M8 9h8M8 12h5",
  lock: "M6 11h12v9H6zM8.5 11V7.5a3.5 3.5 0 0 1 7 0V11M12 14.5v2",
  cloud: "M12 8v5m0 3.2v.1M12 3l10 18H2z",
  closed: "M12 3a9 9 0 1 0 .1 0zM7.5 12h9",
  done: "M4 12.5l5.5 5.5L20 6.5",
  clock: "M12 3a9 9 0 1 0 .1 0zM12 7v5.3l3.5 2",
  door: "M13 4H5v16h8M10 12h10m-4-4l4 4-4 4",
  back: "M15 5l-7 7 7 7",
  info: "M12 3a9 9 0 1 0 .1 0zM12 11v6M12 7.4v.1",
};

const CODE = { least: 6, most: 16 };
const LONGEST = { digits: 20, text: 160 };
const NATIONAL_MOST = 12;
const LONG_TEXT = 60;
const MORE_DIGITS_MS = 900; // how long a digit waits for the next one, where there are options 1 and 12

/** The view of a state. `say(command)` sends a command of this state; `typed` is what was typed before, if anything. */
export function view(state, say, typed = "") {
  return VIEWS[state.view](state, say, typed);
}

const VIEWS = {
  start(state, say) {
    const choice = (what, name, path, style) =>
      h("button", { type: "button", class: `choice ${style}`, disabled: !state.online, onclick: () => say({ do: "choose", what }) },
        icon(path), h("span", {}, h("strong", {}, word(name)), h("small", {}, word(`${name}Note`))));
    return still(
      h("section", { class: "view start" },
        title(word("startTitle")),
        h("p", { class: "lead" }, word("startText")),
        h("div", { class: "choices" },
          choice("enter", "haveCode", ICONS.key, "primary"),
          choice("order", "orderCode", ICONS.sms, "")),
        h("p", { class: "foot" }, icon(ICONS.lock), word("startFoot"))));
  },

  number(state, say, typed) {
    const ordering = state.purpose === "order";
    const most = state.digits || NATIONAL_MOST;
    const field = h("p", { class: "field number", role: "group", "aria-label": word("numberField") });
    return padded({
      state, typed, most,
      least: state.digits || 6,
      field,
      show: (digits) => field.replaceChildren(...mask(state, digits)),
      head: [
        title(word("numberTitle")),
        h("p", { class: "lead" }, word(ordering ? "numberToOrder" : "numberToEnter")),
      ],
      hint: state.hint ? word("demoHint", spaced(state.hint)) : "",
      go: word(ordering ? "order" : "next"),
      done: (digits) => say({ do: "number", msisdn: state.country + digits }),
      back: () => say({ do: "back" }),
    });
  },

  ordered(state, say) {
    return still(
      notice(ICONS.sms, "good", word("orderedTitle"), [
        h("p", { class: "lead" }, word("orderedText", spaced(state.msisdn))),
        h("div", { class: "aside" }, h("strong", {}, word("orderedNone")), " ", word("orderedActivate"), " ", word("orderedLimit")),
      ], [
        button(word("enterCode"), () => say({ do: "go_on" }), "primary"),
        button(word("otherNumber"), () => say({ do: "back" })),
      ]));
  },

  code(state, say, typed) {
    const dots = h("span", { "aria-hidden": "true" });
    const count = h("span", { class: "unseen", "aria-live": "polite" });
    const field = h("p", { class: "field code", role: "group", "aria-label": word("codeField") }, dots, count);
    const wrong = state.attempts_left !== undefined;
    return padded({
      state, typed, field, secret: true,
      most: CODE.most,
      least: CODE.least,
      show(digits) {
        dots.replaceChildren(...[...digits].map(() => h("i", { class: "dot" })), h("i", { class: "caret" }));
        setText(count, digits ? word("codeTyped", digits.length) : "");
      },
      head: [
        title(word("codeTitle")),
        wrong
          ? h("p", { class: "wrong", role: "alert" }, h("strong", {}, word("wrongCode")), " ", word("attemptsLeft", state.attempts_left))
          : h("p", { class: "lead" }, word("codeText", spaced(state.msisdn))),
      ],
      hint: wrong ? word("codeText", spaced(state.msisdn)) : "",
      go: word("enter"),
      done: (digits) => say({ do: "code", code: digits }),
      back: () => say({ do: "back" }),
    });
  },

  locked(state, say) {
    const opens = moment(state.locked_until, state.now);
    return still(
      notice(ICONS.lock, "bad", word("lockedTitle"), [
        h("p", { class: "lead" }, word("lockedText", spaced(state.msisdn))),
        h("p", { class: "opens" }, h("span", {}, word("lockedOpens")), h("strong", {}, opens.time), h("span", {}, opens.day)),
        h("ul", { class: "aside" }, ["lockedThen", "lockedNow", "lockedNotYou"].map((name) => h("li", {}, word(name)))),
      ], [button(word("toStart"), () => say({ do: "leave" }), "primary")]));
  },

  expired(state, say) {
    return still(
      notice(ICONS.clock, "warn", word("expiredTitle"), [h("p", { class: "lead" }, word("expiredText"))], [
        button(word("order"), () => say({ do: "go_on" }), "primary"),
        button(word("toStart"), () => say({ do: "leave" })),
      ]));
  },

  screen(state, say, typed) {
    const { screen } = state;
    if (screen.ends) return ending(screen, say);
    if (screen.kind === "confirm") return confirming(screen, say);
    if (screen.input === "digits" || screen.input === "text") return asking(state, say, typed);
    return choosing(screen, say);
  },

  trouble(state, say) {
    const closed = state.problem === "closed";
    return still(
      notice(ICONS.cloud, "warn", word("troubleTitle"), [
        h("p", { class: "lead" }, word(`trouble_${state.problem}`)),
        state.in_visit && h("p", { class: "aside" }, word("troubleSafe")),
      ], [
        !closed && button(word("again"), () => say({ do: "again" }), "primary"),
        button(word("toStart"), () => say({ do: "leave" }), closed ? "primary" : ""),
      ]));
  },

  over(state, say) {
    return still(
      notice(ICONS.clock, "warn", word("overTitle"), [h("p", { class: "lead" }, word("overText"))], [
        button(word("enterCode"), () => say({ do: "go_on" }), "primary"),
        button(word("toStart"), () => say({ do: "leave" })),
      ]));
  },

  // Nobody need choose a language to read that there is nothing to choose.
  closed() {
    return still(
      h("section", { class: "view notice warn closed" },
        h("div", { class: "badge" }, icon(ICONS.closed)),
        bothLanguages((language) => [
          h("h1", { lang: language, tabindex: "-1" }, word("closedTitle")),
          h("p", { class: "lead", lang: language }, word("closedText")),
        ])));
  },

  bye(state, say) {
    return still(
      notice(ICONS.done, "good", word("byeTitle"), [h("p", { class: "lead" }, word("byeText"))], [
        button(word("toStart"), () => say({ do: "leave" }), "primary"),
      ]));
  },
};

// Screens of the service ---------------------------------------------------------------------------------------

function choosing(screen, say) {
  const few = screen.options.length <= 4;
  const element = h("section", { class: `view service ${screen.kind}` },
    screen.title && title(screen.title),
    screen.text && (screen.title ? h("p", { class: "text" }, screen.text) : title(screen.text, "text")),
    h("div", { class: `options ${few ? "few" : ""}` }, screen.options.map((option) => optionButton(option, say))),
    navigation(screen, say));
  return { element, keys: typedKeys(screen, say) };
}

function confirming(screen, say) {
  const { quote } = screen;
  const [yes, ...others] = screen.options;
  const element = h("section", { class: "view service confirm" },
    quote ? title(quote.offering.name, "", word(quote.change)) : title(screen.text, "text"),
    quote && h("dl", { class: "quote" },
      row(word("priceNow"), price(quote.price), "now"),
      row(word("priceMonthly"), money(quote.monthly)),
      row(word("startsAt"), day(quote.starts)),
      row(word("balanceAfter"), money(quote.balance_after))),
    quote && h("p", { class: "text agreed" }, screen.text),
    h("div", { class: "answers" },
      answer(yes, "primary", say),
      others.map((option) => answer(option, "", say))),
    navigation(screen, say));
  return { element, keys: typedKeys(screen, say) };
}

function asking(state, say, typed) {
  const { screen } = state;
  const field = h("p", { class: "field", role: "group", "aria-label": word("answerField") });
  return padded({
    state, typed, field,
    secret: screen.secret,
    letters: screen.input === "text",
    least: 1,
    most: LONGEST[screen.input],
    show: (text) => field.replaceChildren(screen.secret ? "•".repeat(text.length) : text, h("i", { class: "caret" })),
    head: [screen.title && title(screen.title), screen.title ? h("p", { class: "lead" }, screen.text) : title(screen.text, "text")],
    hint: "",
    go: word("send"),
    done: (text) => say({ do: "enter", text }),
    below: navigation(screen, say),
  });
}

function ending(screen, say) {
  const element = notice(ICONS.info, screen.text.length > LONG_TEXT ? "calm long" : "calm", screen.text, [], [
    button(word("menu"), () => say({ do: "menu" }), "primary"),
    button(word("done"), () => say({ do: "leave" })),
  ]);
  element.classList.add("service");
  return { element, keys: () => false };
}

function optionButton(option, say) {
  return h("button", { type: "button", class: "option", "data-key": option.key, onclick: () => say({ do: "enter", text: option.key }) },
    h("kbd", { "aria-hidden": "true" }, option.key), h("span", {}, option.label));
}

function answer(option, style, say) {
  return button(option.label, () => say({ do: "enter", text: option.key }), style, option.key);
}

function navigation(screen, say) {
  if (screen.navigation.length === 0) return null;
  return h("nav", { class: "navigation" }, screen.navigation.map((option) =>
    h("button", { type: "button", class: "button", "data-key": option.key, onclick: () => say({ do: "enter", text: option.key }) }, option.label)));
}

function row(name, value, style = "") {
  return h("div", { class: style }, h("dt", {}, name), h("dd", {}, value));
}

/** Keys of a keyboard pick the option or the navigation of this key, once no longer key can be meant. */
function typedKeys(screen, say) {
  const known = [...screen.options, ...screen.navigation].map((option) => option.key);
  let typed = "";
  let waiting = null;

  function pick() {
    clearTimeout(waiting);
    if (known.includes(typed)) say({ do: "enter", text: typed });
    typed = "";
  }

  return (event) => {
    if (event.key.length !== 1 || !known.some((key) => key.startsWith(typed + event.key))) return false;
    typed += event.key;
    clearTimeout(waiting);
    if (known.some((key) => key !== typed && key.startsWith(typed))) waiting = setTimeout(pick, MORE_DIGITS_MS);
    else pick();
    return true;
  };
}

// Parts ----------------------------------------------------------------------------------------------------------

/** A view with something to type: what to type on one side, keys to touch on the other. */
function padded({ typed, least, most, letters, field, show, head, hint, go, done, back, below, secret }) {
  let text = typed;
  const submit = button(go, finish, "primary");
  submit.classList.add("go");
  const pad = (letters ? keyboard : digitPad)(press);

  function press(key) {
    if (key === "clear") text = "";
    else if (key === "erase") text = text.slice(0, -1);
    else if (text.length < most) text += key;
    draw();
  }

  function finish() {
    if (text.length >= least) done(text);
  }

  function draw() {
    show(text);
    submit.disabled = text.length < least;
  }

  function keys(event) {
    if (/^\d$/.test(event.key) || (letters && event.key.length === 1)) press(event.key);
    else if (event.key === "Backspace") press("erase");
    else if (event.key === "Delete") press("clear");
    else if (event.key === "Escape" && back) back();
    else if (event.key === "Enter" && !pressedButton(event)) finish();
    else return false;
    return true;
  }

  const element = h("section", { class: `view typing ${letters ? "letters" : ""}` },
    h("div", { class: "what" },
      head, field,
      hint && h("p", { class: "hint" }, hint),
      h("div", { class: "answers" },
        back && button(word("back"), back, "", null, ICONS.back),
        submit),
      below),
    pad);
  draw();
  return { element, keys, typed: () => (secret ? "" : text) };
}

// Enter on a button presses that button.
function pressedButton(event) {
  return event.target instanceof HTMLButtonElement;
}

function still(element) {
  return { element, keys: () => false };
}

function notice(path, style, text, body, buttons) {
  return h("section", { class: `view notice ${style}` },
    h("div", { class: "badge" }, icon(path)),
    title(text),
    body,
    h("div", { class: "answers" }, buttons));
}

/** The heading; it takes the focus when the view comes, so that it is read. */
function title(text, style = "", above = "") {
  return h("h1", { class: style, tabindex: "-1" }, above && h("small", {}, above), text);
}

function button(text, act, style = "", key = null, path = null) {
  return h("button", { type: "button", class: `button ${style}`, "data-key": key, onclick: act }, path && icon(path), text);
}

/** `+7 910 ___-__-__`, what is still to be typed paler. */
function mask(state, digits) {
  const shape = state.digits === 10 ? "___ ___-__-__" : "_".repeat(Math.max(digits.length, 1));
  let typed = 0;
  let end = 0;
  const signs = [...shape].map((sign, index) => {
    if (sign !== "_") return sign;
    if (typed >= digits.length) return "_";
    end = index + 1;
    return digits[typed++];
  });
  const rest = signs.slice(end).join("");
  return [h("span", { class: "country" }, `+${state.country} `), signs.slice(0, end).join(""), h("span", { class: "rest", "aria-hidden": "true" }, rest)];
}
