// Api prints the exported API of the packages in the given folders, without
// comments, one declaration after the other. .ci/run compares it with
// .ci/api.txt, so that no change of the API goes unseen.
package main

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/doc"
	"go/format"
	"go/parser"
	"go/token"
	"log"
	"os"
	"path/filepath"
)

func main() {
	log.SetFlags(0)
	for _, dir := range os.Args[1:] {
		if err := list(dir); err != nil {
			log.Fatalf("api: %s: %v", dir, err)
		}
	}
}

func list(dir string) error {
	pkg, err := build.ImportDir(dir, 0)
	if err != nil {
		return err
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range pkg.GoFiles {
		f, err := parser.ParseFile(fset, filepath.Join(dir, name), nil, parser.SkipObjectResolution) // without comments
		if err != nil {
			return err
		}
		files = append(files, f)
	}
	api, err := doc.NewFromFiles(fset, files, pkg.Name)
	if err != nil {
		return err
	}

	fmt.Printf("package %s\n", pkg.Name)
	show := func(node any) {
		fmt.Println()
		if e := format.Node(os.Stdout, fset, node); e != nil {
			err = e
		}
		fmt.Println()
	}
	values := func(list []*doc.Value) {
		for _, v := range list {
			show(v.Decl)
		}
	}
	funcs := func(list []*doc.Func) {
		for _, f := range list {
			show(f.Decl)
		}
	}
	values(api.Consts)
	values(api.Vars)
	funcs(api.Funcs)
	for _, t := range api.Types {
		show(t.Decl)
		values(t.Consts)
		values(t.Vars)
		funcs(t.Funcs)
		funcs(t.Methods)
	}
	fmt.Println()
	return err
}
