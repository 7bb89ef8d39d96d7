// Side sheets: each opens while the URL ends with its id, as in #run, and closes with Escape, its button or a click beside it. Without scripts, they are sections of the page that the same links lead to.
const isShown = (sheet) => location.hash === `#${sheet.id}`;

function showFromUrl(sheets) {
  for (const sheet of sheets) {
    if (sheet.open && !isShown(sheet)) sheet.close();
    if (sheet.open || !isShown(sheet)) continue;
    sheet.showModal();
    sheet.querySelector("form :is(input, select, textarea, button):not(:disabled)")?.focus();
  }
}

export function bindSheets() {
  const sheets = [...document.querySelectorAll("dialog.sheet")];
  if (!sheets.length) return;
  for (const sheet of sheets) {
    sheet.removeAttribute("open");
    const button = sheet.querySelector("[data-close]");
    button.disabled = false;
    button.addEventListener("click", () => sheet.close());
    sheet.addEventListener("click", (event) => { if (event.target === sheet) sheet.close(); });
    sheet.addEventListener("close", () => {
      if (isShown(sheet)) history.replaceState(null, "", location.pathname + location.search);
      // The link lost the focus when the URL changed, or an update of the page has replaced it.
      document.querySelector(`a[href="#${sheet.id}"]`)?.focus();
    });
  }
  window.addEventListener("hashchange", () => showFromUrl(sheets));
  showFromUrl(sheets);
}
