// Ask for confirmation in a modal dialog; resolves to true if the user confirms. Escape means no, and "No" has the initial focus.
// The label is red if the button is.
// For a button with a default reason (data-reason), the dialog has a field for another one; the reason becomes the body of the request.
export function confirmAction(question, confirmLabel, button = null) {
  const dialog = document.getElementById("ask");
  const yes = document.getElementById("ask-yes");
  const field = document.getElementById("ask-reason");
  const asksReason = button !== null && "reason" in button.dataset;
  document.getElementById("ask-question").textContent = question;
  yes.textContent = confirmLabel;
  yes.className = button?.classList.contains("danger") ? "danger" : "primary";
  field.parentElement.hidden = !asksReason;
  field.value = "";
  field.onkeydown = (event) => {
    if (event.key !== "Enter") return; // the browser would press the first button
    event.preventDefault();
    yes.click();
  };
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => {
    const isConfirmed = dialog.returnValue === "yes";
    if (isConfirmed && asksReason) button.dataset.body = JSON.stringify({ reason: field.value.trim() || button.dataset.reason });
    resolve(isConfirmed);
  }, { once: true }));
}
