// Takes the login code from the fragment of the URL (after the #, which browsers do not send to servers) and submits it once.
// If the browser already has a session (a SameSite cookie is not sent when another site links here), redirects to the page.
const code = location.hash.slice(1);
const form = document.getElementById("login");
if (/^[A-Za-z0-9_-]{20,300}$/.test(code)) {
  history.replaceState(null, "", location.pathname + location.search);
  form.elements.code.value = code;
  form.submit();
} else if (!document.querySelector("[role=alert]")) {
  fetch("/login").then((response) => response.text()).then((text) => {
    const page = new DOMParser().parseFromString(text, "text/html");
    if (page.querySelector("#login[data-logged-in]")) location.replace(form.elements.next.value);
  }).catch(() => {});
}
