// Puts everything in its place, and draws again where the width, the colours or the medium change.

const DRAW = { curves: drawCurves, points: drawPoints, hours: drawHours };

document.documentElement.classList.add("scripted");
startExplorer();
for (const figure of document.querySelectorAll("figure[data-chart]")) DRAW[figure.dataset.chart](figure);

let width = document.documentElement.clientWidth;
addEventListener("resize", () => {
  if (printing || document.documentElement.clientWidth === width) return;
  width = document.documentElement.clientWidth;
  drawAll();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);

// Paper is white, everything that is folded is open, and only the first page of jobs is printed.
let folded = [];
function onPaper(on) {
  if (printing === on) return;
  printing = on;
  document.documentElement.classList.toggle("paper", on);
  if (on) {
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const each of folded) each.open = true;
  } else {
    for (const each of folded) each.open = false;
  }
  drawAll();
}
addEventListener("beforeprint", () => onPaper(true));
addEventListener("afterprint", () => onPaper(false));
matchMedia("print").addEventListener("change", (event) => onPaper(event.matches));
