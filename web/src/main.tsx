// SPDX-License-Identifier: MIT
import "./style/base.css";
import "./style/parts.css";
import "./style/panels.css";
import { render } from "preact";
import { Page } from "./page";
import { start } from "./state";
import "./title";

const root = document.getElementById("page");
if (root) {
  root.replaceChildren();
  render(<Page />, root);
  start();
}
