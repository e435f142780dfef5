package journey

import "testing"

func TestStepWords(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"3": "step 3", "3.then.1": "step 3, then, step 1", "2.on_timeout.4": "step 2, on timeout, step 4",
		"10.2.1": "step 10, branch 2, step 1", "1.else.2.then.3": "step 1, else, step 2, then, step 3",
		"first-reminder": "first-reminder", "": "", "3.then": "3.then",
	} {
		if got := stepWords(path); got != want {
			t.Errorf("%q: got %q, want %q", path, got, want)
		}
	}
}
