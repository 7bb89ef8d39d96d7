// Every page: times in the viewer's zone, actions, and what moves. Each part does nothing where its place is missing.
import { showTimes, keepTime } from "./times.js";
import { moveTimes } from "./calendar.js";
import { remember, watch } from "./live.js";
import { bindActions } from "./actions.js";
import { bindForm } from "./quickrun.js";
import { bindLog } from "./log.js";

remember();
showTimes(document);
moveTimes(document);
keepTime();
bindActions(document);
bindForm(document.getElementById("run-form"));
bindLog(document.getElementById("log"));
watch();
