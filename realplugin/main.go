// Command realplugin runs AWS's session-manager-plugin and the one of this
// repository in the scenarios of package plugintest, and prints what each of them
// can do, as a table in Markdown.
//
//	go run -C realplugin . -short
//
// The first time, compiling AWS's takes a minute. Its tests hold
// package datachanneltest to a client that is not of this repository.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/ssmresume/ssmresume/examples/plugintest"
)

// The packages of the two plugins, and the modules from which they are built.
const (
	realPackage = "github.com/aws/session-manager-plugin/src/sessionmanagerplugin-main"
	ourModule   = "../examples"
	ourPackage  = "./session-manager-plugin"
)

func main() {
	short := flag.Bool("short", false, "leave out what takes more than a minute")
	flag.Parse()
	if err := run(context.Background(), *short); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, short bool) error {
	dir, err := os.MkdirTemp("", "realplugin")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	scenarios := plugintest.Scenarios()
	if short {
		scenarios = slices.DeleteFunc(scenarios, func(sc plugintest.Scenario) bool { return sc.Long })
	}
	theirs, err := build(ctx, dir, ".", realPackage)
	if err != nil {
		return err
	}
	ours, err := build(ctx, dir, ourModule, ourPackage)
	if err != nil {
		return err
	}
	rows := make([][2]string, len(scenarios))
	column := func(i int, plugin string, cannot map[string]string) {
		for n, err := range plugintest.Results(ctx, plugin, scenarios) {
			rows[n][i] = "yes"
			if err != nil {
				rows[n][i] = "no: " + strings.ReplaceAll(cmp.Or(cannot[scenarios[n].Name], plugintest.What(err)), "|", `\|`)
			}
		}
	}
	column(0, theirs, cannot)
	column(1, ours, nil)
	version, err := exec.CommandContext(ctx, theirs, "--version").Output()
	if err != nil {
		return err
	}
	fmt.Printf("| | session-manager-plugin %s | this one |\n|---|---|---|\n", strings.TrimSpace(string(version)))
	for n, sc := range scenarios {
		fmt.Printf("| %s | %s | %s |\n", sc.Holds, rows[n][0], rows[n][1])
	}
	return nil
}

// build builds a program into a directory below dir, under the name that the AWS
// CLI looks for.
func build(ctx context.Context, dir, module, pkg string) (string, error) {
	dir, err := os.MkdirTemp(dir, "")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "session-manager-plugin")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-race=false", "-trimpath", "-ldflags=-s -w", "-o", path, pkg)
	cmd.Dir = module
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w\n%s", pkg, err, out)
	}
	return path, nil
}
