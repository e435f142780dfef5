// Writes random templates with what liquidjs makes of them, one JSON object a line:
//   node generate.mjs SEED COUNT > cases.jsonl
// TestLiquidJS in internal/liquid reads the file that LIQUIDJS_CASES names; testdata/liquidjs.jsonl there is "1 300".
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
// Values by type. The types are kept apart because liquidjs converts between them as JavaScript does, where
// Shopify's Liquid, which we follow, converts as Ruby does; docs/liquid.md lists those differences.
const values = {
  num: ["n", "m", "items[0].price", "items[1].price", "list[2]", "list.size", "words.size", "list.first", "1", "2", "0", "-4", "12"],
  str: ["s", "t", "e", "person.name", "person.address.city", "items[0].title", "words.first", "words.last", "'x'", "','", "' '", "'apple'", "''"],
  nums: ["list"],
  strs: ["words", "person.tags"],
  items: ["items"],
};
// Filters by the type they take: name, arguments, the type they give.
const filters = {
  num: [["plus", ["num"], "num"], ["minus", ["num"], "num"], ["times", ["num"], "num"], ["modulo", ["'3'"], "num"], ["abs", [], "num"],
    ["ceil", [], "num"], ["floor", [], "num"], ["round", [], "num"], ["at_least", ["num"], "num"], ["at_most", ["num"], "num"],
    ["append", ["str"], "str"], ["prepend", ["str"], "str"]],
  str: [["append", ["str"], "str"], ["prepend", ["num"], "str"], ["upcase", [], "str"], ["downcase", [], "str"], ["capitalize", [], "str"],
    ["strip", [], "str"], ["lstrip", [], "str"], ["rstrip", [], "str"], ["size", [], "num"], ["split", ["','"], "strs"],
    ["replace", ["'a'", "str"], "str"], ["replace_first", ["'l'", "str"], "str"], ["replace_last", ["'l'", "str"], "str"],
    ["remove", ["'p'"], "str"], ["remove_first", ["'l'"], "str"], ["remove_last", ["'l'"], "str"], ["slice", ["1", "3"], "str"], ["slice", ["-2", "2"], "str"],
    ["truncate", ["5"], "str"], ["truncate", ["4", "'-'"], "str"], ["escape", [], "str"], ["escape_once", [], "str"],
    ["url_encode", [], "str"], ["strip_html", [], "str"], ["strip_newlines", [], "str"], ["newline_to_br", [], "str"],
    ["default", ["'d'"], "str"], ["base64_encode", [], "str"]],
  nums: [["sort", [], "nums"], ["reverse", [], "nums"], ["uniq", [], "nums"], ["compact", [], "nums"], ["concat", ["nums"], "nums"],
    ["size", [], "num"], ["first", [], "num"], ["last", [], "num"], ["join", ["','"], "str"], ["sum", [], "num"]],
  strs: [["sort", [], "strs"], ["reverse", [], "strs"], ["uniq", [], "strs"], ["compact", [], "strs"], ["concat", ["strs"], "strs"],
    ["sort_natural", [], "strs"], ["size", [], "num"], ["join", ["' '"], "str"], ["first", [], "str"], ["last", [], "str"]],
  items: [["map", ["'title'"], "strs"], ["where", ["'on'", "true"], "items"], ["reject", ["'on'", "true"], "items"], ["reverse", [], "items"],
    ["sort", ["'title'"], "items"], ["size", [], "num"], ["concat", ["items"], "items"], ["uniq", ["'title'"], "items"]],
};
const typeOf = () => pick(Object.keys(values));
const value = (type) => (type in values ? pick(values[type]) : type);
const expression = (printed) => {
  let type = typeOf();
  let out = value(type);
  for (let k = random(4); k > 0; k--) {
    const [name, args, gives] = pick(filters[type]);
    out += ` | ${name}` + (args.length ? ": " + args.map(value).join(", ") : "");
    type = gives;
  }
  // Lists of objects print differently; a list of numbers or texts does not.
  return printed && type === "items" ? out + " | size" : out;
};
const test = () => {
  const one = () => {
    const type = pick(["num", "str"]);
    switch (random(5)) {
      case 0: return `${pick(["strs", "str"].map(value))} contains ${value("str")}`;
      case 1: return pick(["yes", "no", "nothing", "absent", "person.absent", "s", "list", "true", "false"]);
      case 2: return `${value(type)} ${pick(["==", "!="])} ${pick(["nil", value(type), "blank", "empty"])}`;
      default: return `${value(type)} ${pick(["==", "!=", "<", ">", "<=", ">="])} ${value(type)}`;
    }
  };
  let out = one();
  for (let k = random(3); k > 0; k--) out += ` ${pick(["and", "or"])} ${one()}`;
  return out;
};
const body = (depth) => Array.from({ length: 1 + random(3) }, () => node(depth)).join("");
const node = (depth) => {
  if (depth > 3) return "t";
  switch (random(11)) {
    case 0: return pick(["a", " b ", ".\n", "x-"]);
    case 1: case 2: case 3: return `{{ ${expression(true)} }}`;
    case 4: return `{% if ${test()} %}${body(depth + 1)}{% else %}${body(depth + 1)}{% endif %}`;
    case 5: return `{% unless ${test()} %}${body(depth + 1)}{% endunless %}`;
    case 6: return `{% for i in ${pick(["list", "words", "(1..3)", "person.tags", "absent"])}${pick(["", " limit: 2", " offset: 1", " reversed"])} %}{{ ${pick(["i", "forloop.index", "forloop.last", "forloop.first", "forloop.rindex0"])} }}${body(depth + 1)}{% else %}none{% endfor %}`;
    case 7: return `{% assign ${pick(["a", "b", "c"])} = ${expression(true)} %}{{ ${pick(["a", "b", "c"])} }}`;
    case 8: return `{% case ${value("num")} %}{% when ${value("num")} %}${body(depth + 1)}{% else %}${body(depth + 1)}{% endcase %}`;
    case 9: return `{% capture ${pick(["a", "b"])} %}${body(depth + 1)}{% endcapture %}{{ a }}`;
    default: return pick(["{% increment k %}", "{% decrement k %}", "{% cycle 'p', 'q' %}", "{%- if yes -%} z {%- endif -%}", "{% raw %}{{ n }}{% endraw %}"]);
  }
};

const engine = new Liquid({ strictFilters: true });
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
