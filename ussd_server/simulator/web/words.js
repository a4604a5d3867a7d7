// The page's own texts, in Russian and English. What the service says is not translated here.

const WORDS = {
  ru: {
    title: "Телефоны USSD и SMS",
    language: "Язык страницы",
    thisPage: "Страница",
    phones: "Телефоны",
    kiosk: "Терминал",
    kioskHint: "язык на нём выбирает посетитель",
    panes: "Что показать",
    delay: "Задержка сети",
    none: "нет",
    seconds: (n) => `${n} с`,
    bound: (names) => `Сервис на связи: ${names}`,
    unbound: (address) => `Сервис не подключён к ${address}`,
    connecting: "Подключаюсь…",
    phonesCome: "Телефоны появятся, как только ответит симулятор.",
    offline: "Симулятор не отвечает, пробую снова…",
    dialTab: "Набор",
    smsTab: "SMS",
    dialField: "Номер или код",
    answerField: "Ваш ответ",
    call: "Вызов",
    send: "Ответить",
    ok: "ОК",
    cancel: "Отмена",
    clearField: "Стереть",
    idle: "Наберите код",
    waiting: "Запрос выполняется…",
    waitsService: "шлюз ждёт сервис",
    waitsYou: "шлюз ждёт ваш ответ",
    asksYou: (source) => `вопрос от ${source}, ждёт ответа`,
    notified: (source) => `уведомление от ${source}`,
    noDialogue: "нет диалога",
    ended: "диалог завершён",
    cancelled: "Запрос отменён.",
    timeout: "Время ожидания истекло. Попробуйте позже.",
    dropped: "Соединение прервано сетью.",
    unreachable: "Ошибка сети: сервис недоступен.",
    refused: "Ошибка сети: сервис отклонил запрос.",
    lost: "Ошибка сети: связь с сервисом потеряна.",
    noMessages: "Сообщений нет",
    to: "Кому",
    message: "Текст",
    emptyAllowed: "можно пустое",
    sendSms: "Отправить",
    emptySms: "(пустое SMS)",
    received: "",
    sending: "отправляется",
    sent: "доставлено",
    waitingDelivery: "ждёт сервис",
    refusedDelivery: "не доставлено",
    parts: (n) => `частей: ${n}`,
    unread: (n) => `непрочитанных: ${n}`,
    chipEmpty: (to) => `пустое SMS → ${to}`,
    chipSms: (text, to) => `SMS ${text} → ${to}`,
    drop: "Прервать",
    dropHint: "Сеть прерывает диалог и сообщает об этом сервису",
    redeliver: "Повторить",
    redeliverHint: "Сеть ещё раз доставляет сервису последний PDU этого телефона, как будто не дождалась ответа",
    remove: "Убрать телефон",
    addPhone: "Ещё телефон",
    addField: "Номер, только цифры",
    add: "Добавить",
    wire: "Обмен по SMPP",
    wireEmpty: "Здесь появится каждый PDU между сетью и сервисом. Наберите код на телефоне.",
    filter: "Телефон",
    all: "Все",
    keepaliveHint: "Показывать и enquire_link: проверку связи между сетью и сервисом",
    pause: "Пауза",
    resume: "Продолжить",
    clear: "Очистить",
    held: (n) => `ещё ${n}`,
    toWire: "Обмен ↓",
    toService: "к сервису",
    fromService: "от сервиса",
    fields: "Поля",
    tlvs: "Параметры TLV",
    octets: "Октеты",
    masked: "Группы цифр в сообщениях с кодом доступа скрыты: запись их не хранит.",
    session: (number, step, end) => `диалог ${number}${step === null ? "" : `, шаг ${step}`}${end ? ", конец" : ""}`,
    end: "конец",
    part: (index, total) => `часть ${index} из ${total}`,
    units: "единиц",
    emptyText: "(пусто)",
    keys: "Enter: вызвать или ответить · Esc: отмена · ← →: соседний телефон (когда поле пусто)",
    onlyDigits: "Только цифры.",
    onlyDial: "Только цифры, * и #.",
    needsNumber: "Введите номер получателя.",
    knownNumber: "Такой телефон уже есть.",
    notSent: "Нет связи с симулятором: не отправлено.",
    problem_bad_number: "Номер телефона: от 5 до 15 цифр.",
    problem_bad_text: "Такой текст не помещается или не может быть отправлен.",
    problem_too_many: "Больше телефонов добавить нельзя.",
    faults: "Сбои",
    inject: "Начать",
    calm: "Прекратить все",
    underWay: "Сбои сейчас",
    messagesLeft: (n) => `сообщений: ${n}`,
    faultKinds: {
      drop: "Обрыв соединения",
      delay: "Задержка",
      duplicate: "Повторы",
      reorder: "Не по порядку",
      throttle: "Ограничение скорости",
      refuse: "Отказы",
      garbage: "Мусор вместо PDU",
      half: "Половина PDU",
      slow: "Сеть не читает",
      silent: "Сеть молчит",
    },
    faultHints: {
      drop: "Соединение закрывается без unbind.",
      delay: "Все сообщения и ответы опаздывают, порядок тот же.",
      duplicate: "Каждое сообщение приходит сервису дважды, с разными номерами.",
      reorder: "Столько PDU сервису задерживается, и последний уходит первым.",
      throttle: "submit_sm сверх скорости отклоняются. 0: отклоняются все.",
      refuse: "submit_sm отклоняются с этим статусом.",
      garbage: "Сервису уходят октеты, которые не похожи на PDU.",
      half: "Уходит половина следующего сообщения, остаток позже. 0: вместо остатка обрыв.",
      slow: "Сеть ничего не читает из соединения.",
      silent: "Сеть читает всё и не отвечает ни на что, даже на enquire_link.",
    },
    faultFields: { for_ms: "Сколько, с", by_ms: "Опоздание, с", messages: "Сообщений", rate: "В секунду", status: "Статус", only: "Что" },
    faultOnly: { all: "всё", ussd: "USSD", sms: "SMS" },
    problem_nobody_bound: "Сервис не подключён: сбою не с чем случиться.",
    problem_bad_command: "Симулятор не понял команду.",
  },
  en: {
    title: "USSD and SMS phones",
    language: "Language of the page",
    thisPage: "This page",
    phones: "Phones",
    kiosk: "Terminal",
    kioskHint: "its language is the visitor's choice",
    panes: "What to show",
    delay: "Network delay",
    none: "none",
    seconds: (n) => `${n} s`,
    bound: (names) => `Service is bound: ${names}`,
    unbound: (address) => `No service is bound to ${address}`,
    connecting: "Connecting…",
    phonesCome: "The phones come as soon as the simulator answers.",
    offline: "The simulator does not answer, trying again…",
    dialTab: "Dial",
    smsTab: "SMS",
    dialField: "Number or code",
    answerField: "Your answer",
    call: "Call",
    send: "Send",
    ok: "OK",
    cancel: "Cancel",
    clearField: "Clear",
    idle: "Dial a code",
    waiting: "Request running…",
    waitsService: "gateway waits for the service",
    waitsYou: "gateway waits for your answer",
    asksYou: (source) => `${source} asks, and waits for you`,
    notified: (source) => `notification from ${source}`,
    noDialogue: "no dialogue",
    ended: "dialogue ended",
    cancelled: "Request cancelled.",
    timeout: "The waiting time is over. Try again later.",
    dropped: "The network ended the dialogue.",
    unreachable: "Network error: the service cannot be reached.",
    refused: "Network error: the service refused the request.",
    lost: "Network error: the link to the service is lost.",
    noMessages: "No messages",
    to: "To",
    message: "Text",
    emptyAllowed: "may be empty",
    sendSms: "Send",
    emptySms: "(empty SMS)",
    received: "",
    sending: "sending",
    sent: "delivered",
    waitingDelivery: "waits for the service",
    refusedDelivery: "not delivered",
    parts: (n) => `${n} parts`,
    unread: (n) => `${n} unread`,
    chipEmpty: (to) => `empty SMS → ${to}`,
    chipSms: (text, to) => `SMS ${text} → ${to}`,
    drop: "Drop",
    dropHint: "The network ends the dialogue and tells the service",
    redeliver: "Redeliver",
    redeliverHint: "The network delivers this phone's last PDU to the service again, as if it had missed the response",
    remove: "Remove the phone",
    addPhone: "Another phone",
    addField: "Number, digits only",
    add: "Add",
    wire: "SMPP wire",
    wireEmpty: "Every PDU between the network and the service appears here. Dial a code on a phone.",
    filter: "Phone",
    all: "All phones",
    keepaliveHint: "Show enquire_link too, by which network and service check their link",
    pause: "Pause",
    resume: "Resume",
    clear: "Clear",
    held: (n) => `${n} more`,
    toWire: "Wire ↓",
    toService: "to the service",
    fromService: "from the service",
    fields: "Fields",
    tlvs: "TLVs",
    octets: "Octets",
    masked: "Digit groups in messages with an access code are hidden: the recording does not hold them.",
    session: (number, step, end) => `dialogue ${number}${step === null ? "" : `, step ${step}`}${end ? ", end" : ""}`,
    end: "end",
    part: (index, total) => `part ${index} of ${total}`,
    units: "units",
    emptyText: "(empty)",
    keys: "Enter: call or send · Esc: cancel · ← →: the next phone (while the field is empty)",
    onlyDigits: "Digits only.",
    onlyDial: "Digits, * and # only.",
    needsNumber: "Enter the recipient's number.",
    knownNumber: "This phone is here already.",
    notSent: "No line to the simulator: not sent.",
    problem_bad_number: "A phone number has 5 to 15 digits.",
    problem_bad_text: "This text does not fit or cannot be sent.",
    problem_too_many: "No more phones can be added.",
    faults: "Faults",
    inject: "Begin",
    calm: "End all",
    underWay: "Faults under way",
    messagesLeft: (n) => `${n} messages`,
    faultKinds: {
      drop: "Connection cut",
      delay: "Delay",
      duplicate: "Duplicates",
      reorder: "Out of order",
      throttle: "Throttling",
      refuse: "Refusals",
      garbage: "Garbage for a PDU",
      half: "Half a PDU",
      slow: "Network does not read",
      silent: "Network is silent",
    },
    faultHints: {
      drop: "The connection is closed without an unbind.",
      delay: "All messages and responses are late, in their order.",
      duplicate: "Each message reaches the service twice, under two numbers.",
      reorder: "So many PDUs to the service are held, and the last one goes first.",
      throttle: "Each submit_sm beyond the rate is refused. 0: all of them.",
      refuse: "Each submit_sm is refused with this status.",
      garbage: "The service gets octets that are no PDU.",
      half: "Half of the next message goes out, the rest later. 0: the connection is cut instead.",
      slow: "The network reads nothing from the connection.",
      silent: "The network reads everything and answers nothing, an enquire_link neither.",
    },
    faultFields: { for_ms: "How long, s", by_ms: "How late, s", messages: "Messages", rate: "A second", status: "Status", only: "What" },
    faultOnly: { all: "all", ussd: "USSD", sms: "SMS" },
    problem_nobody_bound: "No service is bound: there is nothing for the fault to happen to.",
    problem_bad_command: "The simulator did not understand the command.",
  },
};

const KEPT = "ussd-phones-language";
const listeners = [];
let current = initial();

function initial() {
  let kept = null;
  try {
    kept = localStorage.getItem(KEPT);
  } catch {
    // Storage can be forbidden; the browser's language is used then.
  }
  if (kept in WORDS) return kept;
  return navigator.languages?.some((language) => language.startsWith("ru")) ? "ru" : "en";
}

/** The text `name` in the page's language; `values` fill its blanks. */
export function word(name, ...values) {
  const text = WORDS[current][name];
  return typeof text === "function" ? text(...values) : text;
}

/** The languages that the page speaks, and the names of a language's texts. */
export function languages() {
  return Object.keys(WORDS);
}

export function names(language) {
  return Object.keys(WORDS[language]);
}

export function language() {
  return current;
}

/** The hour and minute of `at`, ms since 1970 UTC, as the page's language writes them. */
export function clock(at) {
  return new Date(at).toLocaleTimeString(current, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
}

/** Change the page's language and remember it. */
export function speak(chosen) {
  current = chosen;
  try {
    localStorage.setItem(KEPT, chosen);
  } catch {
    // Not remembered, then.
  }
  retell();
}

/** Call `listener` at once and whenever the language changes. */
export function onLanguage(listener) {
  listeners.push(listener);
  listener();
}

/** Stop calling `listener`. */
export function offLanguage(listener) {
  const index = listeners.indexOf(listener);
  if (index >= 0) listeners.splice(index, 1);
}

function retell() {
  for (const listener of [...listeners]) listener();
}
