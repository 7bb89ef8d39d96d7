// A question that is answered before something is done. Escape, or the focus on "No" at first, do nothing.
export function ask(words, yes) {
  const dialog = document.getElementById("ask");
  document.getElementById("ask-words").textContent = words;
  document.getElementById("ask-yes").textContent = yes;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((done) => dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true }));
}
