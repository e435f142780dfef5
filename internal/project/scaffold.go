package project

import (
	"embed"
	"io/fs"
	"strings"

	"rapport/internal/consent"
)

//go:embed all:scaffold
var scaffold embed.FS

// Scaffold gives the files of a new folder: small, commented, and without a
// mistake.
func Scaffold() map[string][]byte {
	files := map[string][]byte{"purposes.yaml": []byte(consent.Starter)}
	_ = fs.WalkDir(scaffold, "scaffold", func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files[strings.TrimPrefix(p, "scaffold/")], err = scaffold.ReadFile(p)
		}
		return err
	}) // What is embedded can always be read.
	return files
}
