// Draws the charts of a page from the data in it, and helps to find a cell. Pages can be read without it.
"use strict";

(() => {
  const UNIT = 19; // height of a line of the weight map, in pixels
  const LEFT = 196; // room for its brackets
  const AFTER = 92; // room for the mean weight behind a line
  const WIDEST = 22; // of a token's square

  const shown = (weight) => (typeof weight === "number" ? weight.toPrecision(6) : weight);

  function token(line, i, words, kinds) {
    const kind = line.kinds[i];
    const right = line.trained[i] ? line.right : 0;
    const weight = line.weights[i];
    const place = `micro-batch ${line.micro}, rank ${line.rank}, ${line.row}, position ${i + 1}`;
    return {
      from: i, to: i + 1, middle: i + 0.5, top: line.top, bottom: line.top + 1, centre: line.top + 0.52,
      kind, mark: kinds[kind].mark, meaning: kinds[kind].meaning, word: words[line.ids[i]] || "?", id: line.ids[i],
      weight: shown(weight), right, place,
      ratio: right && typeof weight === "number" ? (weight / right).toPrecision(4) : "-",
      said: `${place}: ${kind}, weight ${shown(weight)}, right ${right}`,
    };
  }

  // A line of the map is told in lists; a mark needs an entry of its own.
  function weights(data, kinds) {
    const tokens = data.lines.flatMap((line) => line.kinds.map((_, i) => token(line, i, data.words, kinds)));
    return {
      tokens,
      marks: tokens.filter((t) => t.mark),
      lines: data.lines.map((l) => ({ row: l.row, mean: l.mean, wrong: l.wrong, centre: l.top + 0.52, end: l.kinds.length })),
      brackets: data.brackets.map((b) => ({
        ...b, inner_top: b.top + 0.08, inner_bottom: b.bottom - 0.08, centre: (b.top + b.bottom) / 2,
      })),
    };
  }

  function sized(spec, figure, data, width) {
    if (figure.chart === "weights") {
      const longest = Math.max(1, ...data.lines.map((l) => l.end));
      const room = Math.max(420, width - LEFT - AFTER);
      spec.width = Math.min(room, longest * WIDEST);
      spec.height = figure.height * UNIT;
    } else if (figure.chart === "curves") {
      const columns = width < 560 ? 1 : width < 1200 ? 2 : 4;
      spec.columns = columns;
      // A panel that nothing is drawn on has no scale.
      spec.concat = spec.concat.filter((panel) => data.points.some((point) => point.what === panel.title));
      // One list for all channels, or each would have a legend of its own.
      for (const panel of spec.concat) {
        panel.width = Math.max(180, Math.floor(width / columns) - 78);
        panel.height = 190;
        for (const layer of panel.layer) {
          for (const channel of ["color", "shape", "strokeDash"]) {
            if (layer.encoding[channel]) layer.encoding[channel].scale.domain = data.who;
          }
        }
      }
    } else if (figure.chart === "heat") {
      spec.columns = Math.max(1, Math.floor((width - 150) / (42 * figure.across + 20)));
    } else {
      spec.width = Math.max(160, Math.min(460, width - 240));
    }
  }

  function draw(place, figure, kinds) {
    const width = place.clientWidth || document.querySelector("main").clientWidth;
    const spec = structuredClone(window.LOCKSTEP_CHARTS[figure.chart]);
    const data = figure.chart === "weights" ? weights(figure.data, kinds) : figure.data;
    spec.datasets = data;
    sized(spec, figure, data, width);
    // `ast`: expressions are interpreted, so that the page needs no leave to make code.
    return window.vegaEmbed(place, spec, { actions: false, renderer: "svg", ast: true, hover: false });
  }

  function charts() {
    const page = JSON.parse(document.getElementById("figures").textContent);
    const drawn = page.figures.map((f) => draw(document.getElementById(f.id), f, page.kinds));
    return Promise.all(drawn).then(() => document.documentElement.classList.add("drawn"));
  }

  // One step of a map at a time on the screen; on paper, and without this script, all of them.
  function steps() {
    for (const set of document.querySelectorAll("fieldset.steps")) {
      const show = () => {
        const chosen = set.querySelector("input:checked").value;
        for (const part of document.querySelectorAll(`[data-step-of="${set.dataset.of}"]`)) {
          part.classList.toggle("unchosen", chosen !== "all" && part.dataset.step !== chosen);
        }
      };
      set.addEventListener("change", show);
      set.hidden = false;
      show();
    }
  }

  function copying() {
    for (const button of document.querySelectorAll("button.copy")) {
      button.hidden = false;
      button.addEventListener("click", () => {
        const text = document.getElementById(button.dataset.copies).textContent;
        const done = () => { button.textContent = "copied"; };
        const selected = () => {
          getSelection().selectAllChildren(document.getElementById(button.dataset.copies));
          button.textContent = "selected: press Ctrl+C";
        };
        if (navigator.clipboard) navigator.clipboard.writeText(text).then(done, selected);
        else selected();
      });
    }
  }

  // Every word must be in a cell's name, verdict or diagnosis.
  function filter() {
    const box = document.getElementById("filter");
    if (!box) return;
    const cells = [...document.querySelectorAll("[data-told]")];
    const told = cells.map((c) => c.dataset.told.toLowerCase());
    const apply = () => {
      const wanted = box.value.toLowerCase().split(/\s+/).filter(Boolean);
      cells.forEach((c, i) => c.classList.toggle("unsought", !wanted.every((w) => told[i].includes(w))));
      for (const row of document.querySelectorAll(".matrix tbody tr")) {
        row.hidden = !row.querySelector("[data-told]:not(.unsought)");
      }
      const links = cells.filter((c) => c.matches("a"));
      const left = links.filter((c) => !c.classList.contains("unsought")).length;
      document.getElementById("found").textContent = wanted.length ? `${left} of ${links.length} cells` : "";
    };
    box.closest("form").hidden = false;
    box.addEventListener("input", apply);
    box.closest("form").addEventListener("submit", (event) => event.preventDefault());
    apply();
  }

  steps();
  copying();
  filter();
  if (document.getElementById("figures")) charts();
})();
