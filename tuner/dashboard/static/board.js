// The page of a study: draws its figures, and follows what changes.
"use strict";
(function () {
  const board = document.getElementById("board");
  const base = "/s/" + board.dataset.name;
  const live = document.getElementById("live");
  const shown = {}; // hash of each figure that is drawn
  let wanted = {};
  let best = null;
  let isFollowing = false; // what the page came with is no news
  let isBusy = false;

  const openTrial = (number) => { location.href = `${base}/t/${number}`; };

  async function drawFigures(names) {
    const answer = await fetch(`${base}/figures?names=${names.join(",")}`, { credentials: "same-origin" });
    if (!answer.ok) throw new Error(answer.status);
    const { figures } = await answer.json();
    for (const name of names) {
      if (!figures[name]) continue;
      await window.tunerFigures.draw(document.getElementById("fig-" + name), figures[name], openTrial);
    }
  }

  // One at a time: while a plot is drawn, newer ones wait and older ones are skipped.
  async function catchUp() {
    if (isBusy || document.hidden) return;
    isBusy = true;
    try {
      for (;;) {
        const names = Object.keys(wanted).filter((name) => wanted[name] !== shown[name]);
        if (!names.length) break;
        const target = { ...wanted };
        const began = performance.now();
        await drawFigures(names);
        for (const name of names) shown[name] = target[name];
        const rest = Math.max(400, 1.5 * (performance.now() - began));
        await new Promise((resolve) => setTimeout(resolve, rest));
      }
    } catch (error) {
      setTimeout(catchUp, 2000);
    } finally {
      isBusy = false;
    }
  }

  function replacePart(part, html) {
    const place = document.getElementById("part-" + part);
    if (!place || place.dataset.html === html) return;
    place.dataset.html = html;
    const focused = place.contains(document.activeElement) ? document.activeElement.id : "";
    const isOpen = [...place.querySelectorAll("details[open]")].map((d) => d.id);
    const parsed = new DOMParser().parseFromString(html, "text/html");
    place.replaceChildren(...parsed.body.childNodes);
    for (const id of isOpen) document.getElementById(id)?.setAttribute("open", "");
    if (focused) document.getElementById(focused)?.focus();
  }

  function onState(event) {
    const news = JSON.parse(event.data);
    live.textContent = "live";
    live.className = "live on";
    for (const part of Object.keys(news.parts)) replacePart(part, news.parts[part]);
    window.tunerPage.tell();
    if (isFollowing && news.best && news.best.value !== best?.value) {
      window.tunerPage.announce(`new best ${news.metric}: ${news.best.value.toPrecision(5)}, trial ${news.best.number}`);
    }
    best = news.best;
    isFollowing = true;
    wanted = news.figures;
    board.dataset.version = news.version;
    catchUp();
  }

  // A tab that nobody sees does not listen: a browser has six connections to a host.
  let source = null;
  function connect() {
    if (document.hidden || (source && source.readyState !== EventSource.CLOSED)) return;
    source = new EventSource(base + "/live");
    source.addEventListener("state", onState);
    source.addEventListener("trouble", (event) => {
      live.textContent = JSON.parse(event.data).message;
      live.className = "live off";
    });
    source.onerror = () => {
      live.textContent = "reconnecting";
      live.className = "live off";
      if (source.readyState === EventSource.CLOSED) setTimeout(connect, 2000);
    };
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) source?.close();
    else { connect(); catchUp(); }
  });
  drawFigures(["history", "curves", "fleet", "importance", "slices", "overfitting"])
    .then(() => { board.dataset.drawn = "yes"; })
    .catch(() => {})
    .finally(connect);
})();
