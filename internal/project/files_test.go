package project

import (
	"io/fs"
	"testing"
	"testing/fstest"
)

func TestFilesAreAFolder(t *testing.T) {
	t.Parallel()
	fsys := Files(map[string][]byte{
		"rapport.yaml": []byte("workspace: shop\n"), "templates/note/body.html": []byte("<p>Hi</p>"), "templates/note/template.yaml": nil,
		"templates-old/x": []byte("sorts between a folder and what is in it"),
		"a":               []byte("a file"), "a/b": []byte("below a file"),
		"../up": []byte("outside"), "/root": []byte("outside"), "x//y": []byte("no path"), "": []byte("nameless"), ".": []byte("the folder itself"),
	})
	if err := fstest.TestFS(fsys, "rapport.yaml", "templates/note/body.html", "templates/note/template.yaml", "templates-old/x", "a"); err != nil {
		t.Error(err)
	}
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil || len(entries) != 4 {
		t.Errorf("the folder shows %v, %v; want four entries", entries, err)
	}
	if b, err := fs.ReadFile(fsys, "a"); err != nil || string(b) != "a file" {
		t.Errorf("a reads %q, %v", b, err)
	}
}

func TestNoFilesAreAFolderToo(t *testing.T) {
	t.Parallel()
	if err := fstest.TestFS(Files(nil)); err != nil {
		t.Error(err)
	}
}
