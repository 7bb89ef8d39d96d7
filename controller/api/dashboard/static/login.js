// Takes the code out of the address (after the #, which no server and no log has seen) and sends it once. Where the
// browser has a session already (it did not send it because another site led here), it goes on to the page.
const code = location.hash.slice(1);
const form = document.getElementById("login");
if (/^[A-Za-z0-9_-]{20,300}$/.test(code)) {
  history.replaceState(null, "", location.pathname + location.search);
  form.elements.code.value = code;
  form.submit();
} else if (!document.querySelector("[role=alert]")) {
  fetch("/login").then((answer) => answer.text()).then((text) => {
    const page = new DOMParser().parseFromString(text, "text/html");
    if (page.querySelector("#login[data-known]")) location.replace(form.elements.next.value);
  }).catch(() => {});
}
