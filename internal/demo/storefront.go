package demo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"net/http"
	"net/mail"
	"strings"
)

// Storefront is the shop for people: its pages, and the little that the shop's
// own server does for them. It is safe for concurrent use.
type Storefront struct {
	site     *site
	products map[string]Product
	pages    http.Handler
	settings []byte
	unique   func() string // another text each time
}

// NewStorefront makes a shop that tells a server what happens in it. unique
// gives at least six letters or digits, others each time.
func NewStorefront(base, browser, server string, pages fs.FS, unique func() string) (*Storefront, error) {
	raw, err := fs.ReadFile(pages, "products.json")
	if err != nil {
		return nil, err
	}
	var list []Product
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, err
	}
	s := &Storefront{site: newSite(base, browser, server), products: map[string]Product{}, pages: http.FileServerFS(pages), unique: unique}
	for _, p := range list {
		p.URL, p.Image = base+"/shop#"+p.ID, base+"/shop/img/"+p.ID+".png"
		s.products[p.ID] = p
	}
	s.settings, err = json.Marshal(map[string]string{"write_key": browser})
	return s, err
}

// Close lets go of connections.
func (s *Storefront) Close() { s.site.close() }

// Around serves the shop, the inbox, and everything else by the house.
func (s *Storefront) Around(house, inbox http.Handler) http.Handler {
	shop := http.NewServeMux()
	shop.HandleFunc("GET /{$}", s.index)
	shop.HandleFunc("GET /shop", s.index)
	shop.HandleFunc("GET /shop/{$}", s.index)
	shop.Handle("GET /shop/", http.StripPrefix("/shop", s.pages))
	shop.HandleFunc("GET /shop/settings.json", func(w http.ResponseWriter, _ *http.Request) { answer(w, s.settings) })
	shop.HandleFunc("POST /shop/account", s.account)
	shop.HandleFunc("POST /shop/order", s.order)
	guarded := http.NewCrossOriginProtection().Handler(guard(shop))
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", guarded)
	mux.Handle("/shop", guarded)
	mux.Handle("/shop/", guarded)
	mux.Handle("/inbox/", http.StripPrefix("/inbox", inbox))
	mux.Handle("/inbox", http.RedirectHandler("/inbox/", http.StatusFound))
	mux.Handle("/", house)
	return mux
}

// guard lets the shop's pages load nothing from elsewhere.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-cache")
		next.ServeHTTP(w, r)
	})
}

func (s *Storefront) index(w http.ResponseWriter, r *http.Request) {
	r = r.Clone(r.Context())
	r.URL.Path = "/"
	s.pages.ServeHTTP(w, r)
}

// account is somebody who tells the shop who they are.
type account struct {
	Anonymous string          `json:"anonymousId"`
	Email     string          `json:"email"`
	First     string          `json:"firstName"`
	Signup    bool            `json:"signup"`
	Consent   map[string]bool `json:"consent"`
}

// account makes somebody known. The same address is the same account.
func (s *Storefront) account(w http.ResponseWriter, r *http.Request) {
	var in account
	if !read(w, r, &in) {
		return
	}
	in.Email = strings.ToLower(strings.TrimSpace(in.Email))
	if a, err := mail.ParseAddress(in.Email); err != nil || a.Address != in.Email || len(in.Email) > 254 {
		http.Error(w, "Please look at the address again.", http.StatusBadRequest)
		return
	}
	sum := sha256.Sum256([]byte(in.Email))
	user := "k-" + hex.EncodeToString(sum[:6])
	traits := map[string]any{"email": in.Email}
	if first := strings.TrimSpace(in.First); first != "" {
		traits["first_name"] = first
	}
	calls := []call{{Type: "identify", Traits: traits}}
	calls[0].choice(in.Consent)
	if in.Signup {
		calls = append(calls, call{Type: "track", Event: "Signed Up", Properties: map[string]any{"from": "letters"}})
	}
	if s.tell(w, r, in.Anonymous, user, calls) {
		answer(w, []byte(`{"user_id":"`+user+`"}`))
	}
}

// bought is an order that was paid.
type bought struct {
	Anonymous string    `json:"anonymousId"`
	User      string    `json:"userId"`
	Products  []Product `json:"products"`
}

// order is paid for. Prices are the shop's, whatever the page says.
func (s *Storefront) order(w http.ResponseWriter, r *http.Request) {
	var in bought
	if !read(w, r, &in) {
		return
	}
	var lines []Product
	for _, given := range in.Products {
		if p, ok := s.products[given.ID]; ok && given.Quantity > 0 && given.Quantity < 100 {
			p.Quantity = given.Quantity
			lines = append(lines, p)
		}
	}
	if in.User == "" || len(lines) == 0 {
		http.Error(w, "There is nothing to pay for.", http.StatusBadRequest)
		return
	}
	id := "K-" + strings.ToUpper(s.unique()[:6])
	sum, shipping := total(lines), 3.9
	properties := map[string]any{"order_id": id, "currency": "EUR", "products": lines}
	if sum < 40 {
		properties["shipping"] = shipping
		sum = math.Round((sum+shipping)*100) / 100
	}
	properties["total"] = sum
	if s.tell(w, r, in.Anonymous, in.User, []call{{Type: "track", Event: "Order Completed", Properties: properties}}) {
		answer(w, []byte(`{"order_id":"`+id+`"}`))
	}
}

// tell gives events to the server, and answers the page where that fails.
func (s *Storefront) tell(w http.ResponseWriter, r *http.Request, anonymous, user string, calls []call) bool {
	ctx := context.WithoutCancel(r.Context()) // What was paid is paid, whoever closes the page.
	for _, c := range calls {
		c.MessageID, c.Anonymous, c.User = s.unique(), anonymous, user
		if err := s.site.say(ctx, s.site.server, c, nil); err != nil {
			http.Error(w, "The shop could not do that just now. Please try again.", http.StatusBadGateway)
			return false
		}
	}
	return true
}

// read takes a small JSON body.
func read(w http.ResponseWriter, r *http.Request, into any) bool {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(into)
	if err == nil {
		return true
	}
	status := http.StatusBadRequest
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		status = http.StatusRequestEntityTooLarge
	}
	http.Error(w, "That request was not understood.", status)
	return false
}

func answer(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // Whoever asked has gone.
}
