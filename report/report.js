// What the report does beyond what can be read without this: charts, details, order, search, language and appearance.
// Nothing is ever parsed as HTML: elements are made here, and names and messages become their text.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const table = document.getElementById("fleet");
const body = table.tBodies[0];
const rows = [...body.rows].map((row, index) => ({ row, ...data.rows[index], detail: null, text: "" }));
const find = document.getElementById("find");
const show = document.getElementById("show");
let language = document.documentElement.lang;

// Words.

function word(key, ...values) {
  const said = data.words[language][key] ?? key.slice(key.indexOf("_") + 1);
  return values.length ? said.replace(/\{(\d)\}/g, (place, number) => values[number]) : said;
}

function decimals(text) {
  return text.replace(/(\d)[.,](\d)/g, language === "en" ? "$1.$2" : "$1,$2");
}

function speak(code) {
  language = code;
  document.documentElement.lang = code;
  for (const element of document.querySelectorAll("[data-t]")) {
    element.textContent = word(element.dataset.t, ...JSON.parse(element.dataset.a ?? "[]"));
  }
  for (const element of document.querySelectorAll("[data-m]")) {
    // A message and the same in the other language.
    if (element.lang === code) continue;
    [element.textContent, element.dataset.m, element.lang] = [element.dataset.m, element.textContent, code];
  }
  for (const element of document.querySelectorAll(".n")) {
    const node = element.firstChild;
    if (node) node.data = decimals(node.data);
  }
  document.title = document.querySelector("h1").textContent;
  for (const item of rows) item.text = item.row.textContent.toLowerCase();
  for (const item of rows.filter((one) => one.detail)) {
    item.detail.remove();
    open(item);
  }
  drawTrends();
  filter();
}

// Elements. A key of words in place of a text: {t: key, a: values}.

function make(name, attributes = {}, ...content) {
  const space = ["svg", "path", "polyline", "line", "text"].includes(name) ? "http://www.w3.org/2000/svg" : null;
  const element = space ? document.createElementNS(space, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...content);
  return element;
}

function said(name, key, ...values) {
  const element = make(name, { "data-t": key }, word(key, ...values));
  if (values.length) element.dataset.a = JSON.stringify(values);
  return element;
}

// Numbers as they are said; _report_words.py does the same.

function size(count) {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let unit = 0;
  while (Math.round(count) >= 1000 && unit < units.length - 1) {
    count /= 1000;
    unit += 1;
  }
  return decimals(`${count.toFixed(unit === 0 || count >= 99.95 ? 0 : 1)} ${units[unit]}`);
}

function duration(seconds) {
  if (seconds < 9.995) return decimals(`${seconds.toFixed(2)} s`);
  if (seconds < 59.5) return `${seconds.toFixed(0)} s`;
  const whole = Math.round(seconds);
  const two = (number) => String(number).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

function stamp(minutes, length = 16) {
  return new Date(minutes * 60000).toISOString().slice(0, length).replace("T", " ");
}

// Charts. A point is {x: minutes, y: number, kind: letter of a state}.

const SHAPES = {
  v: (x, y) => `M${x - 2} ${y}a2 2 0 1 0 4 0a2 2 0 1 0 -4 0`,
  a: (x, y) => `M${x} ${y - 5}l5 9h-10z`,
  d: (x, y) => `M${x - 4} ${y - 4}h8v8h-8z`,
};

function ticks(most, steps) {
  const rough = most / 3 || 1;
  const power = steps ?? 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough) ?? rough;
  return Array.from({ length: Math.ceil(most / step) + 1 }, (_, index) => index * step);
}

function timeTicks(most) {
  const step = [15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800].find((one) => one >= most / 3);
  if (most < 30 || !step) return ticks(most);
  return Array.from({ length: Math.ceil(most / step) + 1 }, (_, index) => index * step);
}

function chart(key, points, format) {
  const [width, height, left, top, bottom] = [380, 150, 74, 10, 20];
  const scale = format === size ? ticks(Math.max(...points.map((point) => point.y))) : timeTicks(Math.max(...points.map((point) => point.y)));
  const first = points[0].x;
  const span = points.at(-1).x - first || 1;
  const most = scale.at(-1) || 1;
  const place = (point) => [left + ((point.x - first) / span) * (width - left - 10), top + (1 - point.y / most) * (height - top - bottom)].map((one) => Math.round(one * 10) / 10);
  const name = word(key);
  const lowest = Math.min(...points.map((point) => point.y));
  const highest = Math.max(...points.map((point) => point.y));
  const picture = make("svg", { viewBox: `0 0 ${width} ${height}`, tabindex: 0, role: "img", "aria-label": word("chart", name, format(lowest), format(highest)) });
  for (const value of scale) {
    const [, y] = place({ x: first, y: value });
    picture.append(make("line", { class: "grid", x1: left, x2: width - 6, y1: y, y2: y }), make("text", { x: left - 6, y: y + 4, "text-anchor": "end" }, value === 0 ? "0" : format(value)));
  }
  const labels = points.length > 2 ? [points[0], points[Math.floor((points.length - 1) / 2)], points.at(-1)] : points;
  labels.forEach((point, index) => {
    const anchor = ["start", labels.length > 2 ? "middle" : "end", "end"][index];
    picture.append(make("text", { x: place(point)[0], y: height - 5, "text-anchor": anchor }, stamp(point.x, 10)));
  });
  const path = points.map((point) => place(point).join(" ")).join("L");
  const floor = height - bottom;
  picture.append(make("path", { class: "area", d: `M${place(points[0])[0]} ${floor}L${path}L${place(points.at(-1))[0]} ${floor}z` }), make("path", { class: "line", d: `M${path}` }));
  const dots = points.map((point) => make("path", { class: `dot ${point.kind}`, d: (SHAPES[point.kind] ?? SHAPES.v)(...place(point)) }));
  picture.append(...dots);

  const tip = make("div", { class: "tip", role: "status", hidden: "" });
  let current = points.length;
  const point = (index) => {
    dots[current]?.classList.remove("here");
    current = index;
    tip.hidden = index === points.length;
    if (tip.hidden) return;
    dots[index].classList.add("here");
    const state = { v: "w_verified", u: "w_unverified", a: "w_anomalous", d: "w_damaged" }[points[index].kind];
    tip.textContent = [stamp(points[index].x, points[index].kind ? 16 : 10), format(points[index].y), state && word(state)].filter(Boolean).join(" · ");
    const [x, y] = place(points[index]);
    const ratio = picture.clientWidth / width;
    const half = tip.offsetWidth / 2;
    const middle = picture.offsetLeft ?? 0;
    tip.style.left = `${Math.min(Math.max(x * ratio + 14, half), picture.clientWidth + 28 - half) + middle}px`;
    tip.style.top = `${y * ratio + picture.parentElement.firstChild.offsetHeight + 8}px`;
  };
  picture.addEventListener("pointermove", (event) => {
    const x = (event.offsetX / picture.clientWidth) * width;
    const far = points.map((one) => Math.abs(place(one)[0] - x));
    point(far.indexOf(Math.min(...far)));
  });
  picture.addEventListener("pointerleave", () => point(points.length));
  picture.addEventListener("blur", () => point(points.length));
  picture.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    point(current === points.length ? (step > 0 ? 0 : points.length - 1) : Math.min(Math.max(current + step, 0), points.length - 1));
  });
  return make("figure", {}, said("figcaption", key), picture, tip);
}

function drawTrends() {
  const place = document.getElementById("trends");
  if (!place) return;
  const points = (name) => data.trend.map((day) => ({ x: day.minutes, y: day[name], kind: "" }));
  place.replaceChildren(chart("trend_size", points("size"), size), chart("trend_seconds", points("seconds"), duration), chart("trend_freeze", points("freeze"), duration));
}

function past(item) {
  let minutes = 0;
  return (item.history?.minutes ?? []).map((more, index) => ({
    x: (minutes += more),
    size: item.history.size[index] === null ? null : item.history.size[index] * 1000,
    seconds: item.history.seconds[index],
    freeze: item.history.freeze[index],
    kind: item.history.words[index],
  }));
}

function spark(item) {
  const sizes = (item.history?.size ?? []).filter((one) => one !== null);
  if (sizes.length < 2) return;
  const most = Math.max(...sizes) || 1;
  // Not from nothing on: it shows how the size moves, and the number above says how much it is.
  const least = Math.min(...sizes, 0.8 * most);
  const points = sizes.map((one, index) => `${((index / (sizes.length - 1)) * 80).toFixed(0)},${(15 - ((one - least) / (most - least)) * 14).toFixed(1)}`);
  item.row.cells[4].append(make("svg", { class: "spark", viewBox: "0 0 80 16", "aria-hidden": "true" }, make("polyline", { points: points.join(" ") })));
}

// Details of a line.

function facts(item) {
  const [id, files, lines, encryption, signed, held] = item.latest ?? [];
  const found = [
    ["d_backup", id],
    ["d_files", files],
    ["d_rows", lines],
    ["d_encryption", encryption],
    ["d_signed", item.latest && word(signed ? "yes" : "no")],
    ["d_held", held],
    ["d_kept", item.kept && `${item.kept[0] ?? 0} (${size(item.kept[1] ?? 0)})`],
    ["d_verified_to", item.verified_to],
    ["d_host", item.node],
    ["d_disk", item.disk && decimals(`${item.disk} %`)],
    ...(item.timers ?? []).map(([name, next, last, result]) => ["d_timer", word("timer", name, next ?? word("never"), last ?? word("never")) + (result ? `, ${word(`timer_${result}`)}` : "")]),
  ];
  const list = make("dl", { class: "facts" });
  for (const [key, value] of found) {
    if (value !== undefined && value !== null) list.append(make("div", {}, said("dt", key), make("dd", {}, String(value))));
  }
  return list;
}

function historyTable(points) {
  const heads = ["d_backup", "size", "seconds", "freeze", "word"].map((key) => {
    const head = said("th", key);
    head.scope = "col";
    return head;
  });
  const states = { v: "w_verified", u: "w_unverified", a: "w_anomalous", d: "w_damaged" };
  const lines = points.toReversed().map((one) => {
    const values = [one.size === null ? "–" : size(one.size), one.seconds === null ? "–" : duration(one.seconds), one.freeze === null ? "–" : duration(one.freeze)];
    return make("tr", {}, make("th", { scope: "row" }, stamp(one.x)), ...values.map((value) => make("td", {}, value)), said("td", states[one.kind]));
  });
  return make("table", { class: "plain" }, said("caption", "history", points.length), make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...lines));
}

function panel(item) {
  const [key, ...values] = item.sentence;
  const lead = said("p", key, ...values);
  lead.className = "lead";
  const content = [lead];
  const message = item.row.cells[10].querySelector("small");
  const problems = message ? [[item.row.cells[10].querySelector("b").dataset.t.slice(2), message.textContent, message.lang]] : [];
  for (const [code, , english, other] of item.problems ?? []) {
    problems.push(language === "en" || !other ? [code, english, "en"] : [code, other, language]);
  }
  if (problems.length) {
    content.push(make("ul", {}, ...problems.map(([code, text, lang]) => make("li", {}, said("b", `p_${code}`), " ", make("span", { lang }, text)))));
  }
  content.push(facts(item));
  const points = past(item);
  if (points.length) {
    const charts = make("div", { class: "charts" });
    for (const [name, format] of [["size", size], ["seconds", duration], ["freeze", duration]]) {
      const known = points.filter((one) => one[name] !== null).map((one) => ({ x: one.x, y: one[name], kind: one.kind }));
      if (known.length) charts.append(chart(name, known, format));
    }
    content.push(charts, make("details", {}, said("summary", "as_table"), historyTable(points)));
  } else if (item.kept) {
    content.push(said("p", "no_history"));
  }
  if (item.kept) {
    content.push(said("h3", "failures"));
    content.push(
      item.failures
        ? make("ul", {}, ...item.failures.map(([at, action, text]) => make("li", {}, make("b", {}, `${at} ${action}`), " ", make("span", { lang: "en" }, text))))
        : said("p", "no_failures"),
    );
  }
  return content;
}

function open(item) {
  item.detail = make("tr", { class: "detail" }, make("td", { colspan: item.row.cells.length }, ...panel(item)));
  item.detail.hidden = item.row.hidden;
  item.row.after(item.detail);
}

function toggle(item, button) {
  const opens = !item.detail;
  button.setAttribute("aria-expanded", String(opens));
  if (opens) {
    open(item);
  } else {
    item.detail.remove();
    item.detail = null;
  }
}

// Order and search.

const heads = [...table.tHead.rows[0].cells];
const collator = new Intl.Collator(undefined, { numeric: true });

function sort(column) {
  const head = heads[column];
  // Numbers and times begin with the largest, names with the first.
  const named = column === 1 || column === 2;
  const before = head.getAttribute("aria-sort");
  const order = before === "none" ? (named ? "ascending" : "descending") : before === "ascending" ? "descending" : "ascending";
  for (const other of heads) other.setAttribute("aria-sort", other === head ? order : "none");
  const sign = order === "ascending" ? 1 : -1;
  const key = named ? (item) => item.row.cells[column].textContent : (item) => item.keys[column];
  const keyed = rows.map((item) => [key(item), item]);
  // What is unknown or never happened is the least.
  const compare = named ? ([one], [two]) => collator.compare(one, two) : ([one], [two]) => (one ?? -Infinity) - (two ?? -Infinity) || 0;
  keyed.sort((one, two) => sign * compare(one, two));
  body.append(...keyed.flatMap(([, item]) => (item.detail ? [item.row, item.detail] : [item.row])));
}

function filter() {
  const wanted = find.value.trim().toLowerCase().split(/\s+/);
  let count = 0;
  for (const item of rows) {
    const fits = (show.value === "all" || item.row.classList.contains(show.value)) && wanted.every((part) => item.text.includes(part));
    item.row.hidden = !fits;
    if (item.detail) item.detail.hidden = !fits;
    count += fits;
  }
  document.getElementById("shown").textContent = word("shown", count, rows.length);
  document.getElementById("none").hidden = count > 0 || rows.length === 0;
  for (const tile of document.querySelectorAll("[data-show]")) tile.setAttribute("aria-pressed", String(tile.dataset.show === show.value));
}

// Choices outlive the page where the browser lets a file remember anything.

function remembered(name) {
  try {
    return localStorage.getItem(`crm.continuity.${name}`);
  } catch {
    return null;
  }
}

function remember(name, value) {
  try {
    localStorage.setItem(`crm.continuity.${name}`, value);
  } catch {
    // A mail program's viewer, for one. The page is then as it was sent the next time.
  }
}

function choose(name, value, act) {
  for (const button of document.querySelectorAll(`button[data-${name}]`)) button.setAttribute("aria-pressed", String(button.dataset[name] === value));
  act(value);
}

const actions = {
  language: speak,
  look: (value) => {
    document.documentElement.dataset.look = value;
  },
};

for (const [name, act] of Object.entries(actions)) {
  for (const button of document.querySelectorAll(`button[data-${name}]`)) {
    button.addEventListener("click", () => {
      choose(name, button.dataset[name], act);
      remember(name, button.dataset[name]);
    });
  }
}

heads.forEach((head, column) => head.firstChild.addEventListener("click", () => sort(column)));
find.addEventListener("input", filter);
show.addEventListener("change", filter);
find.form.addEventListener("submit", (event) => event.preventDefault());
for (const tile of document.querySelectorAll("[data-show]")) {
  tile.addEventListener("click", () => {
    show.value = show.value === tile.dataset.show ? "all" : tile.dataset.show;
    filter();
    document.getElementById("table").scrollIntoView();
  });
}
for (const item of rows) {
  const head = item.row.cells[1];
  const button = make("button", { type: "button", "aria-expanded": "false" }, head.textContent);
  head.replaceChildren(button);
  button.addEventListener("click", () => toggle(item, button));
  spark(item);
}
body.addEventListener("keydown", (event) => {
  const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
  if (!step || !event.target.matches("th > button")) return;
  event.preventDefault();
  let row = event.target.closest("tr")[step];
  while (row && (row.hidden || row.className === "detail")) row = row[step];
  row?.querySelector("th > button").focus();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.matches("input, select")) return;
  event.preventDefault();
  find.focus();
});

const spoken = (navigator.language ?? "").toLowerCase().startsWith("pt") ? "pt-BR" : "en";
const wish = remembered("language");
for (const controls of document.querySelectorAll(".controls")) controls.hidden = false;
choose("look", ["light", "dark"].includes(remembered("look")) ? remembered("look") : "auto", actions.look);
choose("language", data.languages.includes(wish) ? wish : data.asked === "auto" ? spoken : language, speak);
