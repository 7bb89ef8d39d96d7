// Ask for confirmation in a modal dialog; resolves to true if the user confirms. Escape means no, and "No" has the initial focus.
export function confirmAction(question, confirmLabel) {
  const dialog = document.getElementById("ask");
  document.getElementById("ask-question").textContent = question;
  document.getElementById("ask-yes").textContent = confirmLabel;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}
