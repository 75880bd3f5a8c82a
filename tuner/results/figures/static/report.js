// Draws the figures that stand in the file itself.
"use strict";
(async function () {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  for (const name of Object.keys(figures)) {
    await window.tunerFigures.draw(document.getElementById("fig-" + name), figures[name]);
  }
  document.body.dataset.drawn = "yes";
})();
