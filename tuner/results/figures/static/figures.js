// Draws the figures of tuner/results with plotly.js, in the colours of the page.
"use strict";
(function () {
  // plotly.js writes some styles as attributes, which our content policy refuses: the same by CSSOM.
  const setAttribute = Element.prototype.setAttribute;
  Element.prototype.setAttribute = function (name, value) {
    if (name === "style" && this.style) this.style.cssText = value;
    else setAttribute.call(this, name, value);
  };

  const palette = {};
  const names = ["complete", "pruned", "fail", "running", "released", "best", "band", "median", "rung", "idle", "paper", "text", "soft", "grid", "line", "accent"];

  function readPalette() {
    const style = getComputedStyle(document.documentElement);
    for (const name of names) palette[name] = style.getPropertyValue("--" + name).trim();
  }

  // "@complete" or "@complete/0.4".
  function colour(text) {
    const [name, alpha] = text.slice(1).split("/");
    const found = palette[name] || palette.soft;
    if (alpha === undefined || !/^#[0-9a-f]{6}$/i.test(found)) return found;
    const part = (at) => parseInt(found.slice(at, at + 2), 16);
    return `rgba(${part(1)},${part(3)},${part(5)},${alpha})`;
  }

  const coloured = new Set(["color", "fillcolor", "bgcolor", "bordercolor", "linecolor", "gridcolor"]);
  function paint(value, key) {
    if (typeof value === "string") return coloured.has(key) && value[0] === "@" ? colour(value) : value;
    if (Array.isArray(value)) {
      // Columns of numbers are most of a figure: nothing to paint in them.
      if (!value.length || typeof value[0] === "number" || value[0] === null) return value;
      return value.map((item) => paint(item, key));
    }
    if (value && typeof value === "object") {
      const painted = {};
      for (const name of Object.keys(value)) painted[name] = paint(value[name], name);
      return painted;
    }
    return value;
  }

  const isNarrow = () => window.innerWidth < 700;

  function axes(layout) {
    const base = {
      color: palette.soft, gridcolor: palette.grid, zerolinecolor: palette.grid, linecolor: palette.line,
      tickfont: { size: 10.5 }, automargin: true, zeroline: false, ticks: "", showline: false,
    };
    const done = {};
    for (const key of Object.keys(layout)) {
      if (!/^[xy]axis\d*$/.test(key)) continue;
      const given = layout[key];
      const title = given.title ? { standoff: 6, font: { size: 11 }, ...given.title } : undefined;
      done[key] = { ...base, ...given, ...(title ? { title } : {}) };
      if (given.type === "log" && given.range && !given.tickmode && given.dtick === undefined) {
        const span = Math.abs(given.range[1] - given.range[0]);
        if (span > 1.6) done[key].dtick = 1;
      }
      if (given.type === "log") done[key].exponentformat = "power";
    }
    return done;
  }

  // A range that the user has chosen stays until a double click, whatever comes in, and is a part of
  // the address: `#history.xaxis=1~20.5`.
  const zooms = new Map([...new URLSearchParams(location.hash.slice(1))]
    .filter(([key, text]) => /^[\w-]+\.[xy]axis\d*$/.test(key) && text.split("~").length === 2)
    .map(([key, text]) => [key, text.split("~").map((end) => (Number.isNaN(Number(end)) ? end : Number(end)))]));
  let nResets = 0;
  let resetAt = -Infinity;
  let opening; // the timer that opens a trial

  function zoom(name, layout) {
    for (const axis of Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key))) {
      const range = zooms.get(`${name}.${axis}`);
      if (range) layout[axis] = { ...layout[axis], range: [...range], autorange: false };
    }
    return layout;
  }

  function keepZooms() {
    const text = [...zooms].map(([key, range]) => `${key}=${range.map(encodeURIComponent).join("~")}`).join("&");
    try {
      history.replaceState(null, "", text ? "#" + text : location.pathname + location.search);
    } catch { /* a page without an address of its own */ }
  }

  function onRelayout(plot, name, change) {
    const axes = new Set(Object.keys(change).map((key) => /^([xy]axis\d*)\.range/.exec(key)?.[1]).filter(Boolean));
    if (!axes.size) return;
    for (const axis of axes) zooms.set(`${name}.${axis}`, plot.layout[axis].range.slice());
    keepZooms();
  }

  function resetZoom(plot, name) {
    for (const key of [...zooms.keys()]) if (key.startsWith(name + ".")) zooms.delete(key);
    clearTimeout(opening);
    resetAt = performance.now();
    nResets += 1; // what plotly.js itself remembers of the plot goes, too
    keepZooms();
    const { figure, onTrial } = drawn.get(plot);
    draw(plot, figure, onTrial);
  }

  function layoutOf(figure) {
    const given = paint(figure.layout, "");
    return zoom(figure.name, {
      margin: { l: 8, r: 12, t: given.showlegend ? 22 : 6, b: 8 },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 11, color: palette.text },
      hoverlabel: { bgcolor: palette.paper, bordercolor: palette.line, font: { color: palette.text, size: 12 }, namelength: 40 },
      legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom", font: { size: 10.5, color: palette.soft }, itemsizing: "trace", bgcolor: "rgba(0,0,0,0)", itemwidth: 30, tracegroupgap: 4 },
      hovermode: "closest", dragmode: isNarrow() ? false : "zoom", uirevision: nResets, autosize: true,
      modebar: { orientation: "v" },
      ...given, ...axes(given),
    });
  }

  const config = { displayModeBar: false, displaylogo: false, responsive: true, showTips: false, doubleClick: false, topojsonURL: "", plotlyServerURL: "" };
  const drawn = new Map();

  function nothing(plot, text) {
    if (window.Plotly) window.Plotly.purge(plot);
    plot.replaceChildren();
    const box = document.createElement("p");
    box.className = "nothing";
    box.textContent = text;
    plot.append(box);
  }

  async function draw(plot, figure, onTrial) {
    drawn.set(plot, { figure, onTrial });
    plot.setAttribute("aria-label", `${figure.title}: ${figure.summary || figure.empty}`);
    const note = document.getElementById("note-" + figure.name);
    if (note) { note.textContent = figure.note; note.title = figure.note; }
    if (figure.empty) { nothing(plot, figure.empty); return; }
    if (plot.querySelector(".nothing")) plot.replaceChildren();
    const isFirst = !plot.classList.contains("js-plotly-plot");
    await window.Plotly.react(plot, paint(figure.data, ""), layoutOf(figure), config);
    if (isFirst) {
      plot.on("plotly_relayout", (change) => onRelayout(plot, figure.name, change));
      plot.on("plotly_doubleclick", () => resetZoom(plot, figure.name));
    }
    if (isFirst && onTrial) {
      plot.on("plotly_click", (event) => {
        const number = event.points.length ? event.points[0].customdata : null;
        if (typeof number !== "number") return;
        // In a zoomed plot, this may be a half of a double click.
        const isZoomed = [...zooms.keys()].some((key) => key.startsWith(figure.name + "."));
        clearTimeout(opening);
        if (performance.now() > resetAt + 400) opening = setTimeout(onTrial, isZoomed ? 400 : 0, number);
      });
    }
    if (isFirst) plot.removeAttribute("tabindex");
  }

  function redraw() {
    readPalette();
    for (const [plot, { figure, onTrial }] of drawn) draw(plot, figure, onTrial);
  }

  // Paper is light, and narrower than most screens: the plots are drawn for it, and back again.
  function setPrinting(isPrinting) {
    document.documentElement.classList.toggle("printing", isPrinting);
    const style = document.getElementById("print-style");
    if (style) style.media = isPrinting ? "all" : "print";
    redraw();
  }

  readPalette();
  window.addEventListener("beforeprint", () => setPrinting(true));
  window.addEventListener("afterprint", () => setPrinting(false));
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  window.tunerFigures = { draw, redraw };
})();
