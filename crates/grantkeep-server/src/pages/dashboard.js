"use strict";
// Goes on with the dashboard: asks for new samples, and draws the last five minutes.
const SAMPLES = 300;
const EVERY_MS = 2000;
const WIDTH = 300;
const HEIGHT = 80;
const charts = document.querySelector("[data-source]");
const trouble = document.querySelector("[data-trouble]");
let samples = [];

function short(value, unit) {
  if (unit === "bytes") {
    for (const [size, name] of [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]]) {
      if (value >= size) return (value / size).toFixed(1) + " " + name;
    }
    return value + " B";
  }
  return value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 1 : 0 });
}

// The points of a chart in time: levels as they are, rates between neighbors.
function series(name, isRate) {
  if (!isRate) return samples.map((sample) => [sample.at_ms, sample[name]]);
  return samples.slice(1).map((sample, at) => {
    const before = samples[at];
    const seconds = (sample.at_ms - before.at_ms) / 1000;
    // Totals begin anew when the server does.
    return [sample.at_ms, Math.max(0, sample[name] - before[name]) / seconds];
  });
}

function draw(svg) {
  const [how, names] = svg.dataset.draws.split(":");
  const all = names.split(",").map((name) => series(name, how === "rate"));
  const figure = svg.closest("figure");
  const unit = figure.querySelector("figcaption .quiet").textContent;
  if (!all[0].length) return;
  const end = all[0].at(-1)[0];
  const most = Math.max(...all.flat().map(([, value]) => value));
  all.forEach((points, at) => {
    const drawn = points.map(([when, value]) => {
      const x = WIDTH - ((end - when) / (SAMPLES * 1000)) * WIDTH;
      const y = HEIGHT - 4 - (most ? value / most : 0) * (HEIGHT - 8);
      return x.toFixed(1) + "," + y.toFixed(1);
    });
    svg.children[at].setAttribute("points", drawn.join(" "));
  });
  const latest = all.map((points) => short(points.at(-1)[1], unit)).join(" / ");
  figure.querySelector("[data-latest]").textContent = latest;
  figure.querySelector("[data-most]").textContent = short(most, unit);
}

function kinds(rows) {
  const body = document.querySelector("[data-kinds]");
  const most = rows.length ? rows[0][1] : 0;
  body.replaceChildren(...rows.map(([kind, count]) => {
    const row = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = kind;
    const number = document.createElement("td");
    number.textContent = count;
    const meter = document.createElement("meter");
    Object.assign(meter, { min: 0, max: most, value: count });
    meter.setAttribute("aria-label", "share of " + kind);
    const share = document.createElement("td");
    share.append(meter);
    row.append(head, number, share);
    return row;
  }));
}

async function next() {
  try {
    const last = samples.length ? samples.at(-1).at_ms : 0;
    const answer = await fetch(charts.dataset.source + "?after=" + last, { redirect: "error" });
    if (!answer.ok) throw new Error(String(answer.status));
    const data = await answer.json();
    samples = samples.concat(data.samples).slice(-SAMPLES);
    document.querySelectorAll("[data-draws]").forEach(draw);
    for (const [name, value] of data.now) {
      const place = document.querySelector("[data-now=\"" + CSS.escape(name) + "\"]");
      if (place) place.textContent = value;
    }
    kinds(data.kinds);
    trouble.textContent = "";
  } catch {
    trouble.textContent = "The server does not answer, or you are signed out. Trying again.";
  }
  setTimeout(next, EVERY_MS);
}

next();
