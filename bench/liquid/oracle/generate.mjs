// Writes random templates with what liquidjs makes of them, one JSON object a line:
//   node generate.mjs SEED COUNT > cases.jsonl
// TestLiquidJS in the folder above reads the file that LIQUIDJS_CASES names.
import { Liquid } from "liquidjs";

const [seed, count] = [Number(process.argv[2] ?? 1), Number(process.argv[3] ?? 10000)];
let state = seed >>> 0 || 1;
const random = (n) => {
  // xorshift32, so that a seed always gives the same templates
  state ^= state << 13; state >>>= 0;
  state ^= state >>> 17;
  state ^= state << 5; state >>>= 0;
  return state % n;
};
const pick = (list) => list[random(list.length)];

const data = {
  n: 7, m: -3, f: 2.5, s: "Hello World", t: " a,b,,c ", e: "", yes: true, no: false, nothing: null,
  list: [3, 1, 2], words: ["pear", "Apple", "fig", "apple"],
  items: [{ title: "b", price: 5, on: true }, { title: "a", price: 3, on: false }, { title: "c", price: 9 }],
  person: { name: "Ada", tags: ["x", "y"], address: { city: "Bern" } },
};
const paths = ["n", "m", "f", "s", "t", "e", "yes", "no", "nothing", "list", "words", "items", "person.name", "person.tags", "person.address.city",
  "items[0].title", "items[1].price", "list[2]", "words.first", "words.last", "list.size", "s.size", "absent", "person.absent", "items.size"];
const literals = ["1", "2", "0", "-4", "2.5", "'x'", "','", "''", "' '", "'apple'", "true", "false", "nil"];
const value = () => (random(3) === 0 ? pick(literals) : pick(paths));
const filters = [
  ["append", 1], ["prepend", 1], ["upcase", 0], ["downcase", 0], ["capitalize", 0], ["strip", 0], ["lstrip", 0], ["rstrip", 0],
  ["size", 0], ["first", 0], ["last", 0], ["join", 1], ["split", 1], ["reverse", 0], ["sort", 0], ["sort_natural", 0], ["uniq", 0],
  ["compact", 0], ["plus", 1], ["minus", 1], ["times", 1], ["divided_by", 1], ["modulo", 1], ["abs", 0], ["ceil", 0], ["floor", 0],
  ["round", 0], ["at_least", 1], ["at_most", 1], ["default", 1], ["replace", 2], ["replace_first", 2], ["remove", 1], ["remove_first", 1],
  ["slice", 1], ["truncate", 1], ["truncatewords", 1], ["escape", 0], ["escape_once", 0], ["url_encode", 0], ["url_decode", 0],
  ["strip_html", 0], ["strip_newlines", 0], ["newline_to_br", 0], ["concat", 1], ["map", 1], ["where", 2], ["sum", 0],
];
const argumentOf = (name) => {
  if (name === "map" || name === "where") return pick(["'title'", "'price'", "'on'"]);
  if (["slice", "truncate", "truncatewords"].includes(name)) return pick(["1", "2", "5", "0"]);
  if (name === "concat") return pick(["list", "words"]);
  return value();
};
const expression = () => {
  let out = value();
  for (let k = random(3); k > 0; k--) {
    const [name, n] = pick(filters);
    const args = Array.from({ length: n }, () => argumentOf(name));
    out += ` | ${name}` + (n ? ": " + args.join(", ") : "");
  }
  return out;
};
const test = () => {
  const one = () => (random(3) === 0 ? value() : `${value()} ${pick(["==", "!=", "<", ">", "<=", ">=", "contains"])} ${value()}`);
  let out = one();
  for (let k = random(3); k > 0; k--) out += ` ${pick(["and", "or"])} ${one()}`;
  return out;
};
const body = (depth) => Array.from({ length: 1 + random(3) }, () => node(depth)).join("");
const node = (depth) => {
  if (depth > 3) return "t";
  switch (random(11)) {
    case 0: return pick(["a", " b ", "\n", "x-"]);
    case 1: case 2: case 3: return `{{ ${expression()} }}`;
    case 4: return `{% if ${test()} %}${body(depth + 1)}{% else %}${body(depth + 1)}{% endif %}`;
    case 5: return `{% unless ${test()} %}${body(depth + 1)}{% endunless %}`;
    case 6: return `{% for i in ${pick(["list", "words", "items", "(1..3)", "person.tags", "absent"])}${pick(["", " limit: 2", " offset: 1", " reversed"])} %}{{ ${pick(["i", "forloop.index", "forloop.last", "i.title", "forloop.rindex0"])} }}${body(depth + 1)}{% else %}none{% endfor %}`;
    case 7: return `{% assign ${pick(["a", "b", "c"])} = ${expression()} %}{{ ${pick(["a", "b", "c"])} }}`;
    case 8: return `{% case ${value()} %}{% when ${value()} %}${body(depth + 1)}{% else %}${body(depth + 1)}{% endcase %}`;
    case 9: return `{% capture ${pick(["a", "b"])} %}${body(depth + 1)}{% endcapture %}{{ a }}`;
    default: return pick(["{% increment k %}", "{% decrement k %}", "{% cycle 'p', 'q' %}", "{%- if yes -%} z {%- endif -%}", "{% raw %}{{ n }}{% endraw %}"]);
  }
};

const engine = new Liquid({ strictFilters: true, lenientIf: true });
for (let i = 0; i < count; i++) {
  const template = body(0);
  let out;
  try {
    out = { want: engine.parseAndRenderSync(template, structuredClone(data)) };
  } catch (e) {
    out = { error: String(e.message).slice(0, 120) };
  }
  process.stdout.write(JSON.stringify({ template, data: i === 0 ? data : undefined, ...out }) + "\n");
}
