package event

import "testing"

func TestNameless(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"", "0", "000", "-1", "-", "00000000-0000-0000-0000-000000000000", "null", "NULL", "None", "Anonymous", "undefined"} {
		e := Event{Type: Track, UserID: value, Anonymous: value, Previous: "u", External: []ExternalID{{Type: "shop", Value: value}}}
		if !Blocked(value) || !e.Nameless() {
			t.Errorf("%q names somebody", value)
		}
		for name, change := range map[string]func(*Event){
			"user id":      func(e *Event) { e.UserID = "1" },
			"anonymous id": func(e *Event) { e.Anonymous = "a-0" },
			"email":        func(e *Event) { e.Email = "ann@shop.example" },
			"external id":  func(e *Event) { e.External = append(e.External, ExternalID{Type: "shop", Value: "7"}) },
			"previous id":  func(e *Event) { e.Type = Alias },
		} {
			other := e
			if change(&other); other.Nameless() {
				t.Errorf("%q and a good %s name nobody", value, name)
			}
		}
	}
	for _, value := range []string{"1", "-2", "nullable", "noneX", "anonymous1", "0a0", "nu\u006c\u2028"} {
		if Blocked(value) {
			t.Errorf("%q is blocked", value)
		}
	}
}
