package bench

import (
	"os"
	"testing"

	"rapport/internal/project"
)

func TestMeasuredConfigurationHoldsTogether(t *testing.T) {
	t.Parallel()
	for name, sh := range map[string]shape{"usual": {}, "many segments": {unrelated: 950}, "ed25519": {dkim: "ed25519"}, "rsa": {dkim: "rsa"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := writeConfig(dir, sh, "127.0.0.1:2525"); err != nil {
				t.Fatal(err)
			}
			config, problems := project.Load(os.DirFS(dir))
			if config == nil {
				t.Fatal(problems)
			}
			if got, want := len(config.Segments), 50+sh.unrelated; got != want {
				t.Errorf("%d segments, want %d", got, want)
			}
			if got := len(config.Journeys); got != 5 {
				t.Errorf("%d journeys, want 5", got)
			}
		})
	}
}
