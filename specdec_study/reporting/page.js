"use strict";
/* The microscope. Whatever comes from a model or a file is set as text, never as markup. */
const runs = JSON.parse(document.getElementById("data").textContent);
const OUTCOMES = ["unreached", "rejected", "accepted", "root"];
const place = {run: 0, request: 0, round: 0};
const byId = (id) => document.getElementById(id);
const request = () => runs[place.run].requests[place.request];

function element(name, text, className) {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
}

function svg(name, attributes, text) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
}

function fill(select, names) {
    select.replaceChildren(...names.map((name, i) => {
        const option = element("option", name);
        option.value = i;
        return option;
    }));
}

/* Tokens of an answer, each with the number of its round. */
function showAnswer() {
    const r = request(), answer = byId("answer"), spans = [];
    let token = 0;
    r.committed.forEach((count, round) => {
        for (let i = 0; i < count && token < r.pieces.length; i++, token++) {
            const span = element("span", r.pieces[token], "token " + r.origins[token]);
            span.dataset.round = round;
            spans.push(span);
        }
    });
    answer.replaceChildren(...spans);
    byId("prompt").textContent = r.prompt;
}

function showRequest() {
    place.round = 0;
    showAnswer();
    showRound();
}

function showRun() {
    const names = runs[place.run].requests.map((r) => r.category ? r.id + " · " + r.category : r.id);
    fill(byId("request"), names);
    place.request = Math.min(place.request, names.length - 1);
    byId("request").value = place.request;
    showRequest();
}

function sentence(r, i) {
    const spent = `draft ${r.draft[i]} ms, forward ${r.forward[i]} ms, verify ${r.verify[i]} ms`;
    const head = `Round ${i + 1} of ${r.committed.length}: `;
    if (!r.drafted[i]) return `${head}nothing was drafted, and the target added a token. ${spent}.`;
    return `${head}${r.drafted[i]} drafted, ${r.accepted[i]} accepted, ` +
        `${r.committed[i]} added to the text. ${spent}.`;
}

/* Where each node stands: by depth, and leaves below each other. */
function layout(tree) {
    const depth = [], row = [], children = tree.parent.map(() => []);
    tree.parent.forEach((parent, i) => {
        depth[i] = parent < 0 ? 0 : depth[parent] + 1;
        if (parent >= 0) children[parent].push(i);
    });
    let next = 0;
    const visit = (i) => {
        if (!children[i].length) return (row[i] = next++);
        children[i].forEach(visit);
        return (row[i] = row[children[i][0]]);
    };
    if (tree.parent.length) visit(0);
    return {depth, row, rows: next, deepest: Math.max(0, ...depth)};
}

function why(tree, i) {
    const outcome = OUTCOMES[tree.outcome[i]], p = tree.p[i], q = tree.q[i];
    const odds = [p === null ? "" : `target ${p}`, q === null ? "" : `draft ${q}`];
    const numbers = odds.filter(Boolean).join(", ");
    const reason = {
        root: "the last token of the text before",
        accepted: "accepted: the target agreed",
        rejected: "refused: the target wanted another token here",
        unreached: "never reached: what stands before it was not kept, or a sibling was",
    }[outcome];
    return numbers ? `${reason} (${numbers})` : reason;
}

function drawTree(tree) {
    const {depth, row, rows, deepest} = layout(tree), wide = 128, high = 30;
    const x = (i) => 8 + depth[i] * wide, y = (i) => 8 + row[i] * high;
    const image = svg("svg", {
        width: deepest * wide + 124, height: rows * high + 16, role: "img",
        "aria-label": `The drafted tree: ${tree.parent.length - 1} nodes`,
    });
    tree.parent.forEach((parent, i) => {
        if (parent < 0) return;
        const ends = {x1: x(parent) + 104, y1: y(parent) + 11, x2: x(i), y2: y(i) + 11};
        image.append(svg("line", {...ends, class: OUTCOMES[tree.outcome[i]]}));
    });
    tree.token.forEach((token, i) => {
        const kind = OUTCOMES[tree.outcome[i]], node = svg("g", {});
        const line = token.replace(/\n/g, "").replace(/ /g, "␣");
        const short = line.length > 13 ? line.slice(0, 12) + "…" : line;
        node.append(svg("rect", {x: x(i), y: y(i), width: 104, height: 22, rx: 5, class: kind}));
        node.append(svg("text", {x: x(i) + 7, y: y(i) + 15, class: kind}, short));
        node.append(svg("title", {}, `${line}: ${why(tree, i)}`));
        image.append(node);
    });
    return image;
}

function showRound() {
    const r = request(), panel = byId("round");
    place.round = Math.max(0, Math.min(place.round, r.committed.length - 1));
    for (const span of byId("answer").children)
        span.classList.toggle("now", Number(span.dataset.round) === place.round);
    panel.replaceChildren();
    if (!r.committed.length) return;
    panel.append(element("h3", "Draft"), element("p", sentence(r, place.round)));
    const tree = r.trees && r.trees[place.round];
    if (tree && tree.parent.length > 1) {
        const frame = element("div", undefined, "wide"), list = element("ul");
        frame.append(drawTree(tree));
        tree.outcome.forEach((outcome, i) => {
            if (OUTCOMES[outcome] === "rejected")
                list.append(element("li", `“${tree.token[i]}” ${why(tree, i)}`));
        });
        panel.append(frame, list);
    }
}

function step(by) {
    place.round += by;
    showRound();
    const now = byId("answer").querySelector(".now");
    if (now) now.scrollIntoView({block: "nearest"});
}

byId("run").addEventListener("change", (event) => {
    place.run = Number(event.target.value);
    showRun();
});
byId("request").addEventListener("change", (event) => {
    place.request = Number(event.target.value);
    showRequest();
});
byId("answer").addEventListener("click", (event) => {
    if (event.target.dataset.round === undefined) return;
    place.round = Number(event.target.dataset.round);
    showRound();
});
byId("answer").addEventListener("keydown", (event) => {
    const by = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
    if (by === undefined) return;
    event.preventDefault();
    step(by);
});

if (runs.some((run) => run.requests.length)) {
    place.run = runs.findIndex((run) => run.requests.length);
    fill(byId("run"), runs.map((run) => run.name));
    byId("run").value = place.run;
    showRun();
}
