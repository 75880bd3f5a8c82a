// What every page does: times in local words, copying, keys.
"use strict";
(function () {
  function words(seconds) {
    if (seconds < 2) return "just now";
    if (seconds < 60) return `${Math.round(seconds)} s ago`;
    const minutes = Math.round(seconds / 60);
    if (minutes < 60) return `${minutes} min ago`;
    const hours = Math.floor(minutes / 60);
    if (hours < 24) return `${hours} h ${minutes % 60} min ago`;
    return `${Math.floor(hours / 24)} d ago`;
  }

  function tell() {
    for (const time of document.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      if (isNaN(at)) continue;
      if (!time.title) time.title = at.toLocaleString();
      time.textContent = "ago" in time.dataset ? words((Date.now() - at) / 1000) : at.toLocaleString([], { dateStyle: "medium", timeStyle: "medium" });
    }
  }

  function announce(text) {
    const place = document.getElementById("announce");
    place.textContent = "";
    setTimeout(() => { place.textContent = text; }, 50);
  }

  // Without TLS and not on this machine, browsers offer the old way alone.
  async function copy(text) {
    if (navigator.clipboard) { await navigator.clipboard.writeText(text); return; }
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "hidden";
    document.body.append(area);
    area.select();
    const isDone = document.execCommand("copy");
    area.remove();
    if (!isDone) throw new Error("refused");
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-copy]");
    if (!button) return;
    const label = button.textContent;
    try {
      await copy(button.dataset.copy);
      button.textContent = "Copied";
      announce("copied");
    } catch {
      button.textContent = "Not allowed";
    }
    setTimeout(() => { button.textContent = label; }, 1500);
  });

  // Actions: asked, sent as JSON with a header that no form can set, answered in a sentence.
  const ask = document.getElementById("ask");
  let asked = null;

  function openAction(button) {
    asked = button;
    document.getElementById("ask-text").textContent = button.dataset.ask;
    document.getElementById("ask-fault").textContent = "";
    const names = { trials: "trials", steps: button.dataset.steps, seconds: "time (12h)", device_seconds: "device time (in hours)", target: "target" };
    const fields = (button.dataset.field || "").split(" ").filter(Boolean).map((name) => {
      const label = document.createElement("label");
      const input = document.createElement(name === "params" ? "textarea" : "input");
      input.name = name;
      input.maxLength = 500;
      label.append(names[name] || name, input);
      return label;
    });
    document.getElementById("ask-fields").replaceChildren(...fields);
    ask.showModal();
  }

  async function sendAction(event) {
    event.preventDefault();
    const given = {};
    for (const field of ask.querySelectorAll("input, textarea")) if (field.value.trim()) given[field.name] = field.value.trim();
    if (asked.dataset.number) given.number = Number(asked.dataset.number);
    const study = location.pathname.split("/")[2];
    const yes = document.getElementById("ask-yes");
    yes.disabled = true;
    try {
      const answer = await fetch(`/s/${study}/actions/${asked.dataset.action}`, {
        method: "POST", credentials: "same-origin", body: JSON.stringify(given),
        headers: { "content-type": "application/json", "x-tuner-action": "1" },
      });
      const said = await answer.json().catch(() => ({ error: `refused (${answer.status})` }));
      if (said.error) { document.getElementById("ask-fault").textContent = said.error; return; }
      ask.close();
      announce(`done: ${said.done}`);
      if (!document.getElementById("board")) setTimeout(() => location.reload(), 600);
    } catch {
      document.getElementById("ask-fault").textContent = "the server did not answer: look whether it was done";
    } finally {
      yes.disabled = false;
    }
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-action]");
    if (button) { button.closest("details")?.removeAttribute("open"); openAction(button); }
  });
  ask.querySelector("form").addEventListener("submit", sendAction);
  document.getElementById("ask-no").addEventListener("click", () => ask.close());

  // Keys.
  const help = document.getElementById("help");
  document.getElementById("help-open").addEventListener("click", () => help.showModal());
  let at = -1;

  function moveRow(by) {
    const rows = [...document.querySelectorAll("table.list tbody tr")];
    if (!rows.length) {
      document.querySelector(by > 0 ? 'a[rel="next"]' : 'a[rel="prev"]')?.click();
      return;
    }
    at = Math.min(rows.length - 1, Math.max(0, at + by));
    rows.forEach((row, i) => row.classList.toggle("at", i === at));
    rows[at].querySelector("a")?.focus();
    rows[at].scrollIntoView({ block: "nearest" });
  }

  document.addEventListener("keydown", (event) => {
    const menu = event.key === "Escape" && document.querySelector("details.menu[open]");
    if (menu && !document.querySelector("dialog[open]")) {
      menu.removeAttribute("open");
      menu.querySelector("summary").focus();
    }
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.target.closest("input, select, textarea")) return;
    const study = location.pathname.startsWith("/s/") ? location.pathname.split("/")[2] : null;
    const keys = {
      "?": () => help.showModal(),
      "/": () => {
        const filter = document.getElementById("filter");
        if (filter) filter.focus();
        else if (study) location.href = `/s/${study}/trials?focus=filter`;
      },
      j: () => moveRow(1),
      k: () => moveRow(-1),
      b: () => (document.getElementById("best-link") || document.querySelector("tr.best a"))?.click(),
      g: () => { location.href = "/"; },
      o: () => { if (study) location.href = `/s/${study}`; },
      t: () => { if (study) location.href = `/s/${study}/trials`; },
    };
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });
  if (new URLSearchParams(location.search).get("focus") === "filter") document.getElementById("filter")?.focus();

  // Pages with one plot name its address.
  async function drawPlots() {
    for (const plot of document.querySelectorAll(".plot[data-src]")) {
      const narrow = innerWidth < 700 && plot.dataset.src.includes("/analysis/") ? "&narrow=1" : "";
      const answer = await fetch(plot.dataset.src + narrow, { credentials: "same-origin" });
      if (!answer.ok) continue;
      const { figures } = await answer.json();
      for (const figure of Object.values(figures)) {
        figure.name = plot.id.replace("fig-", "");
        await window.tunerFigures.draw(plot, figure);
      }
      plot.dataset.drawn = "yes";
    }
  }
  // This script comes last: plotly.js is there.
  drawPlots();

  tell();
  setInterval(tell, 5000);
  window.tunerPage = { tell, announce };
})();
