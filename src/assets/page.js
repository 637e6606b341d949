"use strict";
(() => {
  const list = document.getElementById("list");
  const filter = document.getElementById("filter");
  const count = document.getElementById("count");
  const body = list.tBodies[0];
  let named, up, entries;
  const findRows = () => {
    // The first link of a row is that of the name. A selector such as "th a" would take quadratic time.
    named = Array.from(body.rows)
      .map((row) => ({ row, link: row.querySelector("a") }))
      .filter((each) => each.link !== null);
    up = named.find((each) => each.row.id === "up")?.link;
    entries = named.filter((each) => each.link !== up);
  };

  // Times are shown in the user's time zone, and relative to today if they are recent.
  const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
  const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
  const date = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
  const exact = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "long" });
  const now = new Date();
  const midnight = (days) => new Date(now.getFullYear(), now.getMonth(), now.getDate() + days);
  const [yesterday, today, tomorrow] = [midnight(-1), midnight(0), midnight(1)];
  const relative = (time) => {
    if (time >= today && time < tomorrow) return `today ${clock.format(time)}`;
    if (time >= yesterday && time < today) return `yesterday ${clock.format(time)}`;
    if (time.getFullYear() === now.getFullYear()) return `${day.format(time)}, ${clock.format(time)}`;
    return date.format(time);
  };
  const showLocalTimes = () => {
    for (const element of body.querySelectorAll("time")) {
      const time = new Date(element.dateTime);
      element.textContent = relative(time);
      element.title = exact.format(time);
    }
  };
  const zone = document.getElementById("zone");
  if (zone) zone.hidden = true;
  // The end of the link.
  const expiry = document.querySelector("#expiry time");
  if (expiry) expiry.textContent = exact.format(new Date(expiry.dateTime));

  // The filter shows the entries whose names contain every word, without regard to case and accents.
  const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const apply = () => {
    const words = fold(filter.value).split(/\s+/).filter((word) => word !== "");
    let shown = 0;
    for (const entry of entries) {
      entry.folded ??= fold(entry.link.textContent);
      const matches = words.every((word) => entry.folded.includes(word));
      if (entry.row.hidden === matches) entry.row.hidden = !matches;
      if (matches) shown += 1;
    }
    count.textContent = words.length === 0 ? "" : `${shown} of ${entries.length} shown`;
  };
  // At most once per frame, however fast the user types.
  let isWaiting = false;
  filter.addEventListener("input", () => {
    if (isWaiting) return;
    isWaiting = true;
    requestAnimationFrame(() => { isWaiting = false; apply(); });
  });
  // Going back in the browser may restore the words.
  addEventListener("pageshow", () => { if (filter.value !== "") apply(); });

  const showRows = () => {
    findRows();
    showLocalTimes();
    if (entries.length > 1) filter.hidden = false;
    if (filter.value !== "") apply();
  };
  showRows();
  // Uploads add rows.
  list.addEventListener("rowschange", showRows);

  // Arrow keys move between the names, "/" focuses the filter, and Backspace opens the parent folder.
  const move = (key, from) => {
    const all = named.filter((each) => !each.row.hidden).map((each) => each.link);
    const at = all.indexOf(from?.querySelector("a"));
    const targets = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 };
    if (key === "ArrowUp" && at <= 0) {
      if (at === 0 && !filter.hidden) filter.focus();
      return at === 0;
    }
    const link = all[Math.min(targets[key], all.length - 1)];
    link?.focus();
    return link !== undefined;
  };
  const act = (event) => {
    const target = event.target;
    if (target === filter) {
      if (event.key === "Escape" && filter.value !== "") {
        filter.value = "";
        apply();
        return true;
      }
      if (event.key === "Enter") {
        apply();
        const shown = entries.filter((entry) => !entry.row.hidden);
        if (shown.length === 1) shown[0].link.click();
        return true;
      }
      if (event.key !== "ArrowDown") return false;
      apply();
      return move("ArrowDown", null);
    }
    const row = body.contains(target) ? target.closest("tr") : null;
    if (target.closest?.("dialog")) return false;
    if (event.key === "/" && !filter.hidden) {
      filter.focus();
      filter.select();
      return true;
    }
    if (event.key === "Backspace" && up) {
      up.click();
      return true;
    }
    if (event.key === "ArrowDown" && target === document.body) return move("ArrowDown", null);
    return row !== null && ["ArrowDown", "ArrowUp", "Home", "End"].includes(event.key) && move(event.key, row);
  };
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey && event.key !== "/" || event.isComposing) return;
    if (act(event)) event.preventDefault();
  });
})();
