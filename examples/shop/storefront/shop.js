// The shop's page. What it tells Rapport goes over the Segment wire: page,
// track and identify, with the visitor's choice in context.consent. Whoever has
// an account and pays is told by the shop's own server, which holds a secret
// key; a page can be read by everybody.

const $ = (id) => document.getElementById(id);
const memory = {
  get: (k, or) => { try { return JSON.parse(localStorage.getItem("kestrel." + k)) ?? or; } catch { return or; } },
  set: (k, v) => localStorage.setItem("kestrel." + k, JSON.stringify(v)),
};
const newID = () => crypto.randomUUID?.() ?? Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(16)).join("-");
const euro = (n) => new Intl.NumberFormat("en-GB", { style: "currency", currency: "EUR" }).format(n);

const settings = await (await fetch("/shop/settings.json")).json();
const products = await (await fetch("/shop/products.json")).json();
const me = memory.get("me", null) ?? { anonymousId: newID() };
let basket = memory.get("basket", {}); // product_id → quantity
let choice = memory.get("choice", null); // {analytics, personalization}
memory.set("me", me);

// ---- the wire ----

let calls = 0;

function note(what, name, how) {
  $("said").textContent = ++calls;
  const li = document.createElement("li");
  for (const [tag, text] of [["b", what], ["span", name], ["i", how]]) li.appendChild(document.createElement(tag)).textContent = text;
  $("calls").prepend(li);
  while ($("calls").children.length > 40) $("calls").lastChild.remove();
}

async function say(type, body) {
  const now = new Date().toISOString();
  const context = { page: { path: location.pathname, title: document.title, url: location.href }, locale: navigator.language };
  if (choice) context.consent = { categoryPreferences: choice };
  const began = performance.now();
  let how = "failed";
  try {
    const answer = await fetch("/v1/" + type, {
      method: "POST", keepalive: true,
      headers: { "Content-Type": "application/json", Authorization: "Basic " + btoa(settings.write_key + ":") },
      body: JSON.stringify({ type, messageId: newID(), anonymousId: me.anonymousId, userId: me.userId, timestamp: now, sentAt: now, context, ...body }),
    });
    how = `${answer.status} in ${Math.round(performance.now() - began)} ms`;
  } catch { /* The page goes on without. */ }
  note(type, body.event ?? body.name ?? "", how);
}

const track = (event, properties = {}) => say("track", { event, properties });

// tell asks the shop's own server to do something that a page may not.
async function tell(path, body) {
  const answer = await fetch("/shop/" + path, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ anonymousId: me.anonymousId, ...body }),
  });
  if (!answer.ok) throw new Error((await answer.text()).trim() || "That did not work.");
  note("server", path, String(answer.status));
  return answer.json();
}

// ---- coffees ----

const bag = (p, size = "") => `<svg viewBox="0 0 300 260" ${size} aria-hidden="true" preserveAspectRatio="xMidYMid meet">
  <ellipse cx="150" cy="232" rx="74" ry="9" fill="#2c241e" opacity=".13"/>
  <path d="M92 46h116l6 20-4 160a8 8 0 0 1-8 8H98a8 8 0 0 1-8-8L86 66z" fill="${p.bag}"/>
  <path d="M92 46h116l3 11H89z" fill="#000" opacity=".2"/><path d="M88 66h124v4H88z" fill="#fff" opacity=".18"/>
  <path d="M194 70l16 0-4 164h-8z" fill="#000" opacity=".1"/>
  <rect x="108" y="98" width="84" height="96" rx="3" fill="${p.label}"/>
  <path d="M122 126c9-9 21-11 31-6 5-7 12-13 22-15-5 7-8 12-9 19 3 2 5 4 7 8-6-2-12-2-16-1-3 6-7 10-14 13 1-6 1-10 0-15-7-4-13-4-21-3z" fill="${p.bag}"/>
  <path d="M124 160h52M132 170h36M138 180h24" stroke="${p.bag}" stroke-width="3" opacity=".55" stroke-linecap="round"/>
</svg>`;

const itemOf = (p, quantity) => ({
  product_id: p.product_id, name: p.name, variant: p.variant, price: p.price, quantity,
  url: `${location.origin}/shop#${p.product_id}`, image_url: `${location.origin}/shop/img/${p.product_id}.png`,
});
const items = () => products.filter((p) => basket[p.product_id]).map((p) => itemOf(p, basket[p.product_id]));
const together = () => Math.round(items().reduce((sum, i) => sum + i.price * i.quantity, 0) * 100) / 100;
const found = (id) => products.find((p) => p.product_id === id);

for (const p of products) {
  const li = document.createElement("li");
  li.className = "coffee";
  li.id = p.product_id;
  li.innerHTML = `<button class="look" type="button">${bag(p)}<span class="text"><h3></h3><span class="taste"></span><span class="from"></span></span></button>
    <div class="foot"><span class="price">${euro(p.price)}<small></small></span><button class="add" type="button">Add</button></div>`;
  for (const [where, text] of [["h3", p.name], [".taste", p.taste], [".from", `${p.use} · ${p.from}`], ["small", p.variant.split(",")[0]]]) li.querySelector(where).textContent = text;
  li.querySelector(".add").setAttribute("aria-label", `Add ${p.name} to the basket`);
  li.querySelector(".look").onclick = () => look(p);
  li.querySelector(".add").onclick = () => add(p);
  $("grid").append(li);
}

function look(p) {
  $("product-bag").innerHTML = bag(p);
  for (const part of ["name", "taste", "from", "use"]) $("product-" + part).textContent = p[part];
  $("product-price").textContent = `${euro(p.price)} · ${p.variant}`;
  $("product-add").onclick = () => { $("product").close(); add(p); };
  $("product").showModal();
  track("Product Viewed", itemOf(p, 1));
}

function add(p) {
  basket[p.product_id] = (basket[p.product_id] ?? 0) + 1;
  track("Product Added", itemOf(p, 1));
  draw();
  open();
}

// ---- the basket ----

function draw() {
  memory.set("basket", basket);
  const list = items();
  $("count").textContent = list.reduce((n, i) => n + i.quantity, 0);
  $("empty").hidden = list.length > 0;
  $("sum").hidden = list.length === 0;
  $("total").textContent = euro(together());
  $("pay-now").textContent = `Pay ${euro(together())}`;
  const started = memory.get("checkout", false) && list.length > 0;
  $("checkout").hidden = list.length === 0 || started;
  $("pay").hidden = !started;
  $("lines").replaceChildren(...list.map((i) => {
    const li = document.createElement("li");
    li.innerHTML = `${bag(found(i.product_id))}<div><span></span><small></small></div><div><b>${euro(i.price * i.quantity)}</b><br><button type="button" class="plain">Remove</button></div>`;
    li.querySelector("span").textContent = i.name;
    li.querySelector("small").textContent = `${i.quantity} × ${euro(i.price)}`;
    li.querySelector(".plain").onclick = () => { delete basket[i.product_id]; track("Product Removed", i); draw(); };
    return li;
  }));
  $("who").hidden = !me.email;
  $("who").textContent = me.email ? `Hello${me.firstName ? ", " + me.firstName : ""}` : "";
  for (const input of document.querySelectorAll("input[name=email]")) input.value ||= me.email ?? "";
  for (const input of document.querySelectorAll("input[name=first_name]")) input.value ||= me.firstName ?? "";
}

function open() {
  $("basket-said").textContent = "";
  if (!$("basket").open) $("basket").showModal();
}

// account makes the visitor known, through the shop's own server.
async function account(form, said, signup) {
  const email = form.elements.email.value.trim();
  if (!form.elements.email.checkValidity() || !email) {
    said.textContent = "Please look at the address again.";
    form.elements.email.focus();
    return false;
  }
  form.querySelector("[type=submit]").disabled = true;
  try {
    const firstName = form.elements.first_name.value.trim();
    const { user_id: userId } = await tell("account", { email, firstName, signup, consent: { ...(choice ?? {}), marketing: form.elements.marketing.checked } });
    Object.assign(me, { userId, email, firstName });
    memory.set("me", me);
    await say("identify", { traits: { locale: navigator.language } });
    said.textContent = "";
    return true;
  } catch (e) {
    said.textContent = e.message;
    return false;
  } finally {
    form.querySelector("[type=submit]").disabled = false;
  }
}

$("signup").onsubmit = async (e) => {
  e.preventDefault();
  if (!await account(e.target, $("signup-said"), true)) return;
  $("signup-said").textContent = e.target.elements.marketing.checked ? "Welcome. A letter is on its way." : "Welcome. Without the tick above we write only when you order.";
  draw();
};

$("checkout").onsubmit = async (e) => {
  e.preventDefault();
  if (!await account(e.target, $("checkout-said"), false)) return;
  memory.set("checkout", true);
  await track("Checkout Started", { value: together(), currency: "EUR", cart_url: `${location.origin}/shop#basket`, products: items() });
  draw();
};

$("pay-now").onclick = async () => {
  $("pay-now").disabled = true;
  try {
    const { order_id: order } = await tell("order", { userId: me.userId, products: items() });
    basket = {};
    memory.set("checkout", false);
    draw();
    $("basket-said").textContent = `Thank you. Order ${order} is in; the confirmation comes by mail.`;
  } catch (e) {
    $("basket-said").textContent = e.message;
  } finally {
    $("pay-now").disabled = false;
  }
};

$("open-basket").onclick = () => { open(); track("Cart Viewed", { products: items() }); };
$("reset").onclick = () => { localStorage.clear(); location.replace("/shop"); };

// ---- the choice ----

function choose(yes) {
  choice = { analytics: yes, personalization: yes };
  memory.set("choice", choice);
  $("consent").hidden = true;
  track("Segment Consent Preference Updated");
}
$("allow").onclick = () => choose(true);
$("refuse").onclick = () => choose(false);
$("consent").hidden = choice !== null;

// ---- mails as they arrive ----

let seen = memory.get("mails", 0);

async function mails() {
  if (!me.email || document.hidden) return;
  try {
    const { messages } = await (await fetch("/inbox/messages.json?limit=5&to=" + encodeURIComponent(me.email.toLowerCase()))).json();
    for (const m of messages.filter((m) => m.id > seen).reverse()) {
      seen = m.id;
      const a = document.createElement("a");
      a.className = "toast";
      a.href = "/inbox/m/" + m.id;
      a.target = "_blank";
      a.appendChild(document.createElement("b")).textContent = m.subject;
      a.appendChild(document.createElement("span")).textContent = "A mail for you has arrived. Open it";
      $("toasts").append(a);
      setTimeout(() => a.remove(), 15000);
    }
    memory.set("mails", seen);
  } catch { /* The next look finds them. */ }
}
setInterval(mails, 1000);

function follow() {
  if (location.hash === "#basket") open();
  else if (found(location.hash.slice(1))) look(found(location.hash.slice(1)));
}
addEventListener("hashchange", follow);

draw();
say("page", { name: "Shop" });
follow();
