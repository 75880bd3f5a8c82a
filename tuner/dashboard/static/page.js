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

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-copy]");
    if (!button) return;
    const label = button.textContent;
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = "Copied";
      announce("copied");
    } catch {
      button.textContent = "Not allowed";
    }
    setTimeout(() => { button.textContent = label; }, 1500);
  });

  // Pages with one plot name its address.
  async function drawPlots() {
    for (const plot of document.querySelectorAll(".plot[data-src]")) {
      const answer = await fetch(plot.dataset.src, { credentials: "same-origin" });
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
