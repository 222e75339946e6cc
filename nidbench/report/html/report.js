"use strict";
// Sorts, draws and shows what stands in the JSON beside it. Texts come ready made and are only ever set as text.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const get = (id) => document.getElementById(id);
  const root = document.documentElement;
  const SVG = "http://www.w3.org/2000/svg";
  root.classList.add("scripted");

  function put(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...(children || []).filter((child) => child !== null));
    return node;
  }
  const el = (tag, attributes, ...children) => put(document.createElement(tag), attributes, children);
  const svg = (tag, attributes, ...children) => put(document.createElementNS(SVG, tag), attributes, children);
  const option = (value, text) => el("option", { value }, text);
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

  // kept, as a page of many cells has many nodes to search
  function chosenOf(name) {
    const buttons = [...document.querySelectorAll(`input[name=${name}]`)];
    return () => buttons.find((each) => each.checked).value;
  }

  // --- methods: a colour and a shape each, so that neither alone has to tell them apart ---------------------------

  const COLOURS = 7;
  const SHAPES = [
    "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0", "M-4.5-4.5h9v9h-9z", "M0-6.2L6.2 0L0 6.2L-6.2 0z", "M0-5.8L5.8 4.6H-5.8z",
    "M0 5.8L5.8-4.6H-5.8z", "M-2-6h4v4h4v4h-4v4h-4v-4h-4v-4h4z", "M-6-3L0-6.5L6-3V3L0 6.5L-6 3z",
  ];
  const DASHES = ["", "7 3", "2 3", "9 3 2 3"];
  const colour = (method) => `var(--s${method % COLOURS})`;
  const dash = (method) => DASHES[Math.floor(method / COLOURS) % DASHES.length];
  function shape(method, x, y, size) {
    const path = SHAPES[(method + Math.floor(method / COLOURS)) % SHAPES.length];
    return svg("path", { d: path, transform: `translate(${x} ${y}) scale(${size || 1})`, fill: colour(method) });
  }
  const badge = (method) =>
    svg("svg", { class: "mark", viewBox: "-8 -8 16 16", "aria-hidden": "true" }, shape(method, 0, 0));

  // --- theme -------------------------------------------------------------------------------------------------------

  const remembered = {
    read() { try { return localStorage.getItem("nidbench-theme"); } catch { return null; } },
    write(theme) { try { localStorage.setItem("nidbench-theme", theme); } catch { /* pages from files may have no store */ } },
  };
  const prefersDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches);
  function setTheme(theme) {
    if (theme === "dark" || theme === "light") root.dataset.theme = theme;
    get("theme").setAttribute("aria-pressed", String(isDark()));
  }
  get("theme").addEventListener("click", () => {
    setTheme(isDark() ? "light" : "dark");
    remembered.write(root.dataset.theme);
  });
  prefersDark.addEventListener("change", () => setTheme());
  setTheme(remembered.read());

  // --- summary: sorted within its groups, the input stays on top ----------------------------------------------------

  const summary = get("summary-table");
  const headers = [...summary.querySelectorAll("thead th")];
  const order = new Map([...summary.querySelectorAll("tbody tr")].map((row, place) => [row, place]));
  function sortBy(header) {
    const column = headers.indexOf(header), numeric = header.classList.contains("n");
    const states = numeric ? ["descending", "ascending", "none"] : ["ascending", "descending", "none"];
    const state = states[(states.indexOf(header.getAttribute("aria-sort")) + 1) % states.length];
    headers.forEach((each) => each.setAttribute("aria-sort", each === header ? state : "none"));
    const sign = state === "descending" ? -1 : 1;
    const value = (row) => (numeric ? parseFloat(row.cells[column].dataset.value ?? "NaN") : row.cells[column].textContent);
    function compare(a, b) {
      if (state === "none") return order.get(a) - order.get(b);
      const first = value(a), second = value(b);
      if (!numeric) return sign * first.localeCompare(second, "en", { numeric: true }) || order.get(a) - order.get(b);
      if (isNaN(first) || isNaN(second)) return isNaN(first) - isNaN(second) || order.get(a) - order.get(b);
      return sign * (first - second) || order.get(a) - order.get(b);
    }
    for (const body of summary.tBodies) {
      body.append(...[...body.rows].filter((row) => !row.matches(".group, .input")).sort(compare));
    }
  }
  headers.forEach((header) => {
    header.setAttribute("aria-sort", "none");
    header.querySelector("button").addEventListener("click", () => sortBy(header));
  });

  // --- axes --------------------------------------------------------------------------------------------------------

  function ticks(low, high, most) {
    const rough = (high - low || 1) / Math.max(1, most), power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
    const found = [];
    for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n++) found.push(+(n * step).toPrecision(12));
    return found;
  }
  function logTicks(low, high, most) {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
      for (const n of [1, 2, 5]) found.push(+(n * 10 ** power).toPrecision(3));
    }
    const inside = found.filter((n) => n >= low * 0.999 && n <= high * 1.001);
    if (inside.length <= most) return inside;
    const decades = inside.filter((n) => Math.abs(Math.log10(n) - Math.round(Math.log10(n))) < 1e-9);
    return decades.length > 1 ? decades : inside.filter((_, n) => n % 3 === 0);
  }
  const plain = (value) => String(+value.toPrecision(6)).replace("-", "−");
  const decibels = (value) => value.toFixed(2).replace("-", "−");

  function frame(holder, label, xRange, yRange, xTitle, height) {
    const width = Math.max(260, holder.clientWidth), box = { left: 46, right: width - 14, top: 22, bottom: height - 44 };
    let [xLow, xHigh] = xRange.map(Math.log10), [yLow, yHigh] = yRange;
    if (xHigh - xLow < 0.3) { xLow -= 0.15; xHigh += 0.15; }
    const xPad = 0.035 * (xHigh - xLow), yPad = 0.06 * (yHigh - yLow || 1);
    xLow -= xPad; xHigh += xPad; yLow -= yPad; yHigh += yPad;
    const x = (value) => box.left + ((Math.log10(value) - xLow) / (xHigh - xLow)) * (box.right - box.left);
    const y = (value) => box.bottom - ((value - yLow) / (yHigh - yLow)) * (box.bottom - box.top);
    const at = (pixel) => 10 ** (xLow + ((pixel - box.left) / (box.right - box.left)) * (xHigh - xLow));
    const drawn = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": label });
    const axis = svg("g", { class: "axis" });
    for (const value of ticks(yLow, yHigh, 7)) {
      axis.append(svg("line", { class: "grid", x1: box.left, x2: box.right, y1: y(value), y2: y(value) }));
      axis.append(svg("text", { x: box.left - 8, y: y(value) + 4, "text-anchor": "end" }, plain(value)));
    }
    for (const value of logTicks(10 ** xLow, 10 ** xHigh, width < 480 ? 6 : 12)) {
      axis.append(svg("line", { class: "grid", x1: x(value), x2: x(value), y1: box.top, y2: box.bottom }));
      axis.append(svg("text", { x: x(value), y: box.bottom + 18, "text-anchor": "middle" }, plain(value)));
    }
    axis.append(svg("text", { class: "title", x: 0, y: 10 }, "PSNR, dB"));
    axis.append(svg("text", { class: "title", x: box.right, y: height - 6, "text-anchor": "end" }, xTitle));
    drawn.append(axis);
    holder.replaceChildren(drawn);
    return { drawn, box, x, y, at };
  }
  const empty = (holder, text) => holder.replaceChildren(el("p", {}, text));
  const span = (values) => [Math.min(...values), Math.max(...values)];
  const redraws = [];
  function fill(select, texts) {
    select.replaceChildren(...texts.map((text, place) => option(place, text)));
    select.closest("label").hidden = texts.length < 2;
  }

  // --- forest of paired differences ---------------------------------------------------------------------------------

  const COLUMNS = [
    ["difference", "difference", true], ["95 % interval", "interval", true], ["verdict", "verdict", false], ["Holm", "holm", false],
    ["won/tied/lost", "ahead", true], ["pairs", "pairs", true], ["images", "images", true], ["resolution", "resolution", true],
  ];
  function drawForest() {
    const reference = data.differences.references[get("against").value];
    const all = reference.groups.flatMap((group) => group.rows);
    const ends = all.flatMap((row) => [row.difference, row.low, row.high]).filter((value) => value !== null);
    const [low, high] = span([0, ...ends]), pad = 0.05 * (high - low || 1);
    const place = (value) => `${(100 * (value - low + pad)) / (high - low + 2 * pad)}%`;
    const marks = ticks(low - pad, high + pad, 4);
    const someLack = all.some((row) => row.lacking);
    const columns = COLUMNS.filter(([, name]) => name !== "pairs" || someLack);
    get("forest").replaceChildren(el("div", { class: "wide", tabindex: 0, role: "region", "aria-label": "Paired differences" }, forestTable(reference, columns, place, marks)));
    get("forest-caption").textContent = reference.caption;
  }
  function forestTable(reference, columns, place, marks) {
    const head = ["method", "", ...columns.map(([title]) => title)].map((title, n) =>
      n === 1 ? el("td", { class: "plot" }) : el("th", { scope: "col", class: n > 1 && columns[n - 2][2] ? "n" : null }, title));
    const table = el("table", { class: "numbers forest" }, el("thead", {}, el("tr", {}, ...head)));
    for (const group of reference.groups) {
      const body = el("tbody", {}, el("tr", { class: "group" }, el("th", { scope: "rowgroup", colspan: columns.length + 2 }, group.title)));
      for (const row of group.rows) body.append(forestRow(row, columns, place, marks));
      table.append(body);
    }
    const scale = svg("svg", { class: "plot", role: "presentation" }, ...marks.map((mark) =>
      svg("text", { x: place(mark), y: 14, "text-anchor": "middle" }, plain(mark))));
    table.append(el("tfoot", {}, el("tr", {}, el("td", {}), el("td", { class: "plot" }, scale), el("td", { colspan: columns.length }, "dB, above 0: better than the reference"))));
    return table;
  }
  function forestRow(row, columns, place, marks) {
    const line = (name, at, to) => svg("line", { class: name, x1: place(at), x2: place(to ?? at), y1: to === undefined ? 0 : 15.5, y2: to === undefined ? 31 : 15.5 });
    const parts = [...marks.map((mark) => line("tick", mark)), line("zero", 0)];
    if (row.low !== null) parts.push(line("interval", row.low, row.high));
    if (row.difference !== null) parts.push(svg("circle", { cx: place(row.difference), cy: 15.5, r: 4 }));
    const t = row.texts;
    return el("tr", { class: t.verdict === "open" ? "open" : null },
      el("th", { scope: "row", class: data.methods[row.method].length < 30 ? "short" : null }, el("span", { class: "named" }, badge(row.method), el("span", {}, data.methods[row.method]))),
      el("td", { class: "plot" }, svg("svg", { class: "plot", role: "img", "aria-label": `${t.difference} dB ${t.interval}` }, ...parts)),
      ...columns.map(([, name, isNumber]) => el("td", { class: isNumber ? "n" : null }, t[name])));
  }
  if (data.differences.references.length) {
    const references = data.differences.references;
    get("against").replaceChildren(...references.map((each, n) => option(n, data.methods[each.method])));
    get("against").value = Math.max(0, references.findIndex((each) => each.method === data.differences.first));
    get("against").addEventListener("change", drawForest);
    drawForest();
  }

  // --- curves, all methods on one axis ------------------------------------------------------------------------------

  const hiddenMethods = new Set();
  const unit = chosenOf("unit");
  function series() {
    const group = +get("curve-group").value, chosen = +get("curve-case").value, by = unit();
    if (chosen === 0) {
      const lines = data.curves.means.filter((each) => each.group === group)
        .map((each) => ({ method: each.method, x: each[by][0], y: each[by][1] }));
      const points = data.curves.ends.filter((each) => each.group === group)
        .map((each) => ({ method: each.method, x: [each[by]], y: [each.psnr] }));
      return [...lines, ...points];
    }
    return data.curves.single.filter((each) => each.group === group && each.case === +casesOf(group)[chosen - 1])
      .map((each) => ({ method: each.method, x: each[by], y: each.psnr }));
  }
  const casesOf = (group) => [...new Set(data.curves.single.filter((each) => each.group === group).map((each) => each.case))];

  function drawCurves() {
    const holder = get("curve-chart");
    const all = series().map((each) => {
      const kept = each.x.map((x, n) => [x, each.y[n]]).filter(([x, y]) => x !== null && y !== null && x > 0);
      return { method: each.method, x: kept.map(([x]) => x), y: kept.map(([, y]) => y) };
    }).filter((each) => each.x.length);
    drawLegend(all, +get("curve-case").value === 0 ? [] : ofGroup().filter((method) => !all.some((each) => each.method === method)));
    const seen = all.filter((each) => !hiddenMethods.has(each.method));
    if (!seen.length) return empty(holder, all.length ? "All methods are hidden." : "No method has a curve or a score here.");
    const input = +get("curve-case").value === 0 ? data.curves.groups[+get("curve-group").value].input : null;
    // the climb from the first, random predictions would press everything else together
    const returned = seen.map((each) => each.y[each.y.length - 1]);
    const least = Math.min(input ?? Infinity, Math.max(Math.min(...seen.flatMap((each) => each.y)), Math.min(...returned) - 4));
    const highest = Math.max(...seen.flatMap((each) => each.y), input ?? -Infinity);
    const title = unit() === "seconds" ? "seconds of a cell (logarithmic)" : "iterations (logarithmic)";
    const label = `PSNR in dB against ${title}: ` + seen.map((each) => `${data.methods[each.method]} ends at ${decibels(each.y[each.y.length - 1])}`).join(", ");
    const chart = frame(holder, label, span(seen.flatMap((each) => each.x)), [least, highest], title, 380);
    const id = "inside-curves", box = chart.box;
    chart.drawn.append(svg("clipPath", { id }, svg("rect", { x: box.left - 8, y: box.top - 8, width: box.right - box.left + 16, height: box.bottom - box.top + 16 })));
    if (input !== null) {
      chart.drawn.append(svg("line", { class: "input", x1: box.left, x2: box.right, y1: chart.y(input), y2: chart.y(input) }));
      chart.drawn.append(svg("text", { class: "title", x: box.left + 6, y: chart.y(input) - 5 }, "blurred input"));
    }
    for (const each of seen) {
      const points = each.x.map((x, n) => `${chart.x(x).toFixed(1)},${chart.y(each.y[n]).toFixed(1)}`).join(" ");
      chart.drawn.append(svg("polyline", { class: "line", "clip-path": `url(#${id})`, points, stroke: colour(each.method), "stroke-dasharray": dash(each.method) || null }));
    }
    for (const each of seen) {
      const last = each.x.length - 1;
      chart.drawn.append(shape(each.method, chart.x(each.x[last]), chart.y(each.y[last]), 1));
    }
    readOff(chart, seen);
  }
  const ofGroup = () => [...new Set([...data.curves.means, ...data.curves.ends]
    .filter((each) => each.group === +get("curve-group").value).map((each) => each.method))];
  function drawLegend(all, without) {
    const methods = [...new Set(all.map((each) => each.method))];
    get("curve-legend").replaceChildren(...methods.map((method) => {
      const button = el("button", { type: "button", "aria-pressed": String(!hiddenMethods.has(method)), "data-method": method },
        badge(method), data.methods[method], el("output", {}));
      button.addEventListener("click", () => {
        if (!hiddenMethods.delete(method)) hiddenMethods.add(method);
        drawCurves();
        get("curve-legend").querySelector(`[data-method="${method}"]`).focus();
      });
      return el("li", {}, button);
    }), ...(without.length ? [el("li", { class: "without" }, `without a curve of this case: ${without.map((method) => data.methods[method]).join(", ")}`)] : []));
  }
  function readOff(chart, seen) {
    const cursor = svg("line", { class: "cursor", y1: chart.box.top, y2: chart.box.bottom, visibility: "hidden" });
    const where = svg("text", { class: "title", y: chart.box.top - 6, "text-anchor": "middle" });
    chart.drawn.append(cursor, where);
    chart.drawn.setAttribute("tabindex", 0);
    let pixel = null;
    function show(at) {
      pixel = at === null ? null : clamp(at, chart.box.left, chart.box.right);
      cursor.setAttribute("visibility", pixel === null ? "hidden" : "visible");
      where.textContent = pixel === null ? "" : `${+chart.at(pixel).toPrecision(3)}`;
      if (pixel !== null) {
        put(cursor, { x1: pixel, x2: pixel });
        where.setAttribute("x", clamp(pixel, chart.box.left + 60, chart.box.right - 20));
      }
      for (const button of get("curve-legend").querySelectorAll("button")) {
        const found = seen.find((each) => each.method === +button.dataset.method);
        button.querySelector("output").textContent = pixel === null || !found ? "" : valueAt(found, chart.at(pixel));
      }
    }
    chart.drawn.addEventListener("pointermove", (event) => {
      const bounds = chart.drawn.getBoundingClientRect();
      show(((event.clientX - bounds.left) / bounds.width) * chart.drawn.viewBox.baseVal.width);
    });
    chart.drawn.addEventListener("pointerleave", () => show(null));
    chart.drawn.addEventListener("blur", () => show(null));
    chart.drawn.addEventListener("keydown", (event) => {
      const from = pixel ?? chart.box.left;
      const to = { ArrowLeft: from - 12, ArrowRight: from + 12, Home: chart.box.left, End: chart.box.right }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      show(to);
    });
  }
  function valueAt(line, x) {
    if (x < line.x[0] * 0.999) return "–";
    const after = line.x.findIndex((each) => each >= x);
    if (after < 0) return decibels(line.y[line.y.length - 1]);
    if (after === 0) return decibels(line.y[0]);
    const share = (x - line.x[after - 1]) / (line.x[after] - line.x[after - 1]);
    return decibels(line.y[after - 1] + share * (line.y[after] - line.y[after - 1]));
  }
  function fillCurveCases() {
    fill(get("curve-case"), ["the mean over images", ...casesOf(+get("curve-group").value).map((each) => data.cases[each].name)]);
  }
  fill(get("curve-group"), data.curves.groups.map((group) => group.title));
  fillCurveCases();
  get("curve-group").addEventListener("change", () => { fillCurveCases(); drawCurves(); });
  get("curve-case").addEventListener("change", drawCurves);
  document.querySelectorAll("input[name=unit]").forEach((each) => each.addEventListener("change", drawCurves));
  redraws.push(drawCurves);

  // --- cost against quality -----------------------------------------------------------------------------------------

  function drawCost() {
    const holder = get("cost-chart"), group = data.cost[get("cost-group").value || 0];
    const points = group ? group.points.filter((each) => each.psnr !== null && each.seconds > 0) : [];
    if (!points.length) return empty(holder, "No method has seconds and a score.");
    const heights = points.flatMap((each) => [each.psnr, each.low, each.high]).filter((value) => value !== null);
    if (group.input !== null) heights.push(group.input);
    const label = "Mean PSNR in dB against mean seconds: " + points.map((each) => `${data.methods[each.method]} ${decibels(each.psnr)} in ${plain(each.seconds)} s`).join(", ");
    const chart = frame(holder, label, span(points.map((each) => each.seconds)), span(heights), "mean seconds of a cell (logarithmic)", 400);
    if (group.input !== null) {
      chart.drawn.append(svg("line", { class: "input", x1: chart.box.left, x2: chart.box.right, y1: chart.y(group.input), y2: chart.y(group.input) }));
      chart.drawn.append(svg("text", { class: "title", x: chart.box.right - 4, y: chart.y(group.input) - 5, "text-anchor": "end" }, "blurred input"));
    }
    const front = points.filter((each) => each.front).sort((a, b) => a.seconds - b.seconds);
    const steps = front.flatMap((each, n) => (n ? [`${chart.x(each.seconds)},${chart.y(front[n - 1].psnr)}`] : []).concat(`${chart.x(each.seconds)},${chart.y(each.psnr)}`));
    if (front.length > 1) chart.drawn.append(svg("polyline", { class: "front", points: steps.join(" ") }));
    for (const each of points) {
      const x = chart.x(each.seconds);
      if (each.low !== null) chart.drawn.append(svg("line", { class: "bar", x1: x, x2: x, y1: chart.y(each.low), y2: chart.y(each.high), stroke: colour(each.method) }));
      chart.drawn.append(shape(each.method, x, chart.y(each.psnr), 1.15));
    }
    nameAll(chart, points);
  }
  function nameAll(chart, points) {
    // beside its mark, on the first of four sides where a name meets no mark and no other name
    const taken = points.map((each) => ({ x: chart.x(each.seconds) - 8, y: chart.y(each.psnr) - 8, width: 16, height: 16 }));
    const meets = (a, b) => a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
    // all are there before one is measured: each measurement after a change lays the page out anew
    const texts = points.map((each) => {
      const full = data.methods[each.method];
      return svg("text", {}, full.length > 30 ? full.slice(0, 29) + "…" : full, svg("title", {}, full));
    });
    chart.drawn.append(...texts);
    const widths = texts.map((text) => text.getComputedTextLength() + 2);
    for (const [n, each] of points.entries()) {
      const text = texts[n], width = widths[n];
      const x = chart.x(each.seconds), y = chart.y(each.psnr), left = clamp(x - width / 2, chart.box.left, chart.box.right - width);
      const sides = [[x + 11, y - 7], [x - 11 - width, y - 7], [left, y - 25], [left, y + 11], [x + 11, y + 9], [x - 11 - width, y + 9], [x + 11, y - 23]];
      const boxes = sides.map(([bx, by]) => ({ x: bx, y: by, width, height: 14 }))
        .filter((box) => box.x >= chart.box.left - 2 && box.x + width <= chart.box.right + 12);
      const free = boxes.find((box) => !taken.some((other) => meets(box, other))) || boxes[0];
      if (!free) { text.remove(); continue; }
      taken.push(free);
      put(text, { x: free.x, y: free.y + 11 });
    }
  }
  fill(get("cost-group"), data.cost.map((group) => group.title));
  get("cost-group").addEventListener("change", drawCost);
  redraws.push(drawCost);

  // --- cases: all pictures move in step -----------------------------------------------------------------------------

  const panels = get("panels"), view = { zoom: 1, x: 0, y: 0 };
  const kind = chosenOf("kind");
  const frames = () => document.querySelectorAll("#viewer .frame");
  function move(zoom, x, y) {
    view.zoom = clamp(zoom, 1, 32);
    view.x = clamp(x, 1 - view.zoom, 0);
    view.y = clamp(y, 1 - view.zoom, 0);
    put(get("viewer"), { style: `--zoom: ${view.zoom}; --tx: ${100 * view.x}%; --ty: ${100 * view.y}%` });
    frames().forEach((each) => each.classList.toggle("zoomed", view.zoom > 1));
    get("scale").textContent = `×${+view.zoom.toFixed(1)}`;
    get("out").disabled = view.zoom <= 1;
  }
  function zoomAt(factor, x = 0.5, y = 0.5) {
    const zoom = clamp(view.zoom * factor, 1, 32), by = zoom / view.zoom;
    move(zoom, x - (x - view.x) * by, y - (y - view.y) * by);
  }
  function place(event, holder) {
    const bounds = holder.getBoundingClientRect();
    return [(event.clientX - bounds.left) / bounds.width, (event.clientY - bounds.top) / bounds.height];
  }
  function follow(holder) {
    const pointers = new Map();
    holder.addEventListener("dblclick", (event) => zoomAt(event.shiftKey ? 0.5 : 2, ...place(event, holder)));
    holder.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      zoomAt(Math.exp(-clamp(event.deltaY, -100, 100) / 200), ...place(event, holder));
    }, { passive: false });
    holder.addEventListener("pointerdown", (event) => pointers.set(event.pointerId, place(event, holder)));
    holder.addEventListener("pointermove", (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) return;
      const now = place(event, holder);
      if (pointers.size === 1 && view.zoom > 1) {
        holder.setPointerCapture(event.pointerId);
        move(view.zoom, view.x + now[0] - before[0], view.y + now[1] - before[1]);
      } else if (pointers.size === 2) {
        const other = [...pointers].find(([id]) => id !== event.pointerId)[1];
        const apart = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]) || 1e-3;
        zoomAt(apart(now, other) / apart(before, other), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
      }
      pointers.set(event.pointerId, now);
    });
    for (const name of ["pointerup", "pointercancel", "pointerleave"]) {
      holder.addEventListener(name, (event) => pointers.delete(event.pointerId));
    }
  }
  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = 0.15;
    const moves = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    if (event.key === "+" || event.key === "=") zoomAt(2);
    else if (event.key === "-") zoomAt(0.5);
    else if (event.key === "0") move(1, 0, 0);
    else if (moves[event.key] && view.zoom > 1) move(view.zoom, view.x + moves[event.key][0], view.y + moves[event.key][1]);
    else return;
    event.preventDefault();
  }

  const NONE = { error: "no truth to compare with", deviation: "gave no variance", image: "no picture" };
  function picture(panel, name, ratio) {
    const address = panel.pictures[name];
    const missing = panel.name === "truth" && name === "error" ? "the truth itself" : panel.name === "input" && name === "deviation" ? "is no estimate" : NONE[name];
    const holder = el("div", { class: address ? "frame" : "frame none", "data-none": address ? null : missing, style: `aspect-ratio: ${ratio}` },
      address ? el("img", { src: address, alt: `${panel.name}: ${name}`, loading: address.startsWith("data:") ? null : "lazy", draggable: "false" }) : null);
    follow(holder);
    return holder;
  }
  function showCase() {
    const chosen = +get("case").value, shown = data.cases[chosen], { pictures } = shown;
    const ratio = pictures.shape ? `${pictures.shape[1]} / ${pictures.shape[0]}` : "1";
    const kinds = new Set(pictures.panels.flatMap((panel) => Object.keys(panel.pictures)));
    document.querySelectorAll("input[name=kind]").forEach((each) => { each.disabled = !kinds.has(each.value); });
    if (!kinds.has(kind())) document.querySelector("input[name=kind][value=image]").checked = true;
    panels.replaceChildren(...pictures.panels.map((panel) =>
      el("figure", {}, picture(panel, kind(), ratio), el("figcaption", {}, panel.name, el("span", {}, panel.score)))));
    const note = [shown.title + ".", pictures.lacking.length ? `Without a restoration: ${pictures.lacking.join(", ")}.` : "", pictures.note];
    get("case-note").replaceChildren(...(pictures.kernel ? [el("img", { id: "kernel", src: pictures.kernel, alt: "the kernel" })] : []), note.filter(Boolean).join(" "));
    get("previous").disabled = chosen === 0;
    get("next").disabled = chosen === data.cases.length - 1;
    showScale(pictures.scales[kind()]);
    showWipe(pictures.panels, ratio);
    move(view.zoom, view.x, view.y);
  }
  function showScale(limit) {
    const bar = get("scale-bar"), [low, high] = bar.querySelectorAll("span");
    bar.hidden = limit === undefined;
    if (bar.hidden) return;
    bar.className = kind();
    low.textContent = kind() === "error" ? `−${limit}` : "0";
    high.textContent = kind() === "error" ? `+${limit}` : limit;
  }
  function showWipe(all, ratio) {
    get("wipe").hidden = all.length < 2;
    if (all.length < 2) return;
    for (const [id, usual] of [["left", 0], ["right", Math.min(1, all.length - 1)]]) {
      const before = get(id).selectedOptions[0]?.textContent;
      get(id).replaceChildren(...all.map((panel, n) => option(n, panel.name)));
      const same = all.findIndex((panel) => panel.name === before);
      get(id).value = same < 0 ? usual : same;
    }
    get("wipe-frame").style.aspectRatio = ratio;
    drawWipe();
  }
  function drawWipe() {
    const all = data.cases[+get("case").value].pictures.panels;
    for (const id of ["left", "right"]) {
      const panel = all[+get(id).value], name = panel.pictures[kind()] ? kind() : "image";
      put(get(`wipe-${id}`), { src: panel.pictures[name], alt: `${id}: ${panel.name}`, draggable: "false" });
    }
    get("wipe").style.setProperty("--wipe", `${get("wipe-at").value}%`);
  }
  function showNth(chosen) {
    get("case").value = clamp(chosen, 0, data.cases.length - 1);
    showCase();
  }

  const pictured = data.cases.length > 0 && data.cases[0].pictures !== null;
  get("viewer").hidden = !pictured;
  get("no-pictures").hidden = pictured;
  document.querySelectorAll("#scores button").forEach((button) => {
    if (!pictured) return button.replaceWith(...button.childNodes);
    button.addEventListener("click", () => {
      showNth(+button.dataset.case);
      get("viewer").scrollIntoView();
      panels.focus({ preventScroll: true });
    });
  });
  if (pictured) {
    get("case").replaceChildren(...data.cases.map((each, n) => option(n, each.name)));
    get("case").addEventListener("change", showCase);
    get("previous").addEventListener("click", () => showNth(+get("case").value - 1));
    get("next").addEventListener("click", () => showNth(+get("case").value + 1));
    get("in").addEventListener("click", () => zoomAt(2));
    get("out").addEventListener("click", () => zoomAt(0.5));
    get("reset").addEventListener("click", () => move(1, 0, 0));
    document.querySelectorAll("input[name=kind]").forEach((each) => each.addEventListener("change", showCase));
    ["left", "right"].forEach((id) => get(id).addEventListener("change", drawWipe));
    get("wipe-at").addEventListener("input", drawWipe);
    panels.addEventListener("keydown", onKey);
    follow(get("wipe-frame"));
    showCase();
  }

  // --- drawn at the width there is, again where that changes --------------------------------------------------------

  let width = 0;
  new ResizeObserver(() => {
    if (width === document.body.clientWidth) return;
    width = document.body.clientWidth;
    redraws.forEach((draw) => draw());
  }).observe(document.body);
})();
