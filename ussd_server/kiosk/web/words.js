// The page's own texts, in Russian and English, and how it writes money, dates and numbers. What the service says on
// its screens comes from the server.

const WORDS = {
  ru: {
    title: "Электронный помощник",
    language: "Язык",
    finish: "Завершить",
    stay: "Я здесь",
    stillHere: "Вы ещё здесь?",
    secondsLeft: (n) => `Экран закроется через ${n} с`,
    noLine: "Терминал временно не работает. Подождите немного.",
    noServer: "Нет связи с оператором. Терминал попробует снова сам.",
    startTitle: "Тариф, услуги и\u00a0баланс вашего номера",
    startText: "Введите пароль, который пришёл вам по SMS. Это бесплатно.",
    haveCode: "У меня есть пароль",
    haveCodeNote: "Войти и управлять номером",
    orderCode: "Заказать пароль",
    orderCodeNote: "Он придёт по SMS на ваш номер",
    startFoot: "Пароль знаете только вы: терминал его не показывает и не хранит.",
    numberTitle: "Введите номер телефона",
    numberToOrder: "На этот номер придёт SMS с паролем.",
    numberToEnter: "Номер, которым вы хотите управлять.",
    numberField: "Номер телефона",
    next: "Дальше",
    order: "Заказать",
    back: "Назад",
    erase: "Стереть цифру",
    clear: "Очистить",
    pad: "Цифры",
    keyboard: "Клавиатура",
    space: "Пробел",
    letters: "Abc",
    demoHint: (number) => `Телефон для пробы: ${number}`,
    orderedTitle: "Пароль придёт по SMS",
    orderedText: (number) => `В течение минуты на номер ${number}, если на нём подключён Электронный помощник.`,
    orderedNone: "SMS не пришло?",
    orderedActivate: "Подключите Помощника, это бесплатно: наберите на телефоне *111*2163# или отправьте 111 на номер 2163. Затем закажите пароль ещё раз.",
    orderedLimit: "Действует последний из заказанных.",
    enterCode: "Ввести пароль",
    otherNumber: "Другой номер",
    codeTitle: "Введите пароль",
    codeText: (number) => `Цифры из SMS на номер ${number}.`,
    codeField: "Пароль",
    codeTyped: (n) => `Введено цифр: ${n}`,
    enter: "Войти",
    wrongCode: "Номер или пароль неверны.",
    attemptsLeft: (n) => `${plural(n, "Осталась", "Остались", "Осталось")} ${n} ${plural(n, "попытка", "попытки", "попыток")}. Потом доступ закроется на сутки.`,
    lockedTitle: "Доступ закрыт",
    lockedText: (number) => `Для номера ${number} пароль трижды введён неверно.`,
    lockedOpens: "Доступ откроется",
    lockedThen: "После этого подойдёт прежний пароль. Забыли его — закажите новый.",
    lockedNow: "С телефона всё работает и сейчас: наберите *111#.",
    lockedNotYou: "Если пароль вводили не вы, сообщите оператору: номер остался под защитой.",
    today: "сегодня",
    tomorrow: "завтра",
    at: "в",
    toStart: "На главную",
    working: "Минуту…",
    menu: "Меню",
    done: "Завершить",
    send: "Отправить",
    answerField: "Ваш ответ",
    priceNow: "Спишется сейчас",
    priceMonthly: "Абонентская плата в месяц",
    startsAt: "Действует с",
    balanceAfter: "Останется на счёте",
    free: "бесплатно",
    change_tariff: "Новый тариф",
    add_service: "Подключение услуги",
    remove_service: "Отключение услуги",
    troubleTitle: "Пока не получилось",
    trouble_unreachable: "Нет связи с оператором. Терминал пробует снова, можно подождать.",
    trouble_unavailable: "Сервис сейчас недоступен. Попробуйте ещё раз через минуту.",
    trouble_busy: "Сейчас много запросов. Попробуйте ещё раз через несколько секунд.",
    trouble_closed: "Этот терминал не обслуживает. Воспользуйтесь другим или наберите на телефоне *111#.",
    trouble_failed: "Что-то сломалось у нас. Попробуйте ещё раз позже.",
    troubleSafe: "Дважды ничего не выполнится и не спишется. Если заявка уже принята, придёт SMS.",
    again: "Попробовать ещё раз",
    closedTitle: "Терминал не работает",
    closedText: "Воспользуйтесь другим терминалом или наберите на телефоне *111#.",
    expiredTitle: "Пароль устарел",
    expiredText: "Пароль верный, но заказан слишком давно. Закажите новый, он придёт по SMS.",
    overTitle: "Сеанс завершён",
    overText: "Долго не было запросов, или этот номер открыли на другом терминале. Введите пароль, чтобы продолжить.",
    byeTitle: "Спасибо, всё закрыто",
    byeText: "Номер и пароль на этом терминале не остались.",
  },
  en: {
    title: "Electronic Assistant",
    language: "Language",
    finish: "Finish",
    stay: "I am here",
    stillHere: "Are you still here?",
    secondsLeft: (n) => `This screen closes in ${n} s`,
    noLine: "The terminal is out of order for a moment. Please wait.",
    noServer: "The operator cannot be reached. The terminal keeps trying.",
    startTitle: "Tariff, services and balance of your number",
    startText: "Enter the password that you got by SMS. It is free of charge.",
    haveCode: "I have a password",
    haveCodeNote: "Enter and manage the number",
    orderCode: "Order a password",
    orderCodeNote: "It comes to your number by SMS",
    startFoot: "Only you know the password: the terminal neither shows nor keeps it.",
    numberTitle: "Enter your telephone number",
    numberToOrder: "The SMS with the password goes to this number.",
    numberToEnter: "The number that you want to manage.",
    numberField: "Telephone number",
    next: "Next",
    order: "Order",
    back: "Back",
    erase: "Delete a digit",
    clear: "Clear",
    pad: "Digits",
    keyboard: "Keyboard",
    space: "Space",
    letters: "Абв",
    demoHint: (number) => `A phone to try: ${number}`,
    orderedTitle: "The password comes by SMS",
    orderedText: (number) => `Within a minute to ${number}, if the Electronic Assistant is active on it.`,
    orderedNone: "No SMS?",
    orderedActivate: "Activate the Assistant, it is free: dial *111*2163# on the phone, or text 111 to 2163. Then order the password again.",
    orderedLimit: "The latest one counts.",
    enterCode: "Enter the password",
    otherNumber: "Another number",
    codeTitle: "Enter the password",
    codeText: (number) => `The digits from the SMS to ${number}.`,
    codeField: "Password",
    codeTyped: (n) => `Digits entered: ${n}`,
    enter: "Enter",
    wrongCode: "The number or the password is wrong.",
    attemptsLeft: (n) => `${n} ${n === 1 ? "try is" : "tries are"} left. Then access closes for a day.`,
    lockedTitle: "Access is closed",
    lockedText: (number) => `The password for ${number} was entered wrongly three times.`,
    lockedOpens: "Access opens",
    lockedThen: "Then the same password works again. If you forgot it, order a new one.",
    lockedNow: "From your phone everything works even now: dial *111#.",
    lockedNotYou: "If it was not you who entered it, tell the operator: the number stayed protected.",
    today: "today",
    tomorrow: "tomorrow",
    at: "at",
    toStart: "To the start",
    working: "One moment…",
    menu: "Menu",
    done: "Finish",
    send: "Send",
    answerField: "Your answer",
    priceNow: "Charged now",
    priceMonthly: "Fee a month",
    startsAt: "In effect from",
    balanceAfter: "Balance after",
    free: "free",
    change_tariff: "New tariff",
    add_service: "Adding a service",
    remove_service: "Removing a service",
    troubleTitle: "It did not work yet",
    trouble_unreachable: "The operator cannot be reached. The terminal keeps trying; you may wait.",
    trouble_unavailable: "The service is not available now. Please try again in a minute.",
    trouble_busy: "There are many requests now. Please try again in a few seconds.",
    trouble_closed: "This terminal does not serve. Use another one, or dial *111# on your phone.",
    trouble_failed: "Something broke on our side. Please try again later.",
    troubleSafe: "Nothing is done or charged twice. If an order was taken already, an SMS will tell.",
    again: "Try again",
    closedTitle: "This terminal is out of service",
    closedText: "Please use another one, or dial *111# on your phone.",
    expiredTitle: "The password is too old",
    expiredText: "It is the right one, but was ordered too long ago. Order a new one; it comes by SMS.",
    overTitle: "The visit has ended",
    overText: "Nothing was asked for long, or this number was opened at another terminal. Enter the password to go on.",
    byeTitle: "Thank you, all is closed",
    byeText: "Neither the number nor the password stays at this terminal.",
  },
};

const LOCALES = { ru: "ru-RU", en: "en-GB" };
const DAY_MS = 86_400_000;

let spoken = "ru";

/** Speak this language from now on. */
export function speak(language) {
  spoken = language;
}

export function language() {
  return spoken;
}

/** The text of this name; texts with parts take them as arguments. */
export function word(name, ...parts) {
  const text = WORDS[spoken][name];
  return typeof text === "function" ? text(...parts) : text;
}

/** The elements that `make(language)` returns in each language, that of the page first. */
export function bothLanguages(make) {
  const first = spoken;
  const made = [first, ...Object.keys(WORDS).filter((each) => each !== first)].map((each) => {
    speak(each);
    return make(each);
  });
  speak(first);
  return made.flat();
}

/** For the tests: every language has the same texts. */
export function names(of) {
  return Object.keys(WORDS[of]).sort();
}

function plural(n, one, few, many) {
  if (n % 10 === 1 && n % 100 !== 11) return one;
  return n % 10 >= 2 && n % 10 <= 4 && (n % 100 < 12 || n % 100 > 14) ? few : many;
}

/** `{minor, currency}` as people write it, without the minor unit where there is none of it. */
export function money({ minor, currency }) {
  const options = { style: "currency", currency, currencyDisplay: "narrowSymbol" };
  const digits = new Intl.NumberFormat(LOCALES[spoken], options).resolvedOptions().maximumFractionDigits;
  const amount = minor / 10 ** digits;
  const shown = Number.isInteger(amount) ? 0 : digits;
  return new Intl.NumberFormat(LOCALES[spoken], { ...options, minimumFractionDigits: shown, maximumFractionDigits: shown }).format(amount);
}

/** The same for a price: nothing to pay is said in words. */
export function price(amount) {
  return amount.minor === 0 ? word("free") : money(amount);
}

/** `2026-12-01` as a date in words. */
export function day(text) {
  const format = new Intl.DateTimeFormat(LOCALES[spoken], { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });
  return format.format(new Date(`${text}T00:00:00Z`)).replace(/\s*г\.$/, "");
}

/** The time of day. */
export function time(at) {
  return new Intl.DateTimeFormat(LOCALES[spoken], { hour: "2-digit", minute: "2-digit" }).format(new Date(at));
}

/** A moment within the next days: `завтра, 24 ноября, в 12:40`. A full minute later, so that it is true. */
export function moment(at, now) {
  const rounded = Math.ceil(at / 60_000) * 60_000;
  const date = new Intl.DateTimeFormat(LOCALES[spoken], { day: "numeric", month: "long" }).format(new Date(rounded));
  const near = { [dayOf(now)]: word("today"), [dayOf(now + DAY_MS)]: word("tomorrow") }[dayOf(rounded)];
  return { time: time(rounded), day: near ? `${near}, ${date}` : date };
}

function dayOf(at) {
  return new Date(at).toDateString();
}

/** `79100000001` as `+7 910 000-00-01`; other lengths as they are. */
export function spaced(msisdn) {
  const found = /^(\d)(\d{3})(\d{3})(\d{2})(\d{2})$/.exec(msisdn);
  return found ? `+${found[1]} ${found[2]} ${found[3]}-${found[4]}-${found[5]}` : `+${msisdn}`;
}
