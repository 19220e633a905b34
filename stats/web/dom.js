// The page's elements: made with textContent only, and changed in place so that focus and selection stay.

const SVG = "http://www.w3.org/2000/svg";

export function $(id) {
	return document.getElementById(id);
}

// el("td", {class: "num"}, "text", child, …)
export function el(name, attributes = {}, ...children) {
	return fill(document.createElement(name), attributes, children);
}

export function svg(name, attributes = {}, ...children) {
	return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(node, attributes, children) {
	for (const [key, value] of Object.entries(attributes)) {
		if (value !== undefined && value !== null && value !== false)
			node.setAttribute(key, value === true ? "" : value);
	}
	node.append(...children.filter(c => c !== null && c !== undefined));
	return node;
}

export function text(node, value) {
	if (node.textContent !== value)
		node.textContent = value;
}

// One child of parent an item, in order, kept by key: make(item) once, update(node, item) each time.
export function keyed(parent, items, key, make, update) {
	const old = new Map();
	for (const node of parent.children)
		old.set(node.dataset.key, node);
	let at = parent.firstElementChild;
	for (const item of items) {
		const k = String(key(item));
		let node = old.get(k);
		if (!node) {
			node = make(item);
			node.dataset.key = k;
		}
		old.delete(k);
		update(node, item);
		if (node === at)
			at = at.nextElementSibling;
		else
			parent.insertBefore(node, at);
	}
	for (const node of old.values())
		node.remove();
}

// A <dl> of [name, value, class?, note?].
export function numbers(dl, rows) {
	keyed(dl, rows, row => row[0],
		row => el("div", {}, el("dt", {}, row[0]), el("dd"), row.length > 3 ? el("dd") : null),
		(node, [, value, cls, note]) => {
			text(node.children[1], value);
			node.children[1].className = cls || "";
			if (node.children[2])
				text(node.children[2], note || "");
		});
}

// columns: {name, value(row) → text or node, num?, sql?, sort?}; options: {key, sort, onSort, onRow, disabled}
export function table(node, columns, rows, options) {
	if (!rows.length) {
		node.replaceChildren();
		return;
	}
	if (!node.tBodies.length)
		node.append(el("thead", {}, el("tr", {}, ...columns.map(c => head(c, options)))), el("tbody"));
	for (const [i, c] of columns.entries()) {
		if (c.sort)
			node.tHead.rows[0].cells[i].setAttribute("aria-sort", options.sort === c.sort ? "descending" : "none");
	}
	keyed(node.tBodies[0], rows, options.key,
		row => makeRow(columns, row, options),
		(tr, row) => updateRow(tr, columns, row, options));
}

function head(column, options) {
	const name = column.sort ? el("button", {type: "button", title: "Sort by this"}, column.name) : column.name;
	if (column.sort)
		name.addEventListener("click", () => options.onSort(column.sort));
	return el("th", {scope: "col", class: column.num ? "num" : null}, name);
}

function makeRow(columns, row, options) {
	const tr = el("tr", {class: options.onRow ? "link" : null});
	for (const c of columns) {
		const td = el("td", {class: c.sql ? "sql" : c.num ? "num" : null});
		if (c.sql && options.onRow)
			td.append(el("button", {type: "button"}));
		tr.append(td);
	}
	if (options.onRow)
		tr.addEventListener("click", () => options.onRow(tr.row));
	return tr;
}

function updateRow(tr, columns, row) {
	tr.row = row;
	for (const [i, c] of columns.entries()) {
		const value = c.value(row), cell = tr.cells[i].querySelector("button") || tr.cells[i];
		if (value instanceof Node)
			cell.replaceChildren(value);
		else
			text(cell, value);
		if (c.sql)
			cell.title = value;
	}
}

// A block of code with a button that copies it.
export function code(value, label) {
	const button = el("button", {type: "button"});
	const say = word => { // the name for screen readers holds the word that is seen
		text(button, word);
		button.setAttribute("aria-label", `${word} ${label}`);
	};
	say("Copy");
	button.addEventListener("click", async () => {
		try {
			await navigator.clipboard.writeText(value);
			say("Copied");
		} catch {
			getSelection().selectAllChildren(button.previousElementSibling);
			say("Selected");
		}
		setTimeout(() => say("Copy"), 1500);
	});
	return el("div", {class: "code"}, el("pre", {tabindex: "0"}, value), button);
}
