"use strict";
// What the pages add when scripts run: nothing on a page needs it to be read.
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  root.classList.add("js");

  // Dark or light: what the system says, until the reader chooses.
  const store = (name, value) => {
    try { return value === undefined ? localStorage.getItem(name) : localStorage.setItem(name, value); }
    catch { return null; }
  };
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const themeButton = document.querySelector("[data-theme-toggle]");
  const named = () => {
    themeButton.textContent = isDark() ? "Light page" : "Dark page";
  };
  const chosen = store("mrspipe-theme");
  if (chosen === "dark" || chosen === "light") root.dataset.theme = chosen;
  if (themeButton) {
    themeButton.hidden = false;
    named();
    system.addEventListener("change", named);
    themeButton.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      store("mrspipe-theme", root.dataset.theme);
      named();
    });
  }

  // What is folded is printed too.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = all("details:not([open])");
    for (const one of opened) one.open = true;
  });
  addEventListener("afterprint", () => {
    for (const one of opened) one.open = false;
  });

  // Spectra: switches for curves, and a part of the axis.
  const unitsPerPpm = 1000, fullHeight = 10000;
  for (const viewer of all(".viewer")) spectrum(viewer);

  function spectrum(viewer) {
    const svg = viewer.querySelector("svg.spectrum");
    const [left, width] = [Number(svg.dataset.left), Number(svg.dataset.width)];
    const high = Number(svg.dataset.ppm), low = high - viewer.querySelector(".pane").viewBox.baseVal.width / unitsPerPpm;
    const panes = all(".pane", svg), main = svg.querySelector(".pane.main"), ticks = svg.querySelector(".ticks");
    const readout = viewer.querySelector("output"), points = new Map();
    let from = high, to = low;  // Left and right end, in ppm.
    svg.setAttribute("tabindex", "0");
    svg.setAttribute("aria-label", `${svg.getAttribute("aria-label")}. Arrow keys move, plus and minus zoom, 0 shows all.`);

    const curve = (path) => {
      if (!points.has(path)) {
        const numbers = path.getAttribute("d").match(/-?\d+/g).map(Number), found = [];
        let x = numbers[0], y = numbers[1];
        found.push([x, y]);
        for (let i = 2; i < numbers.length; i += 2) { x += numbers[i]; y += numbers[i + 1]; found.push([x, y]); }
        points.set(path, found);
      }
      return points.get(path);
    };

    function show(newFrom, newTo) {
      const span = Math.min(high - low, Math.max(0.1, newFrom - newTo));
      from = Math.min(high, Math.max(low + span, newFrom));
      to = from - span;
      const x = Math.round((high - from) * unitsPerPpm), wide = Math.round(span * unitsPerPpm);
      for (const pane of panes) {
        const box = pane.viewBox.baseVal;
        pane.setAttribute("viewBox", `${x} ${box.y} ${wide} ${box.height}`);
      }
      fitHeight(x, x + wide);
      drawTicks(span);
      readout.textContent = span < high - low - 1e-6 ? `${from.toFixed(2)} to ${to.toFixed(2)} ppm` : "";
    }

    function fitHeight(x0, x1) {
      if (x1 - x0 >= Math.round((high - low) * unitsPerPpm)) {
        main.setAttribute("viewBox", `${x0} 0 ${x1 - x0} ${fullHeight}`);
        return;
      }
      let top = Infinity, bottom = -Infinity;
      for (const path of all("path:not([hidden])", main)) {
        for (const [x, y] of curve(path)) {
          if (x >= x0 && x <= x1) { top = Math.min(top, y); bottom = Math.max(bottom, y); }
        }
      }
      if (!(bottom > top)) [top, bottom] = [0, fullHeight];
      const margin = 0.04 * (bottom - top);
      main.setAttribute("viewBox", `${x0} ${Math.floor(top - margin)} ${x1 - x0} ${Math.ceil(bottom - top + 2 * margin)}`);
    }

    function drawTicks(span) {
      const step = [0.5, 0.25, 0.1, 0.05, 0.02, 0.01].find((one) => span / one >= 5) || 0.01;
      const y = Number(ticks.dataset.y), decimals = step >= 0.5 || step === 0.1 ? 1 : 2, made = [];
      for (let k = Math.ceil(to / step - 1e-9); k * step <= from + 1e-9; k += 1) {
        const x = (left + ((from - k * step) / (from - to)) * width).toFixed(1);
        made.push(`<path d="M${x} ${y}v5"/><text x="${x}" y="${y + 18}" text-anchor="middle">${(k * step).toFixed(decimals)}</text>`);
      }
      ticks.innerHTML = made.join("");
    }

    const middleZoom = (factor) => {
      const middle = (from + to) / 2, half = ((from - to) / 2) * factor;
      show(middle + half, middle - half);
    };
    const actions = {
      in: () => middleZoom(0.6),
      out: () => middleZoom(1 / 0.6),
      left: () => show(from + (from - to) / 4, to + (from - to) / 4),
      right: () => show(from - (from - to) / 4, to - (from - to) / 4),
      glu: () => show(2.55, 2.15),
      all: () => show(high, low),
    };
    const keys = { ArrowLeft: "left", ArrowRight: "right", "+": "in", "=": "in", "-": "out", 0: "all", Escape: "all" };
    for (const button of all("[data-zoom]", viewer)) button.addEventListener("click", () => actions[button.dataset.zoom]());
    svg.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
      event.preventDefault();
      actions[keys[event.key]]();
    });

    for (const box of all("[data-toggle]", viewer)) {
      const paths = all("path[data-curve]", svg).filter((path) => path.dataset.curve === box.dataset.toggle);
      const set = () => {
        for (const path of paths) path.toggleAttribute("hidden", !box.checked);
        show(from, to);
      };
      box.addEventListener("change", set);
      for (const path of paths) path.toggleAttribute("hidden", !box.checked);
    }

    // Dragging over the drawing shows that part.
    const ppmAt = (event) => {
      const box = svg.getBoundingClientRect(), scale = svg.viewBox.baseVal.width / box.width;
      return from - (((event.clientX - box.left) * scale - left) / width) * (from - to);
    };
    const rubber = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    let start = null;
    rubber.setAttribute("class", "rubber");
    svg.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.pointerType === "touch") return;
      start = ppmAt(event);
      svg.setPointerCapture(event.pointerId);
    });
    svg.addEventListener("pointermove", (event) => {
      if (start === null) return;
      const ends = [start, ppmAt(event)].map((ppm) => left + ((from - ppm) / (from - to)) * width);
      rubber.setAttribute("x", Math.min(...ends));
      rubber.setAttribute("width", Math.abs(ends[0] - ends[1]));
      rubber.setAttribute("y", 0);
      rubber.setAttribute("height", ticks.dataset.y);
      svg.append(rubber);
    });
    svg.addEventListener("pointerup", (event) => {
      if (start === null) return;
      const end = ppmAt(event), ends = [Math.max(start, end), Math.min(start, end)];
      start = null;
      rubber.remove();
      if (ends[0] - ends[1] > 0.03) show(Math.min(high, ends[0]), Math.max(low, ends[1]));
    });
    svg.addEventListener("dblclick", actions.all);
  }

  // One subject everywhere: its lines and points in the figures, its rows in the tables.
  const bar = document.querySelector("[data-selection]");
  if (bar) linked(bar);

  function linked(bar) {
    const marked = new Map(), name = bar.querySelector("[data-name]"), page = bar.querySelector("a");
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.hidden = true;
    document.body.append(tip);
    for (const element of all("[data-subject]")) {
      const id = element.dataset.subject;
      if (!marked.has(id)) marked.set(id, []);
      marked.get(id).push(element);
    }
    let selected = null;

    function select(id) {
      for (const element of marked.get(selected) || []) element.classList.remove("on");
      selected = id === selected ? null : id;
      for (const element of marked.get(selected) || []) element.classList.add("on");
      root.classList.toggle("has-selection", selected !== null);
      for (const button of all("[data-select]")) {
        button.setAttribute("aria-pressed", String(button.dataset.select === selected));
      }
      const row = selected === null ? null : all("tr[data-page]").find((one) => one.dataset.subject === selected);
      bar.hidden = selected === null;
      name.textContent = selected === null ? "" : [selected, row?.dataset.group].filter(Boolean).join(", ");
      page.hidden = !row;
      if (row) page.href = row.dataset.page;
    }

    document.addEventListener("click", (event) => {
      if (event.target.closest("a, summary, input, label")) return;
      const button = event.target.closest("[data-select]");
      const element = event.target.closest("[data-subject]");
      if (button) select(button.dataset.select);
      else if (element && !event.target.closest("button")) select(element.dataset.subject);
    });
    bar.querySelector("button").addEventListener("click", () => select(selected));
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && selected !== null) select(selected);
    });
    for (const figure of all("figure svg")) {
      figure.addEventListener("pointermove", (event) => {
        const element = event.target.closest("[data-subject]");
        tip.hidden = !element;
        if (!element) return;
        tip.textContent = element.dataset.subject;
        tip.style.left = `${event.pageX + 12}px`;
        tip.style.top = `${event.pageY + 12}px`;
      });
      figure.addEventListener("pointerleave", () => { tip.hidden = true; });
    }
  }

  // Tables that can be searched and sorted.
  const number = (text) => Number((text.replace(/−/g, "-").match(/-?\d+(\.\d+)?/) || [NaN])[0]);
  for (const box of all("input[data-search]")) {
    const rows = all("tbody tr", document.getElementById(box.dataset.search)), told = box.closest(".tools").querySelector("output");
    box.closest(".tools").hidden = false;
    box.addEventListener("input", () => {
      const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
      let n = 0;
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        n += row.hidden ? 0 : 1;
      }
      told.textContent = words.length ? `${n} of ${rows.length}` : "";
    });
  }
  for (const table of all("table[data-sortable]")) {
    const heads = all("thead th", table), body = table.tBodies[0];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const cell = (row) => row.cells[column].textContent.trim();
        const exact = (row) => row.cells[column].querySelector("data")?.value;
        const value = head.classList.contains("num") ? (row) => Number(exact(row) ?? number(cell(row))) : cell;
        const order = (a, b) => {
          const [x, y] = [value(a), value(b)];
          if (typeof x === "string") return x.localeCompare(y, "en", { numeric: true });
          if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
          return x - y;
        };
        const rows = [...body.rows], missing = (row) => typeof value(row) === "number" && Number.isNaN(value(row));
        const known = rows.filter((row) => !missing(row)).sort(order);
        body.append(...(down ? known.reverse() : known), ...rows.filter(missing));
      });
    });
  }
})();
