package plan_test

import (
	"testing"
	"time"

	"rapport/internal/plan"
	"rapport/internal/purpose"
)

// TestTheShortestTermHolds: what the plan says of something, its class, and the last
// of its purposes that needs it.
func TestTheShortestTermHolds(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	limits := plan.Limits{
		Classes:  map[purpose.Class]time.Duration{purpose.Personal: 50 * day, purpose.Internal: 5 * day},
		Purposes: map[purpose.Purpose]time.Duration{"marketing": 40 * day, "marketing.news": 20 * day, "service": 70 * day},
	}
	both := plan.Limits{Classes: map[purpose.Class]time.Duration{purpose.Personal: 50 * day, purpose.Sensitive: 60 * day}}
	for _, c := range []struct {
		what   string
		limits plan.Limits
		of     plan.Attribute
		want   time.Duration
	}{
		{"nothing is said", limits, plan.Attribute{}, 0},
		{"its own word", limits, plan.Attribute{Retention: 3 * day}, 3 * day},
		{"its class", limits, plan.Attribute{Class: purpose.Personal}, 50 * day},
		{"a class without a term", limits, plan.Attribute{Class: purpose.Public}, 0},
		{"what is sensitive is personal", limits, plan.Attribute{Class: purpose.Sensitive}, 50 * day},
		{"unless it has a term of its own", both, plan.Attribute{Class: purpose.Sensitive}, 60 * day},
		{"its own word is longer", limits, plan.Attribute{Class: purpose.Personal, Retention: 90 * day}, 50 * day},
		{"its purpose", limits, plan.Attribute{Purposes: purpose.Set{"marketing"}}, 40 * day},
		{"one of a family, by the shorter of both", limits, plan.Attribute{Purposes: purpose.Set{"marketing.news"}}, 20 * day},
		{"one of a family, by the family", limits, plan.Attribute{Purposes: purpose.Set{"marketing.offers"}}, 40 * day},
		{"the last purpose that needs it", limits, plan.Attribute{Purposes: purpose.Set{"marketing.news", "service"}}, 70 * day},
		{"a purpose needs it for ever", limits, plan.Attribute{Purposes: purpose.Set{"marketing.news", "support"}}, 0},
		{"every purpose", limits, plan.Attribute{Purposes: nil}, 0},
		{"class and purpose", limits, plan.Attribute{Class: purpose.Personal, Purposes: purpose.Set{"service"}}, 50 * day},
		{"no limits", plan.Limits{}, plan.Attribute{Class: purpose.Sensitive, Purposes: purpose.Set{"service"}}, 0},
	} {
		if got := c.limits.Of(c.of); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}
