package main

import (
	"testing"

	"github.com/ssmresume/ssmresume/examples/plugintest"
)

// cannot is what this plugin cannot do.
var cannot = map[string]string{}

func TestPlugin(t *testing.T) {
	t.Parallel()
	plugintest.Test(t, binary(t), cannot)
}

func TestPluginWithCLI(t *testing.T) {
	t.Parallel()
	plugintest.TestCLI(t, binary(t), cannot)
}
