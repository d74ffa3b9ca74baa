package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/ssmresume/ssmresume/examples/plugintest"
)

var plugin string // AWS's, built from its module

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "realplugin")
		if err == nil && runtime.GOOS != "windows" { // where the tests skip
			defer os.RemoveAll(dir)
			plugin, err = build(context.Background(), dir, ".", realPackage)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

func TestPlugin(t *testing.T) { plugintest.Test(t, plugin, cannot) }

func TestCLI(t *testing.T) { plugintest.TestCLI(t, plugin, cannot) }
