// A link to the lines of a task (`?q=…` in the URL of a run) searches the log for its label.
const text = new URLSearchParams(location.search).get("q");
const search = document.getElementById("log-search");
if (text && search) {
  search.value = text;
  search.dispatchEvent(new Event("input"));
}
