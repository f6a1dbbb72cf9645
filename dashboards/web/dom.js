/* dom.js - making and changing elements. Text enters the document by textContent alone. */

export const $ = (id) => document.getElementById(id);

export function make(tag, props = {}, ...children) {
	const e = Object.assign(document.createElement(tag), props);
	e.append(...children);
	return e;
}

export function set(e, attributes) {
	for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
}

export function svg(tag, attributes = {}, text = "") {
	const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
	set(e, attributes);
	if (text) e.textContent = text;
	return e;
}

/* Writes only what changed, so that a screen reader and the layout stay quiet. */
export function put(e, text) {
	if (e.textContent !== text) e.textContent = text;
}
