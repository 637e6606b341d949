"use strict";
// Brings the table up to date after a change, without reloading the page.

const listing = {
  timer: 0,
  tookMs: 0,
  requests: 0,
  /** The number of the request whose response is shown. */
  shown: 0,

  /** Shows a change soon. A large listing takes long, so it is requested less often. */
  schedule() {
    if (this.timer === 0) this.timer = setTimeout(() => this.refresh(), Math.min(30_000, 300 + 10 * this.tookMs));
  },

  /** Shows all changes up to now. Returns whether the server has sent a listing. */
  async refresh() {
    // A change after the server has read the folder needs another request.
    clearTimeout(this.timer);
    this.timer = 0;
    this.requests += 1;
    const number = this.requests;
    const startedAt = performance.now();
    try {
      const { status, response } = await send("GET", location.pathname + location.search, { responseType: "document", fields: { Accept: "text/html" } });
      if (status !== 200) return false;
      // A later request may have been faster. Its listing is newer.
      if (number > this.shown) {
        this.shown = number;
        this.show(response);
      }
      return true;
    } catch {
      return false;
    } finally {
      this.tookMs = performance.now() - startedAt;
    }
  },

  /** Rows that are the same stay in place, so that focus, scroll position and the state of each row are kept. */
  show(page) {
    const table = document.getElementById("list");
    const body = table.tBodies[0];
    const focused = body.contains(document.activeElement) ? document.activeElement.closest("tr") : null;
    const existing = new Map(Array.from(body.rows, (row) => [hrefOf(row), row]));
    const rows = Array.from(page.getElementById("list").tBodies[0].rows, (row) => {
      const same = existing.get(hrefOf(row));
      return same !== undefined && versionText(same) === versionText(row) ? same : row;
    });
    const kept = new Set(rows);
    for (const row of Array.from(body.rows)) if (!kept.has(row)) row.remove();
    let next = body.firstElementChild;
    for (const row of rows) {
      if (row === next) next = next.nextElementSibling;
      else body.insertBefore(row, next);
    }
    document.querySelector("footer p").replaceWith(page.querySelector("footer p"));
    table.dispatchEvent(new Event("rowschange"));
    if (focused !== null && !body.contains(document.activeElement)) rowOf(hrefOf(focused))?.querySelector("a").focus();
  },
};

/** The link of a row identifies its entry: different names may look the same. */
function hrefOf(row) {
  return row.querySelector("a")?.getAttribute("href") ?? row.id;
}

/** The row of an entry, if it is listed. */
function rowOf(href) {
  return Array.from(document.getElementById("list").tBodies[0].rows).find((row) => hrefOf(row) === href);
}

function versionText(row) {
  return `${row.querySelector("data")?.value} ${row.querySelector("time")?.dateTime}`;
}
