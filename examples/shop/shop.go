// Package shop is the example that the demo runs on: Kestrel Coffee, a small
// roastery that sells beans on the web. What comes in is the address under
// which it is served; what goes out are its configuration folder, its pages and
// its products. It holds files and no behaviour.
package shop

import (
	"embed"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

//go:embed all:config storefront
var files embed.FS

// Home is the address that stands in the configuration for the shop's own.
const Home = "http://127.0.0.1:8420"

// Pages gives what the shop's web server serves.
func Pages() fs.FS { return sub("storefront") }

// sub gives a folder that is built into the program.
func sub(name string) fs.FS {
	out, err := fs.Sub(files, name)
	if err != nil {
		panic(err) // The name is a constant.
	}
	return out
}

// Write puts the configuration folder on disk, for a shop that is served under
// an address.
func Write(dir, address string) error {
	config := sub("config")
	return fs.WalkDir(config, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dir, filepath.FromSlash(p))
		if d.IsDir() {
			return os.MkdirAll(to, 0o700)
		}
		body, err := fs.ReadFile(config, p)
		if err != nil {
			return err
		}
		return os.WriteFile(to, []byte(strings.ReplaceAll(string(body), Home, address)), 0o600)
	})
}
